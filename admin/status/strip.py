"""What happened to the last days' backups, one day at a time. Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby, islice

from chalicelib.policy.policy import Slot
from chalicelib.watching.findings import small_beside
from chalicelib.watching.slots import History

CELLS = 14


class State(StrEnum):
    """What happened to a slot, the worst first."""

    TAMPERED = "overwritten or deleted"
    MISSING = "missing"
    CONTESTED = "contested"
    SMALL = "small"
    LATE = "late"
    STORED = "stored"
    EMPTY = "nothing due"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A day of the strip, in the rule's time zone: the worst state of the slots that begin on it.

    For weeks, months and years, it is a slot, and `day` is its first day.
    """

    day: date
    state: State


def strip_of(history: History, contested: AbstractSet[str], *, now: datetime) -> list[Cell]:
    """The last days of an upload key, oldest first. `contested` are the names of slots."""
    worst_first = [*State]
    cells = [
        Cell(
            day=day,
            state=min(
                (_state(history, index, contested, now) for index, _ in slots),
                key=worst_first.index,
            ),
        )
        for day, slots in islice(
            groupby(enumerate(history.slots), key=lambda one: _day(one[1])), CELLS
        )
    ]
    return cells[::-1]


def _day(slot: Slot) -> date:
    return slot.start.astimezone(slot.rule.timezone).date()


def _state(history: History, index: int, contested: AbstractSet[str], now: datetime) -> State:
    slot = history.slots[index]
    backup = history.backup(slot, now)
    if backup is None:
        return State.MISSING if history.expects(slot) and slot.due <= now else State.EMPTY
    if backup.overwritten or backup.hidden:
        return State.TAMPERED
    if slot.name in contested:
        return State.CONTESTED
    if backup.size is None:  # it is being copied, or has expired
        return State.EMPTY
    if small_beside(history, index):
        return State.SMALL
    return State.LATE if history.is_late(slot) else State.STORED
