"""A setting of an account: what it is about, what it must be, and what would be lost without it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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
