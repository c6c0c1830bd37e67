"""Attacks: requests that must be denied, sent for real."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from admin.account import EXPIRED_CODES, UNKNOWN_KEY_CODES, error_message
from chalicelib.s3_errors import error_code, http_status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_DENIED, NOT_FREE, UNKNOWN = "AccessDenied", "PreconditionFailed", "NotImplemented"
STATUSES = {
    ACCESS_DENIED: HTTPStatus.FORBIDDEN,
    NOT_FREE: HTTPStatus.PRECONDITION_FAILED,
    UNKNOWN: HTTPStatus.NOT_IMPLEMENTED,
}
# With these, AWS made no decision, so they prove nothing.
UNDECIDED = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
RUBBISH = b"rubbish"
OVERWRITTEN = "Anyone who can do that can destroy every backup"
# Most denials name the kind of policy that denied the request.
_KIND_OF_POLICY = re.compile(r"with an explicit deny in an? (\S+)-based policy")
_POLICIES = {"resource": "bucket policy", "identity": "IAM policy"}


class NotAsPromisedError(Exception):
    """A broken promise: the promise, what happened instead, and why it matters."""

    def __init__(self, promise: str, *, happened: str, why: str) -> None:
        super().__init__(f"{promise}: {happened}. {why}")


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """The drill's upload and the slot it was promoted to, with the version stored there."""

    incoming: str
    upload: str
    vault: str
    slot: str
    version_id: str
    # GOVERNANCE or COMPLIANCE; None: not locked.
    lock_mode: str | None
    # When the lock ends; without a lock, when the object was stored.
    locked_until: datetime


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A request, in words that follow "cannot", and the error codes that count as denied."""

    does: str
    call: Callable[[], Any]
    codes: tuple[str, ...] = (ACCESS_DENIED,)


def denied(who: str, attack: Attack, *, why: str) -> str:
    """Send the attack's request; returns a sentence that says how it was denied.

    Raises NotAsPromisedError for any other response, ClientError if AWS made no decision.
    """
    promise = f"{who} cannot {attack.does}"
    try:
        attack.call()
    except ClientError as error:
        status, code = http_status(error), error_code(error)
        if status in UNDECIDED or code in EXPIRED_CODES | UNKNOWN_KEY_CODES:
            raise
        if code not in attack.codes or status != STATUSES[code]:
            happened = f"S3 returned {status} {code}, not {' or '.join(attack.codes)}"
            raise NotAsPromisedError(promise, happened=happened, why=why) from None
        kind = _KIND_OF_POLICY.search(error_message(error))
        policy = f" ({_POLICIES.get(kind[1], f'{kind[1]} policy')})" if kind else ""
        return f"{promise}: {status} {code}{policy}"
    raise NotAsPromisedError(promise, happened="the request succeeded", why=why)


def write_attacks(s3: "S3Client", stored: StoredObject, *, if_free: str) -> list[Attack]:
    """Every way to overwrite, delete, tag or unlock the stored object.

    `if_free` is the error code that a write conditional on a free slot must get.
    """
    slot: dict[str, Any] = {"Bucket": stored.vault, "Key": stored.slot}
    version = {**slot, "VersionId": stored.version_id}
    source: Any = {"Bucket": stored.incoming, "Key": stored.upload}
    # Longer than the present lock, which would itself deny a shorter one.
    later: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": stored.locked_until + timedelta(days=1)}
    return [
        Attack(does="overwrite a stored backup", call=lambda: s3.put_object(**slot, Body=RUBBISH)),
        Attack(
            does="write conditionally to a filled slot",
            call=lambda: s3.put_object(**slot, Body=RUBBISH, IfNoneMatch="*"),
            codes=(if_free,),
        ),
        Attack(
            does="copy over a stored backup", call=lambda: s3.copy_object(**slot, CopySource=source)
        ),
        Attack(
            does="copy conditionally to a filled slot",
            call=lambda: s3.copy_object(**slot, CopySource=source, IfNoneMatch="*"),
            codes=(if_free,),
        ),
        # A policy accepts an empty header as a condition, unless it requires a value. AWS does not
        # document whether S3 checks the header or the rights first.
        Attack(
            does="overwrite a stored backup with an empty condition",
            call=lambda: s3.put_object(**slot, Body=RUBBISH, IfNoneMatch=""),
            codes=(ACCESS_DENIED, UNKNOWN),
        ),
        Attack(
            does="copy over a stored backup with an empty condition",
            call=lambda: s3.copy_object(**slot, CopySource=source, IfNoneMatch=""),
            codes=(ACCESS_DENIED, UNKNOWN),
        ),
        Attack(does="delete a stored backup", call=lambda: s3.delete_object(**slot)),
        Attack(does="delete a stored version", call=lambda: s3.delete_object(**version)),
        Attack(
            does="delete a stored version, bypassing the lock",
            call=lambda: s3.delete_object(**version, BypassGovernanceRetention=True),
        ),
        Attack(
            does="change the lock of a stored backup",
            call=lambda: s3.put_object_retention(**slot, Retention=later),
        ),
        Attack(
            does="tag a stored backup",
            call=lambda: s3.put_object_tagging(
                **slot, Tagging={"TagSet": [{"Key": "tier", "Value": "hourly"}]}
            ),
        ),
    ]


def read_attacks(s3: "S3Client", stored: StoredObject) -> list[Attack]:
    """What no server needs for a backup: reading, listing, deleting, and uploading other keys."""
    slot: dict[str, Any] = {"Bucket": stored.vault, "Key": stored.slot}
    upload: dict[str, Any] = {"Bucket": stored.incoming, "Key": stored.upload}
    other: dict[str, Any] = {**upload, "Key": f"{stored.upload}.other"}
    return [
        Attack(does=f"list {stored.vault}", call=lambda: s3.list_objects_v2(Bucket=stored.vault)),
        Attack(does="read a stored backup", call=lambda: s3.get_object(**slot)),
        Attack(
            does=f"list {stored.incoming}", call=lambda: s3.list_objects_v2(Bucket=stored.incoming)
        ),
        Attack(does="read its own upload", call=lambda: s3.get_object(**upload)),
        Attack(does="delete its own upload", call=lambda: s3.delete_object(**upload)),
        Attack(
            does="upload another key",
            call=lambda: s3.put_object(**other, Body=RUBBISH),
        ),
    ]
