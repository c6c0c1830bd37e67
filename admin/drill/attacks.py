"""Requests that must be refused: made for real, and what it means if one is not."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from admin.account import EXPIRED, UNKNOWN_KEY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DENIED, NOT_FREE, UNKNOWN = "AccessDenied", "PreconditionFailed", "NotImplemented"
STATUSES = {
    DENIED: HTTPStatus.FORBIDDEN,
    NOT_FREE: HTTPStatus.PRECONDITION_FAILED,
    UNKNOWN: HTTPStatus.NOT_IMPLEMENTED,
}
# They say that AWS did not judge, and so nothing about what it would have said.
UNDECIDED = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
RUBBISH = b"rubbish"
OVERWRITTEN = "Whoever can do that destroys backups, the oldest too"
# AWS says whose policy refused a request, in most of its answers.
_WHOSE_POLICY = re.compile(r"with an explicit deny in an? (\S+)-based policy")


class NotAsPromisedError(Exception):
    """A promise that does not hold here: which one, what happened instead, and why it matters."""

    def __init__(self, promise: str, *, happened: str, why: str) -> None:
        super().__init__(f"{promise}: {happened}. {why}")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where rehearsals are: a key of incoming, and its slot, with the version stored there."""

    incoming: str
    upload: str
    vault: str
    slot: str
    version_id: str
    # GOVERNANCE or COMPLIANCE; None: it is not locked.
    lock_mode: str | None
    # Until when it is locked; where it is not, when it was stored.
    locked_until: datetime


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A request, in words that follow "may not", and the only answers that keep the promise."""

    does: str
    call: Callable[[], Any]
    codes: tuple[str, ...] = (DENIED,)


def refused(who: str, attempt: Attempt, *, why: str) -> str:
    """Make the attempt; that it was refused as it must be, as a sentence.

    Raises NotAsPromisedError for any other answer, ClientError where there was none.
    """
    promise = f"{who} may not {attempt.does}"
    try:
        attempt.call()
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"]["Code"]
        if status in UNDECIDED or code in EXPIRED | UNKNOWN_KEY:
            raise
        if code not in attempt.codes or status != STATUSES[code]:
            happened = f"S3 answered {status} {code}, not {' or '.join(attempt.codes)}"
            raise NotAsPromisedError(promise, happened=happened, why=why) from None
        whose = _WHOSE_POLICY.search(error.response["Error"].get("Message", ""))
        return f"{promise}: {status} {code}" + (f" by {whose[1]} policy" if whose else "")
    raise NotAsPromisedError(promise, happened="that went through", why=why)


def to_change(s3: "S3Client", place: Place, *, if_free: str) -> list[Attempt]:
    """Every way to overwrite, remove or unlock what is in the slot.

    `if_free` is the answer to a write that says to be one only if the slot is free.
    """
    slot: dict[str, Any] = {"Bucket": place.vault, "Key": place.slot}
    version = {**slot, "VersionId": place.version_id}
    source: Any = {"Bucket": place.incoming, "Key": place.upload}
    # Longer than it is locked: a lock itself would refuse a shorter time.
    later: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": place.locked_until + timedelta(days=1)}
    return [
        Attempt(does="overwrite what is stored", call=lambda: s3.put_object(**slot, Body=RUBBISH)),
        Attempt(
            does="write there if it is free",
            call=lambda: s3.put_object(**slot, Body=RUBBISH, IfNoneMatch="*"),
            codes=(if_free,),
        ),
        Attempt(
            does="copy over what is stored", call=lambda: s3.copy_object(**slot, CopySource=source)
        ),
        Attempt(
            does="copy there if it is free",
            call=lambda: s3.copy_object(**slot, CopySource=source, IfNoneMatch="*"),
            codes=(if_free,),
        ),
        # A policy takes an empty header for a condition, unless it asks for a value. It is written
        # nowhere whether S3 looks at the header or at the rights first.
        Attempt(
            does="overwrite it with an empty condition",
            call=lambda: s3.put_object(**slot, Body=RUBBISH, IfNoneMatch=""),
            codes=(DENIED, UNKNOWN),
        ),
        Attempt(
            does="copy over it with an empty condition",
            call=lambda: s3.copy_object(**slot, CopySource=source, IfNoneMatch=""),
            codes=(DENIED, UNKNOWN),
        ),
        Attempt(does="delete what is stored", call=lambda: s3.delete_object(**slot)),
        Attempt(does="delete its version", call=lambda: s3.delete_object(**version)),
        Attempt(
            does="delete its version past the lock",
            call=lambda: s3.delete_object(**version, BypassGovernanceRetention=True),
        ),
        Attempt(
            does="change its lock", call=lambda: s3.put_object_retention(**slot, Retention=later)
        ),
        Attempt(
            does="tag it",
            call=lambda: s3.put_object_tagging(
                **slot, Tagging={"TagSet": [{"Key": "tier", "Value": "hourly"}]}
            ),
        ),
    ]


def to_look(s3: "S3Client", place: Place) -> list[Attempt]:
    """What a server needs for no backup: reading, listing, removing, and other keys."""
    slot: dict[str, Any] = {"Bucket": place.vault, "Key": place.slot}
    upload: dict[str, Any] = {"Bucket": place.incoming, "Key": place.upload}
    other: dict[str, Any] = {**upload, "Key": f"{place.upload}.other"}
    return [
        Attempt(does=f"list {place.vault}", call=lambda: s3.list_objects_v2(Bucket=place.vault)),
        Attempt(does="read what is stored", call=lambda: s3.get_object(**slot)),
        Attempt(
            does=f"list {place.incoming}", call=lambda: s3.list_objects_v2(Bucket=place.incoming)
        ),
        Attempt(does="read its own upload", call=lambda: s3.get_object(**upload)),
        Attempt(does="delete its own upload", call=lambda: s3.delete_object(**upload)),
        Attempt(
            does="upload another name",
            call=lambda: s3.put_object(**other, Body=RUBBISH),
        ),
    ]
