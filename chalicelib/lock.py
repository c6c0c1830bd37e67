"""The lock that stored backups are promised, and the actual lock of a stored backup."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.s3_errors import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODES = ("GOVERNANCE", "COMPLIANCE")
# In some stores a multipart copy is locked from when it started, but dated when it was complete.
# The margin is longer than any run of a function.
LOCK_TOLERANCE = timedelta(minutes=30)
# The second error means that the bucket has no Object Lock at all.
NOT_LOCKED_CODES = frozenset({"NoSuchObjectLockConfiguration", "InvalidRequest"})


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The vault's default lock: GOVERNANCE or COMPLIANCE mode, for a number of days."""

    mode: str
    days: int

    def promised_end(self, stored: datetime) -> datetime:
        """When the lock of a backup that was stored at this time should end."""
        return stored + timedelta(days=self.days)

    def is_kept(self, *, stored: datetime, until: datetime | None) -> bool:
        """Whether a lock `until` this time is long enough for a backup `stored` at that time."""
        return until is not None and until >= self.promised_end(stored) - LOCK_TOLERANCE

    def is_met(self, retention: Mapping[str, Any], *, stored: datetime) -> bool:
        """Whether a lock in S3's format is at least as long and as strict as promised."""
        is_strict = MODES.index(retention.get("Mode", MODES[0])) >= MODES.index(self.mode)
        return is_strict and self.is_kept(stored=stored, until=retention.get("RetainUntilDate"))


def default_lock(answer: Mapping[str, Any]) -> Lock | None:
    """The lock in an ObjectLockConfiguration of S3; None if it sets no retention period."""
    rule = answer.get("ObjectLockConfiguration", {}).get("Rule", {})
    default = rule.get("DefaultRetention", {})
    days = default.get("Days") or 365 * default.get("Years", 0)
    # With an event hold, which locks until it is released, mode and time can be missing.
    return Lock(mode=default.get("Mode", MODES[0]), days=days) if days else None


def read_retention(s3: "S3Client", **version: Any) -> dict[str, Any] | None:
    """The lock of a stored version, in S3's format; None if it is not locked."""
    try:
        retention: Any = s3.get_object_retention(**version)["Retention"]
    except ClientError as error:
        if error_code(error) not in NOT_LOCKED_CODES:
            raise
        return None
    return dict(retention)
