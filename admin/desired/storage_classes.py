"""The storage classes for archives: how soon they can be read, and for how long S3 charges."""

RETRIEVAL = {
    "STANDARD_IA": "read at once, for a fee",
    "GLACIER_IR": "read at once, for a larger fee",
    "GLACIER": "read 3 to 5 hours after a restore request",
    "DEEP_ARCHIVE": "read 12 to 48 hours after a restore request",
}
MINIMUM_DAYS = {"STANDARD_IA": 30, "GLACIER_IR": 90, "GLACIER": 90, "DEEP_ARCHIVE": 180}
