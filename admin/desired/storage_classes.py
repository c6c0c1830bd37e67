"""What S3's classes for archives cost beside storage: the wait, and the days paid for."""

RETRIEVAL = {
    "STANDARD_IA": "read at once, for a fee",
    "GLACIER_IR": "read at once, for a larger fee",
    "GLACIER": "read 3 to 5 hours after somebody asks for it",
    "DEEP_ARCHIVE": "read 12 to 48 hours after somebody asks for it",
}
MINIMUM_DAYS = {"STANDARD_IA": 30, "GLACIER_IR": 90, "GLACIER": 90, "DEEP_ARCHIVE": 180}
