"""A setting of an account: what it is about, what it must be, and what would be lost without it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MODES = ("GOVERNANCE", "COMPLIANCE")
LONGEST_LOCK_DAYS = 36_500  # which S3 takes


class Kind(StrEnum):
    """What can be set, and so read and written; `admin/setup/resources.py` knows how."""

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

    `says` is the property as a sentence, `why` what it is for. What `waits_for` a function (by its
    name in AWS) cannot be set before `chalice deploy` has made it.
    """

    kind: Kind
    target: str
    want: Any
    says: str
    why: str
    waits_for: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lock:
    """For how many days nobody may remove what is stored: GOVERNANCE or COMPLIANCE."""

    mode: str
    days: int


DEFAULT_LOCK = Lock(mode="GOVERNANCE", days=30)


@dataclass(frozen=True, kw_only=True)
class IncomingAlarm:
    """From how many bytes, and how many versions of uploads, in incoming on an alarm rings.

    Incoming is emptied as it fills. An outage of a week leaves some thousand uploads of five
    servers there, which is no flood.
    """

    bytes: int = 1024**4
    versions: int = 10_000


DEFAULT_INCOMING_ALARM = IncomingAlarm()


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the administrator decides beyond the policy: the lock (None: none) and who is told."""

    lock: Lock | None = DEFAULT_LOCK
    alert_email: str | None = None
    incoming_alarm: IncomingAlarm = DEFAULT_INCOMING_ALARM
