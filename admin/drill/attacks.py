"""An attack: a request that must be denied, sent for real."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from admin.account import EXPIRED_CODES, UNKNOWN_KEY_CODES, error_message
from chalicelib.s3_errors import error_code, http_status

ACCESS_DENIED, NOT_FREE, UNKNOWN = "AccessDenied", "PreconditionFailed", "NotImplemented"
STATUSES = {
    ACCESS_DENIED: HTTPStatus.FORBIDDEN,
    NOT_FREE: HTTPStatus.PRECONDITION_FAILED,
    UNKNOWN: HTTPStatus.NOT_IMPLEMENTED,
}
# With these codes, AWS made no decision, so they prove nothing.
UNDECIDED = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
OVERWRITTEN = "Anyone who can do that can destroy every backup"
WEAKENED = "Anyone who can do that can make backups expire, or leave new ones unprotected"
# Most denials name the kind of policy that denied the request.
_KIND_OF_POLICY = re.compile(r"with an explicit deny in an? (\S+)-based policy")
_POLICIES = {"resource": "bucket policy", "identity": "IAM policy"}


class NotAsPromisedError(Exception):
    """A broken promise: the promise, what happened instead, and why it matters."""

    def __init__(self, promise: str, *, happened: str, why: str) -> None:
        super().__init__(f"{promise}: {happened}. {why}")


@dataclass(frozen=True)
class NotChecked:
    """A sentence that states which promise the drill could not test, and why."""

    sentence: str


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """The drill's upload and the slot it was promoted to, with the version stored there."""

    incoming: str
    upload: str
    vault: str
    slot: str
    version_id: str
    # The number of parts in which it was copied; None: in one request.
    parts: int | None
    # GOVERNANCE or COMPLIANCE; None: not locked.
    lock_mode: str | None
    # When the lock ends; without a lock, when the object was stored.
    locked_until: datetime


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A request, in words that follow "cannot", and the error codes that count as denied.

    It must do no harm if it succeeds: it writes and deletes only objects below `drill/`, and
    rewrites settings without changing them.
    """

    does: str
    call: Callable[[], Any]
    codes: tuple[str, ...] = (ACCESS_DENIED,)


def all_denied(who: str, attacks: Iterable[Attack], *, why: str) -> Iterator[str]:
    """Send each attack's request; yield a sentence for each that states how it was denied.

    Raises NotAsPromisedError for any other response, and ClientError if AWS made no decision.
    """
    for attack in attacks:
        yield _denied(who, attack, why=why)


def _denied(who: str, attack: Attack, *, why: str) -> str:
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
