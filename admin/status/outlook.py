"""Forecasts: when the next backup is due, how long the last remains, the vault's size. Pure."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.lock import Lock
from chalicelib.policy.policy import Policy
from chalicelib.watching.findings import last_sizes
from chalicelib.watching.slots import Backup, History

DAY = timedelta(days=1)
# Once another version or a delete marker covers a backup, our lifecycle rules remove the backup
# after this time. S3 does the same with a backup that expires.
AFTER_SUPERSEDED = DAY
# S3 moves no smaller object to another storage class, unless a rule says so (S3 user guide,
# "Transitioning objects using Amazon S3 Lifecycle").
LEAST_MOVED = 128 * 1024


def next_due(history: History, policy: Policy, *, now: datetime) -> datetime | None:
    """When the next backup counts as missing; in the past if it already does.

    None if none is expected, for example because the upload key never had one.
    """
    expect = history.slots[0].rule.expect
    if history.first is None or expect is False:
        return None
    if isinstance(expect, timedelta):
        filled = (slot for slot in history.slots if history.backup(slot, now))
        if (slot := next(filled, None)) is None:
            return history.slots[-1].start + expect
        return min(history.backups[slot.name].begun, slot.end) + expect
    following = policy.slot_of(history.key, history.slots[0].end)
    while not history.expects(following):
        following = policy.slot_of(history.key, following.end)
    due = [
        slot.due
        for slot in history.slots
        if slot.due > now and history.expects(slot) and not history.backup(slot, now)
    ]
    return min([*due, following.due])


def remains_until(
    backup: Backup, *, keep_days: int | None, locked_until: datetime | None
) -> datetime | None:
    """Until when a stored backup certainly remains, whatever is uploaded later (None: forever).

    Uploads fill other slots and remove nothing: only S3 does, when a backup expires. Its lock, if
    it lasts longer, keeps it under the delete marker.
    """
    if keep_days is None:
        return None
    expires = backup.begun + timedelta(days=keep_days)
    if backup.overwritten:
        expires = min(expires, backup.overwritten + AFTER_SUPERSEDED)
    return max(expires, locked_until or expires)


@dataclass(frozen=True, kw_only=True)
class SteadyState:
    """How many bytes the vault will hold if everything continues as usual, by storage class.

    `kept_days` is None, and `stored` empty, if backups never expire: then the vault grows by
    `bytes_a_day` forever. `unknown` are the upload keys without a backup to judge from.
    """

    kept_days: int | None
    bytes_a_day: int
    stored: Mapping[str, int]
    unknown: tuple[str, ...]


def steady_state(histories: Iterable[History], policy: Policy, *, lock: Lock | None) -> SteadyState:
    """Based on the usual size of each upload key's backups, and how many are stored per day."""
    kept = None
    if policy.keep_days is not None:
        kept = (
            max(policy.keep_days * DAY + AFTER_SUPERSEDED, (lock.days if lock else 0) * DAY) // DAY
        )
    a_day, stored, unknown = 0.0, Counter[str](), list[str]()
    for history in histories:
        sizes = last_sizes(history, 0)
        if not sizes:
            unknown.append(history.key)
            continue
        size = statistics.median(sizes)
        each_day = size * _backups_a_day(history)
        a_day += each_day
        first, days = history.slots[0].rule.storage_class, kept or 0
        archive = policy.archive if size >= LEAST_MOVED else None
        moved = max(days - archive.after_days, 0) if archive else 0
        stored[first] += round(each_day * (days - moved))
        if archive and moved:
            stored[archive.to] += round(each_day * moved)
    return SteadyState(
        kept_days=kept,
        bytes_a_day=round(a_day),
        stored=dict(stored) if kept else {},
        unknown=tuple(unknown),
    )


def _backups_a_day(history: History) -> float:
    """Backups per day: one per slot if each is expected, otherwise the rate since the first."""
    slots = [*history.slots]
    if slots[0].rule.expect is not True:
        first = history.first
        slots = [slot for slot in slots if first is None or slot.start >= first]
    length = (slots[0].end - slots[-1].start) / len(slots)
    filled = sum(slot.name in history.backups for slot in slots) / len(slots)
    return DAY / length * (1 if slots[0].rule.expect is True else filled)
