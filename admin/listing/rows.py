"""The stored backups of an upload key, slot by slot, with the gaps between them.

Memory use is constant: a vault of any age is read page by page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.listing import backup_of, has_older, list_names, list_slots
from chalicelib.watching.slots import Backup, slots_before

# As many names as S3 lists with one request.
AT_ONCE = 1000
# Sorts after every name, because names have only ASCII characters.
_BEHIND_ALL = "\x7f"


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A slot with its stored backup."""

    slot: Slot
    backup: Backup


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Consecutive slots without a backup, from the first to the last."""

    first: Slot
    last: Slot
    number: int


Row = Filled | Missing


def rows(
    vault: Vault, policy: Policy, key: str, *, since: datetime, until: datetime, now: datetime
) -> Iterator[Row]:
    """The backups and gaps in the slots from `since` until `until`, in order."""
    listed = _listed(vault, policy, _slots_from(policy, key, since, min(until, now)))
    gap: _Gap | None = None
    for slot, backup in listed:
        if backup:
            if gap and (missing := gap.ended(backup.begun)):
                yield missing
            yield Filled(slot=slot, backup=backup)
            gap = _Gap(since=min(backup.begun, slot.end))
        elif gap:
            gap.add(slot, now)
        # Nothing is expected before the first backup.
        elif slot.start <= since and has_older(vault, slot):
            gap = _Gap(since=slot.start)
            gap.add(slot, now)
    if gap and (missing := gap.ended(min(until, now))):
        yield missing


def start_of_last(
    vault: Vault, policy: Policy, key: str, number: int, *, until: datetime, now: datetime
) -> datetime | None:
    """When the slot of the oldest of the last `number` backups before `until` begins, if any."""
    start, left = None, number
    before = slots_before(policy, key, min(until, now) - timedelta(microseconds=1))
    for slots in _groups(before):
        backups = list_slots(vault, slots, keep_days=policy.keep_days)
        for slot in slots:
            if slot.name in backups:
                start, left = slot.start, left - 1
                if not left:
                    return start
        if not has_older(vault, slots[-1]):
            break
    return start


@dataclass
class _Gap:
    """The slots without a backup since `since`, the time of the last backup before them."""

    since: datetime
    first: Slot | None = None
    last: Slot | None = None
    number: int = 0

    def add(self, slot: Slot, now: datetime) -> None:
        if isinstance(slot.rule.expect, timedelta) or (slot.is_expected and slot.due <= now):
            self.first, self.last = self.first or slot, slot
            self.number += 1

    def ended(self, moment: datetime) -> Missing | None:
        """The gap, unless the rule allows empty slots between backups."""
        if not self.first or not self.last:
            return None
        expect = self.first.rule.expect
        if isinstance(expect, timedelta) and moment - self.since <= expect:
            return None
        return Missing(first=self.first, last=self.last, number=self.number)


def _listed(
    vault: Vault, policy: Policy, slots: Iterator[Slot]
) -> Iterator[tuple[Slot, Backup | None]]:
    """Each slot with its backup. Slots and names are both in chronological order."""
    listed: Iterator[tuple[str, Iterator[Any]]] | None = None
    name, entries = "", iter(())
    for slot in slots:
        if listed is None:
            listed = list_names(vault, slot.rule, slot.server, start=slot.name)
        # A name that belongs to no slot, such as that of an hour that clocks skip, is skipped.
        while name < slot.name:
            name, entries = next(listed, (_BEHIND_ALL, iter(())))
        backup = None
        if name == slot.name:
            backup = backup_of(name, entries, start=slot.start, keep_days=policy.keep_days)
        yield slot, backup


def _slots_from(policy: Policy, key: str, since: datetime, until: datetime) -> Iterator[Slot]:
    while since < until:
        slot = policy.slot_of(key, since)
        yield slot
        since = slot.end


def _groups(slots: Iterator[Slot]) -> Iterator[Sequence[Slot]]:
    while group := [*islice(slots, AT_ONCE)]:
        yield group
