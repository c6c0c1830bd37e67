"""A setting of an account: what it is about, what it must be, and what would be lost without it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MODES = ("GOVERNANCE", "COMPLIANCE")
LONGEST_LOCK_DAYS = 36_500  # which S3 takes


class Kind(StrEnum):
    """What can be set, and so read and written; `admin/live.py` knows how."""

    BUCKET = "bucket"
    PUBLIC_ACCESS = "public access"
    OWNERSHIP = "ownership"
    ENCRYPTION = "encryption"
    VERSIONING = "versioning"
    OBJECT_LOCK = "object lock"
    LIFECYCLE = "lifecycle"
    BUCKET_POLICY = "bucket policy"
    USER = "user"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    ASYNCHRONOUS = "asynchronous invocation"
    RECURSION = "recursion"
    ALARM = "alarm"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One property of the account: what it is about, what it must be, and what would be lost.

    `says` is the property as a sentence, `why` what it is for. What `waits` cannot be set before
    `chalice deploy` has made the functions.
    """

    kind: Kind
    target: str
    want: Any
    says: str
    why: str
    waits: bool = False


@dataclass(frozen=True, kw_only=True)
class Lock:
    """For how many days nobody may remove what is stored: GOVERNANCE or COMPLIANCE."""

    mode: str
    days: int


DEFAULT_LOCK = Lock(mode="GOVERNANCE", days=30)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the administrator decides beyond the policy: the lock (None: none) and who is told."""

    lock: Lock | None = DEFAULT_LOCK
    alert_email: str | None = None
