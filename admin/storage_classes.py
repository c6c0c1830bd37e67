"""S3's storage classes: how soon a backup can be read, the minimum billed time, and the price."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StorageClass:
    """One storage class. An object is billed for `minimum_days` even if it is deleted earlier.

    `price` is approximate, in dollars per GB and month in us-east-1 (aws.amazon.com/s3/pricing).
    """

    reading: str
    minimum_days: int
    price: float


STORAGE_CLASSES = {
    "STANDARD": StorageClass(reading="read at once", minimum_days=0, price=0.023),
    "STANDARD_IA": StorageClass(reading="read at once, for a fee", minimum_days=30, price=0.0125),
    "GLACIER_IR": StorageClass(
        reading="read at once, for a larger fee", minimum_days=90, price=0.004
    ),
    "GLACIER": StorageClass(
        reading="read 3 to 5 hours after a restore request", minimum_days=90, price=0.0036
    ),
    "DEEP_ARCHIVE": StorageClass(
        reading="read 12 to 48 hours after a restore request", minimum_days=180, price=0.00099
    ),
}

# S3's default (S3 user guide, "Transitioning objects using Amazon S3 Lifecycle").
SMALL_STAY = "S3 moves no backup below 128 KB."
