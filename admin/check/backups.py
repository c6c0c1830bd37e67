"""Checks the backups themselves: first what an audit finds, then what it does not look at.

This covers every silent failure: any misconfiguration shows here.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from heapq import heappush, heappushpop
from itertools import chain, islice
from typing import NoReturn

import click
from botocore.exceptions import ClientError

from admin.audit.command import auditor_of, newest_backups, remedy_of
from admin.check.report import Finding, Part, Result, Status
from admin.check.stored_backups import judge_time
from admin.check.versions import check_version, list_backups
from admin.check.waiting_uploads import check_waiting
from admin.target import Target
from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code
from chalicelib.watching.findings import Finding as AuditFinding
from chalicelib.watching.findings import Kind, Phase, judge_tampering
from chalicelib.watching.slots import recent_slots, slots_before

# How many of the most recently stored backups get a HEAD, unless all of them do.
NEWEST = 14
# The number of slots, past and future, whose backups are checked for when they were stored: 41 days
# of hours, three years of days.
SLOTS = 1000
WHY = {
    Kind.OVERWRITTEN: "A slot is filled only once: somebody got around the vault's protection.",
    Kind.DELETED: "Nobody can delete a backup: somebody got around the vault's protection.",
    Kind.MISSING: "What has not been backed up cannot be restored.",
    Kind.CONTESTED: "Only one of the two uploads is stored, and it could be the wrong one.",
    Kind.REJECTED: "This upload is not stored, and is lost when it expires.",
    Kind.SMALL: "A backup that shrinks so much is often incomplete.",
    Kind.LATE: "If it takes any longer, the backup may belong to the next slot.",
    Kind.UNFINISHED: "No copy runs for this long, so its run failed or was killed.",
}


def check_backups(target: Target, *, now: datetime, all_backups: bool) -> Iterator[Part]:
    """The parts about the backups of all rules and servers."""
    # Settings and locks are compared with what `setup` would set, which is more exact.
    auditor = replace(auditor_of(target), protection=None)
    audited = auditor.audit(now)
    states = map(Status, newest_backups(target.policy, audited, now))
    lasting = (finding for finding in audited.findings if finding.phase is not Phase.OVER)
    yield Part("the backups", chain(states, map(partial(as_finding, target), lasting)))
    for what, error in audited.failures.items():
        yield Part(what, _unless_missing(map(_throw, [error])))
    for upload in target.policy.server_keys:
        stored = check_stored(target, auditor.vault, upload, now=now, all_backups=all_backups)
        yield Part(f"the older backups of {upload}", _unless_missing(stored))
        waiting = check_waiting(target, auditor, upload, now=now)
        yield Part(f"the waiting uploads of {upload}", _unless_missing(waiting))


def as_finding(target: Target, finding: AuditFinding) -> Finding:
    remedy = remedy_of(target, finding)
    return Finding(what=finding.what, why=WHY[finding.kind], remedy=remedy)


def check_stored(
    target: Target, vault: Vault, upload: str, *, now: datetime, all_backups: bool
) -> Iterator[Finding | Part]:
    """Check backups too old for an audit, and when each was stored; then locks and encryption."""
    rule, _ = target.policy.server_keys[upload]
    # Computed only if there are backups, because there are thousands of slots.
    audited = cache(lambda: {slot.name for slot in recent_slots(target.policy, upload, now)})
    slots = cache(lambda: _slots_around(target.policy, upload, now))
    count, last = 0, list[tuple[datetime, str]]()
    for backup in list_backups(vault, target.policy, upload, now=now):
        if backup.name not in audited():
            tampered = judge_tampering(backup, vault=vault.name, zone=rule.timezone, now=now)
            yield from map(partial(as_finding, target), tampered)
        if backup.size is None:
            continue
        if slot := slots().get(backup.name):
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


def _check_all_heads(
    target: Target, vault: Vault, upload: str, count: int, *, now: datetime
) -> Iterator[Finding]:
    """Check every backup, with a progress bar: each takes a request."""
    backups = list_backups(vault, target.policy, upload, now=now)
    names = (backup.name for backup in backups if backup.size is not None)
    with click.progressbar(names, length=count, label=upload, file=sys.stderr) as progress:
        yield from _check_heads(target, vault, progress, now=now)


def _check_heads(
    target: Target, vault: Vault, names: Iterable[str], *, now: datetime
) -> Iterator[Finding]:
    for name in names:
        yield from check_version(target, vault, name, now=now)


def _unless_missing(results: Iterator[Result]) -> Iterator[Result]:
    """The results, up to a request to a bucket that does not exist, which is a separate finding."""
    try:
        yield from results
    except ClientError as error:
        if error_code(error) != "NoSuchBucket":
            raise


def _throw(error: Exception) -> NoReturn:
    raise error
