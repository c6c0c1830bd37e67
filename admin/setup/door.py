"""Opens the vault's bucket policy to the caller, for changes that it denies to everyone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from admin.account import DENIAL_CODES, Account, AccountError
from admin.desired.door import opened_to
from admin.desired.requirement import Kind, Requirement
from admin.setup import resources
from admin.waiting import Waiter
from chalicelib.s3_errors import error_code

# Seconds. A changed bucket policy almost always takes effect within seconds, but AWS documents no
# limit.
MAX_WAIT = 120.0
PATIENT = Waiter(seconds=MAX_WAIT, tell=lambda _: None)

Attempt = Callable[[Callable[[], object]], None]


def is_behind(door: Requirement, requirement: Requirement) -> bool:
    """Whether a setting can be changed only while the door is open; `door` is a bucket policy."""
    return requirement.resource == door.resource and requirement.kind is not Kind.BUCKET_POLICY


@contextmanager
def open_door(account: Account, door: Requirement, waiter: Waiter) -> Iterator[Attempt]:
    """Open the door, the vault's bucket policy, to the caller until the block ends or fails.

    Yields a function that makes a change, and retries it until the open policy has taken effect.
    Raises AccountError if the door could not be closed.
    """
    sts = account.account_of(door.resource).client("sts")
    user_id = sts.get_caller_identity()["UserId"]
    # A lost response proves nothing; a denial proves that nothing was changed.
    may_be_open = True
    try:
        try:
            resources.write(account, replace(door, desired=opened_to(user_id, door.desired)))
        except ClientError as error:
            may_be_open = error_code(error) not in DENIAL_CODES
            raise
        yield lambda change: _attempt(change, waiter)
    finally:
        if may_be_open:
            close_door(account, door)


def _attempt(change: Callable[[], object], waiter: Waiter) -> None:
    denial: ClientError | None = None
    for _ in waiter.polls("the opened bucket policy to take effect"):
        try:
            change()
        except ClientError as error:
            if error_code(error) not in DENIAL_CODES:
                raise
            denial = error
        else:
            return
    if denial:
        raise denial


def close_door(account: Account, door: Requirement) -> None:
    """Write the vault's bucket policy with the door closed. Raises AccountError if that fails."""
    try:
        resources.write(account, door)
    except (ClientError, BotoCoreError) as error:
        raise AccountError(
            f"The bucket policy of {door.resource} could not be closed ({error}), so it could "
            "still let you change every setting; run the same command again to close it"
        ) from error
