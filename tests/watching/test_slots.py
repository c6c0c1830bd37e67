"""Which slots an audit covers, and what counts as a gap."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy, Slot
from chalicelib.watching.slots import Backup, History, recent_slots

KEY = "sql.gpg"
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def policy_of(store_as: str = "%Y-%m-%d.%H.sql", settings: str = "", top: str = "") -> Policy:
    return parse_policy(
        f'timezone = "Europe/London"\n{top}\n[[rule]]\nupload = "{KEY}"\n'
        f'store_as = "{store_as}"\n{settings}'
    )


def backup(slot: Slot, begun: datetime) -> Backup:
    return Backup(name=slot.name, begun=begun, complete=begun, size=1000)


def day_of(pattern: str, *, late: Mapping[int, float] | None = None) -> History:
    """The hours from midnight on: `+` stored at :07, `-` missing; `late` gives other hours."""
    policy = policy_of()
    slots = [policy.slot_of(KEY, MIDNIGHT + n * HOUR) for n in range(len(pattern))]
    moments = {n: MIDNIGHT + n * HOUR + 7 * MINUTE for n, mark in enumerate(pattern) if mark == "+"}
    moments |= {n: MIDNIGHT + hours * HOUR for n, hours in (late or {}).items()}
    backups = {slots[n].name: backup(slots[n], moment) for n, moment in moments.items()}
    return History(key=KEY, slots=slots[::-1], backups=backups, first=min(moments.values()))


def missing(history: History, hours: float) -> list[int]:
    """The missing hours, counted from midnight."""
    gap = history.gap(MIDNIGHT + hours * HOUR)
    return [(slot.start - MIDNIGHT) // HOUR for slot in gap.slots] if gap else []


@pytest.mark.parametrize(
    ("pattern", "at", "hours"),
    [
        pytest.param("+++++", 5, [], id="all are stored"),
        pytest.param("++-", 3.2, [], id="not due yet"),
        pytest.param("++-", 3.25, [2], id="due"),
        pytest.param("++-+", 4.25, [2], id="one later backup does not end a gap"),
        pytest.param("++-++", 5, [], id="two in a row do"),
        pytest.param("++-+-+-+", 8.25, [2, 4, 6], id="every other hour is one gap"),
        pytest.param("++-+-+-++-", 10.25, [9], id="a second gap"),
        pytest.param("++----", 5.25, [2, 3, 4], id="a long gap"),
        pytest.param("--+-+", 5.25, [3], id="nothing is missing before the first backup"),
    ],
)
def test_a_gap_lasts_until_two_backups_in_a_row(pattern: str, at: float, hours: list[int]) -> None:
    assert missing(day_of(pattern), at) == hours


def test_a_late_backup_shortens_a_gap_and_can_end_it() -> None:
    history = day_of("++--++", late={2: 8.5})
    assert missing(history, 4.5) == [2, 3]
    history = day_of("++---", late={2: 6.5, 3: 6.5, 4: 6.5})
    assert missing(history, 6) == [2, 3, 4]
    assert missing(history, 7) == []
    assert missing(day_of("++----", late={2: 6.5}), 7) == [3, 4, 5]


def test_the_same_gap_is_recognized_when_some_of_it_is_stored() -> None:
    history = day_of("++---", late={2: 6.5})
    before, now = history.gap(MIDNIGHT + 6 * HOUR), history.gap(MIDNIGHT + 7 * HOUR)
    assert now is not None
    assert now.is_same(before)
    assert not now.is_same(None)
    other = day_of("++-+++-").gap(MIDNIGHT + 8 * HOUR)
    assert other is not None
    assert not other.is_same(day_of("++-").gap(MIDNIGHT + 4 * HOUR))


@pytest.mark.parametrize(
    ("hours", "stored_at", "is_overdue"),
    [
        pytest.param(30, 1, False, id="young enough"),
        pytest.param(31.1, 1, False, id="nearly too old"),
        pytest.param(31.2, 1, True, id="too old"),
        # Stored a day late, after an outage: the backup's age is that of its slot.
        pytest.param(31.9, 24, False, id="stored late"),
        pytest.param(32, 24, True, id="stored late, and too old"),
    ],
)
def test_an_age_counts_from_the_newest_backup(
    hours: float, stored_at: float, is_overdue: bool
) -> None:
    policy = policy_of(settings='expect = "30h"')
    slots = recent_slots(policy, KEY, MIDNIGHT + hours * HOUR)
    [slot] = [slot for slot in slots if slot.start == MIDNIGHT + HOUR]
    stored = backup(slot, MIDNIGHT + stored_at * HOUR + 7 * MINUTE)
    history = History(key=KEY, slots=slots, backups={slot.name: stored}, first=stored.begun)
    assert bool(history.gap(MIDNIGHT + hours * HOUR)) is is_overdue


@pytest.mark.parametrize(
    ("settings", "first", "is_gap"),
    [
        pytest.param("", MIDNIGHT - 99 * DAY, True, id="every slot"),
        pytest.param("", None, False, id="no backup ever"),
        pytest.param('expect = "80h"', MIDNIGHT - 99 * DAY, True, id="an age"),
        pytest.param('expect = "80h"', None, False, id="an age, but no backup ever"),
        pytest.param("expect = false", MIDNIGHT - 99 * DAY, False, id="nothing"),
    ],
)
def test_a_server_that_died_long_ago_is_still_missing(
    settings: str, first: datetime | None, is_gap: bool
) -> None:
    slots = recent_slots(policy_of(settings=settings), KEY, MIDNIGHT)
    gap = History(key=KEY, slots=slots, backups={}, first=first).gap(MIDNIGHT)
    assert (gap.is_older if gap else False) is is_gap


@pytest.mark.parametrize(
    ("store_as", "top", "oldest"),
    [
        pytest.param("%Y-%m-%d.%H", "", MIDNIGHT - 35 * DAY, id="35 days"),
        pytest.param("%Y-%m", "", datetime(2026, 8, 1, tzinfo=UTC) - HOUR, id="three months"),
        pytest.param("%Y-%m-%d", "keep_days = 9", MIDNIGHT - 10 * DAY, id="what has not expired"),
    ],
)
def test_how_far_an_audit_looks_back(store_as: str, top: str, oldest: datetime) -> None:
    slots = recent_slots(policy_of(store_as, top=top), KEY, MIDNIGHT + MINUTE)
    assert slots[0].start <= MIDNIGHT + MINUTE < slots[0].end
    assert slots[-1].start == oldest
    assert all(older.end == newer.start for newer, older in pairwise(slots))
