"""Checks the backups themselves: first what an audit finds, then what it does not look at.

This covers every way of failing in silence: whatever is configured wrongly, it shows here.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from heapq import heappush, heappushpop
from itertools import chain, islice, takewhile
from typing import NoReturn

import click
from botocore.exceptions import ClientError

from admin.audit.command import auditor_of, newest_backups, remedy_of
from admin.check.report import Finding, Part, Result, Status
from admin.check.stored_backups import judge_encryption, judge_lock, judge_time
from admin.check.waiting_uploads import check_waiting
from admin.stored.heads import CustomerKeyError, address, encryption_of, head_of, lock_end
from admin.target import Target
from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code
from chalicelib.watching.findings import Finding as AuditFinding
from chalicelib.watching.findings import Kind, Phase, judge_tampering
from chalicelib.watching.listing import backup_of, list_names
from chalicelib.watching.slots import Backup, recent_slots, slots_before

# How many of the backups that were stored last get a HEAD, unless all of them do.
NEWEST = 14
# In how many slots, past and to come, backups are checked for when they were stored: 41 days of
# hours, three years of days.
SLOTS = 1000
# S3 expires objects some days late, and removes the last delete marker some days after that.
EXPIRY_DELAY = timedelta(days=14)
WHY = {
    Kind.OVERWRITTEN: "A slot is filled only once: somebody got around the vault's protection.",
    Kind.DELETED: "Nobody can delete a backup: somebody got around the vault's protection.",
    Kind.MISSING: "What has not been backed up cannot be restored.",
    Kind.CONTESTED: "Only one of the two uploads is stored, and it could be the wrong one.",
    Kind.REJECTED: "This upload is not stored, and is lost when it expires.",
    Kind.SMALL: "A backup that shrinks so much is often incomplete.",
    Kind.LATE: "If it takes any longer, the backup can belong to the next slot.",
    Kind.UNFINISHED: "No copy runs for so long, so it was given up.",
}


def check_backups(target: Target, *, now: datetime, all_backups: bool) -> Iterator[Part]:
    """The parts about the backups of all rules and servers."""
    # Settings and locks are compared with what `setup` would set, which says more.
    auditor = replace(auditor_of(target), protection=None)
    audited = auditor.audit(now)
    states = map(Status, newest_backups(target.policy, audited, now))
    lasting = (finding for finding in audited.findings if finding.phase is not Phase.OVER)
    yield Part("the backups", chain(states, map(partial(_as_finding, target), lasting)))
    for what, error in audited.failures.items():
        yield Part(what, _unless_missing(map(_throw, [error])))
    for upload in target.policy.server_keys:
        stored = check_stored(target, auditor.vault, upload, now=now, all_backups=all_backups)
        yield Part(f"the older backups of {upload}", _unless_missing(stored))
        waiting = check_waiting(target, auditor, upload, now=now)
        yield Part(f"the waiting uploads of {upload}", _unless_missing(waiting))


def _as_finding(target: Target, finding: AuditFinding) -> Finding:
    remedy = remedy_of(target, finding)
    return Finding(what=finding.what, why=WHY[finding.kind], remedy=remedy)


def check_stored(
    target: Target, vault: Vault, upload: str, *, now: datetime, all_backups: bool
) -> Iterator[Finding | Part]:
    """Check backups too old for an audit, and when all were stored; then locks and encryption."""
    as_finding, (rule, _) = partial(_as_finding, target), target.policy.server_keys[upload]
    audited = {slot.name for slot in recent_slots(target.policy, upload, now)}
    slots = _slots_around(target.policy, upload, now)
    count, last = 0, list[tuple[datetime, str]]()
    for backup in _listed(vault, target.policy, upload, now=now):
        if backup.name not in audited:
            tampered = judge_tampering(backup, vault=vault.name, zone=rule.timezone, now=now)
            yield from map(as_finding, tampered)
        if backup.size is None:
            continue
        if slot := slots.get(backup.name):
            yield from judge_time(backup, slot)
        count += 1
        put = heappush if len(last) < NEWEST else heappushpop
        put(last, (backup.begun, backup.name))
    yield Part(
        f"the locks and the encryption of the stored backups of {upload}",
        _check_all_heads(target, vault, upload, count, now=now)
        if all_backups
        else _check_heads(target, vault, [name for _, name in sorted(last, reverse=True)], now=now),
    )


def _slots_around(policy: Policy, upload: str, now: datetime) -> dict[str, Slot]:
    """The slots before and after `now`, by their names."""
    slots = {slot.name: slot for slot in islice(slots_before(policy, upload, now), SLOTS)}
    moment = now
    for _ in range(SLOTS):
        slot = policy.slot_of(upload, moment)
        slots[slot.name], moment = slot, slot.end
    return slots


def _listed(vault: Vault, policy: Policy, upload: str, *, now: datetime) -> Iterator[Backup]:
    """Every backup of an upload key, page by page."""
    lately_expired: dict[str, datetime] = {}
    if policy.keep_days is not None:
        until = now - timedelta(days=policy.keep_days)
        since = until - policy.accept_within - EXPIRY_DELAY
        slots = takewhile(lambda slot: slot.end >= since, slots_before(policy, upload, until))
        lately_expired = {slot.name: slot.start for slot in slots}
    for name, entries in list_names(vault, *policy.server_keys[upload]):
        # If only a marker is left, S3 has put it there because of keep_days, or somebody else.
        start = lately_expired.get(name, now)
        yield backup_of(name, entries, start=start, keep_days=policy.keep_days)


def _check_all_heads(
    target: Target, vault: Vault, upload: str, count: int, *, now: datetime
) -> Iterator[Finding]:
    """Check every backup, with a progress bar: this is a request for each."""
    backups = _listed(vault, target.policy, upload, now=now)
    names = (backup.name for backup in backups if backup.size is not None)
    with click.progressbar(names, length=count, label=upload, file=sys.stderr) as progress:
        yield from _check_heads(target, vault, progress, now=now)


def _check_heads(
    target: Target, vault: Vault, names: Iterable[str], *, now: datetime
) -> Iterator[Finding]:
    lock = target.stage.lock
    for name in names:
        version = address(vault, name)
        try:
            head = head_of(vault, version)
        except CustomerKeyError:
            yield from judge_encryption(target, name, "a key that its writer kept (SSE-C)")
            continue
        if head is None:  # it has expired since it was listed
            continue
        # A lock that should have ended by now is not needed any more.
        if lock and lock.promised_end(head["LastModified"]) > now:
            actual = lock_end(vault, version, head)
            yield from judge_lock(target, name, head, lock=lock, actual=actual)
        yield from judge_encryption(target, name, encryption_of(head))


def _unless_missing(results: Iterator[Result]) -> Iterator[Result]:
    """The results, up to a request to a bucket that does not exist, which is another finding."""
    try:
        yield from results
    except ClientError as error:
        if error_code(error) != "NoSuchBucket":
            raise


def _throw(error: Exception) -> NoReturn:
    raise error
