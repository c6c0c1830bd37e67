"""One required setting of an account."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of settings; `admin/setup/resources.py` reads and writes them."""

    BUCKET = "bucket"
    PUBLIC_ACCESS = "public access"
    OWNERSHIP = "ownership"
    ENCRYPTION = "encryption"
    VERSIONING = "versioning"
    OBJECT_LOCK = "object lock"
    LIFECYCLE = "lifecycle"
    BUCKET_POLICY = "bucket policy"
    NOTIFICATION = "notification"
    USER = "user"
    MANAGED_POLICY = "managed policy"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    ASYNCHRONOUS = "asynchronous invocation"
    RECURSION = "recursion"
    ALARM = "alarm"
    EVENT_RULE = "event rule"
    TRAIL = "trail"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One setting of the account: the resource that has it, and the value it should have.

    If `desired` is None, it should not exist. `summary` is what setup prints: "RESOURCE: what to
    do", or a thing that should exist. `why` is its purpose. A requirement that `needs_deployment`
    of a function (by its name in AWS) cannot be met before `chalice deploy` has created that
    function.
    """

    kind: Kind
    resource: str
    desired: Any
    summary: str
    why: str
    needs_deployment: str | None = None
