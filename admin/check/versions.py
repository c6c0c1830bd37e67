"""Lists the backups of an upload key, however old, and checks what a HEAD shows of a version."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from admin.check.report import Finding
from admin.check.stored_backups import judge_encryption, judge_lock
from admin.stored.heads import (
    CUSTOMER_KEY,
    CustomerKeyError,
    address,
    encryption_of,
    head_of,
    lock_end,
)
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.listing import backup_of, list_names
from chalicelib.watching.slots import Backup, slots_before

# S3 expires objects some days late, and removes the last delete marker some days after that.
EXPIRY_DELAY = timedelta(days=14)


def list_backups(
    vault: Vault, policy: Policy, upload: str, *, now: datetime, start: str = ""
) -> Iterator[Backup]:
    """Every backup of an upload key from the name `start` on, page by page."""
    lately_expired: dict[str, datetime] = {}
    if policy.keep_days is not None:
        until = now - timedelta(days=policy.keep_days)
        since = until - policy.accept_within - EXPIRY_DELAY
        slots = takewhile(lambda slot: slot.end >= since, slots_before(policy, upload, until))
        lately_expired = {slot.name: slot.start for slot in slots}
    for name, entries in list_names(vault, *policy.server_keys[upload], start=start):
        # If only a marker is left, either S3 has put it there because of keep_days, or someone else
        # has.
        begin = lately_expired.get(name, now)
        yield backup_of(name, entries, start=begin, keep_days=policy.keep_days)


def check_version(
    target: Target,
    vault: Vault,
    name: str,
    version_id: str | None = None,
    *,
    now: datetime,
    also: Callable[[Any], Iterator[Finding]] | None = None,
) -> Iterator[Finding]:
    """Check a version's lock and encryption (None: the current one), and call `also` with its HEAD.

    Raises ClientError if AWS denies that.
    """
    lock, version = target.stage.lock, address(vault, name, version_id)
    try:
        head = head_of(vault, version)
    except CustomerKeyError:
        yield from judge_encryption(target, name, CUSTOMER_KEY)
        return
    if head is None:  # it has expired after it was listed
        return
    # A lock that should have ended by now is no longer needed.
    if lock and lock.promised_end(head["LastModified"]) > now:
        actual = lock_end(vault, version, head)
        yield from judge_lock(target, name, head, lock=lock, actual=actual)
    yield from judge_encryption(target, name, encryption_of(head))
    if also:
        yield from also(head)
