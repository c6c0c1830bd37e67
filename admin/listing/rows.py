"""What is stored of an upload key, slot by slot, with the gaps between backups.

Memory stays flat: a vault of any age is read a thousand slots at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.listing import has_older, list_slots
from chalicelib.watching.slots import Backup, History, slots_before

# As many names as S3 lists with one request.
AT_ONCE = 1000
_BEFORE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stored backup in its slot, or a gap: slots without a backup, from the first to the last."""

    slots: tuple[Slot, ...]
    backup: Backup | None = None


def rows(
    vault: Vault, policy: Policy, key: str, *, since: datetime, until: datetime, now: datetime
) -> Iterator[list[Row]]:
    """The backups and gaps in the slots from `since` until `until`, some at a time, in order."""
    first: datetime | None = None
    for slots in _groups(_slots_from(policy, key, since, min(until, now))):
        backups = list_slots(vault, slots, keep_days=policy.keep_days)
        if first is None and (slots[0].name in backups or has_older(vault, slots[0])):
            first = _BEFORE
        filled = (slot.start for slot in slots if slot.name in backups)
        first = first or next(filled, None)
        history = History(key=key, slots=slots, backups=backups, first=first)
        yield [*_with_gaps(history, now)]


def newest_rows(
    vault: Vault, policy: Policy, key: str, *, number: int, until: datetime, now: datetime
) -> list[Row]:
    """The last backups before `until`, and the gaps between them, in order."""
    found: list[Row] = []
    for newest_first in _groups(slots_before(policy, key, min(until, now))):
        slots = newest_first[::-1]
        backups = list_slots(vault, slots, keep_days=policy.keep_days)
        history = History(key=key, slots=slots, backups=backups, first=_BEFORE)
        found = [*_with_gaps(history, now), *found]
        stored = [index for index, row in enumerate(found) if row.backup]
        if len(stored) >= number:
            return found[stored[-number] :]
        if not has_older(vault, slots[0]):
            return found[stored[0] :] if stored else []
    raise AssertionError("slots never end")


def _with_gaps(history: History, now: datetime) -> Iterator[Row]:
    gap: list[Slot] = []
    for slot in history.slots:
        if backup := history.backups.get(slot.name):
            if gap:
                yield Row(slots=tuple(gap))
                gap = []
            yield Row(slots=(slot,), backup=backup)
        elif history.expects(slot) and slot.due <= now:
            gap.append(slot)
    if gap:
        yield Row(slots=tuple(gap))


def _slots_from(policy: Policy, key: str, since: datetime, until: datetime) -> Iterator[Slot]:
    while since < until:
        slot = policy.slot_of(key, since)
        yield slot
        since = slot.end


def _groups(slots: Iterator[Slot]) -> Iterator[Sequence[Slot]]:
    while group := [*islice(slots, AT_ONCE)]:
        yield group
