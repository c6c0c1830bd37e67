"""What `backups status` derives from stored backups: days, due times, sizes and expiry. Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from admin.status.outlook import next_due, remains_until, steady_state
from admin.status.screen import LETTERS, size_in_words
from admin.status.strip import strip_of
from chalicelib.lock import Lock
from chalicelib.policy.file import parse_policy
from chalicelib.policy.rules import Archive
from chalicelib.watching.slots import Backup, History
from tests.watching.examples import DAY, HOUR, HOURLY, NIGHTLY, NOW, POLICY, history

STORED = datetime(2026, 11, 23, 4, tzinfo=UTC)
BACKUP = Backup(name="x", begun=STORED, complete=STORED, size=1000)
KIB = 1024


def strip(of: History, contested: AbstractSet[str] = frozenset()) -> str:
    return "".join(LETTERS[cell.state] for cell in strip_of(of, contested, now=NOW))


@pytest.mark.parametrize(
    ("lost", "changed", "letters"),
    [
        pytest.param((), {}, "oooooooooooooo", id="all are stored"),
        pytest.param((0,), {}, "ooooooooooooo.", id="today's is not due yet"),
        pytest.param((1, 3), {}, "ooooooooooMoMo", id="two are missing"),
        pytest.param((), {"size": 499_999}, "oooooooooooooS", id="small"),
        pytest.param((), {"size": 500_000}, "oooooooooooooo", id="half of the usual size"),
        pytest.param((), {"overwritten": NOW}, "oooooooooooooX", id="overwritten"),
        pytest.param((), {"hidden": NOW, "size": None}, "oooooooooooooX", id="deleted"),
        pytest.param((), {"size": None}, "ooooooooooooo.", id="being copied"),
        pytest.param((), {"begun": NOW + HOUR}, "ooooooooooooo.", id="not begun by now"),
    ],
)
def test_each_night_has_a_letter(lost: tuple[int, ...], changed: Any, letters: str) -> None:
    assert strip(history(lost, **changed)) == letters


def test_a_backup_that_was_stored_late_is_not_missing() -> None:
    nights = history()
    slot = nights.slots[2]
    late = replace(nights.backups[slot.name], begun=slot.due + HOUR)
    assert strip(replace(nights, backups={**nights.backups, slot.name: late})) == "oooooooooooLoo"


def test_a_contested_slot_has_a_letter_unless_it_is_worse() -> None:
    nights = history(overwritten=NOW)
    contested = {nights.slots[0].name, nights.slots[1].name}
    assert strip(nights, contested) == "ooooooooooooCX"


def test_a_day_of_hours_is_as_bad_as_its_worst_hour() -> None:
    """50 hours until 13:00 in London: three days, as clocks there show them."""
    assert strip(history(key=HOURLY)) == "ooo"
    assert strip(history((20,), key=HOURLY)) == "oMo"
    assert strip(history((2,), key=HOURLY), {history(key=HOURLY).slots[30].name}) == "oCM"


def test_of_weeks_each_has_a_letter() -> None:
    policy = parse_policy(
        'timezone = "Etc/UTC"\n[[rule]]\nupload = "weekly.tar"\nstore_as = "%G-%V.tar"\n'
    )
    assert strip(history((2,), key="weekly.tar", policy=policy, most=20)) == "oooooooooooMoo"


@pytest.mark.parametrize(
    ("lost", "rule", "hours"),
    [
        # It is summer in London: days begin at 23:00 UTC, and backups are due two hours after the
        # day ends.
        pytest.param((), {}, 37, id="after today's, tomorrow's"),
        pytest.param((0,), {}, 13, id="today's, which is not stored yet"),
        pytest.param((1,), {}, 37, id="yesterday's is missing, not due"),
        pytest.param((), {"due_minutes": 60}, 12, id="an hour into the day"),
        pytest.param((), {"expect": False}, None, id="nothing is expected"),
        pytest.param((), {"expect": timedelta(hours=80)}, 71, id="an age, of today's"),
        pytest.param(
            (0, 1, 2, 3, 4),
            {"expect": timedelta(hours=80)},
            -49,
            id="an age that was exceeded",
        ),
    ],
)
def test_when_the_next_backup_is_due(
    lost: tuple[int, ...], rule: dict[str, Any], hours: int | None
) -> None:
    nights = history(lost, rule=rule)
    policy = replace(POLICY, rules=(POLICY.rules[0], replace(POLICY.rules[1], **rule)))
    assert next_due(nights, policy, now=NOW) == (None if hours is None else NOW + hours * HOUR)


def test_nothing_is_due_before_the_first_backup() -> None:
    assert next_due(replace(history(range(14)), first=None), POLICY, now=NOW) is None


@pytest.mark.parametrize(
    ("backup", "keep_days", "locked", "days"),
    [
        pytest.param({}, None, None, None, id="never expires"),
        pytest.param({}, None, 30, None, id="never expires, and the lock ends"),
        pytest.param({}, 35, None, 35, id="expires"),
        pytest.param({}, 35, 30, 35, id="expires after its lock"),
        pytest.param({}, 35, 90, 90, id="its lock outlasts keep_days, under a delete marker"),
        # The first version, which is the backup, is then removed like an expired one.
        pytest.param({"overwritten": 2}, 35, None, 3, id="overwritten, not locked"),
        pytest.param({"overwritten": 2}, 35, 30, 30, id="overwritten, locked"),
        pytest.param({"overwritten": 50}, 35, None, 35, id="overwritten after keep_days"),
        pytest.param({"overwritten": 2}, None, None, None, id="overwritten, nothing expires"),
    ],
)
def test_how_long_a_good_backup_remains_while_rubbish_is_uploaded(
    backup: dict[str, int], keep_days: int | None, locked: int | None, days: int | None
) -> None:
    """Uploads fill other slots and remove nothing: only the backup and its lock matter."""
    stored = replace(BACKUP, **{name: STORED + n * DAY for name, n in backup.items()})
    until = remains_until(
        stored, keep_days=keep_days, locked_until=STORED + locked * DAY if locked else None
    )
    assert until == (None if days is None else STORED + days * DAY)


@pytest.mark.parametrize(
    ("changes", "lock", "stored"),
    [
        pytest.param({}, None, {"STANDARD": 36_000_000}, id="35 days, and one under a marker"),
        pytest.param({}, Lock(mode="GOVERNANCE", days=30), {"STANDARD": 36_000_000}, id="locked"),
        pytest.param(
            {}, Lock(mode="GOVERNANCE", days=90), {"STANDARD": 90_000_000}, id="locked for longer"
        ),
        pytest.param(
            {"archive": Archive(after_days=10, to="GLACIER_IR")},
            None,
            {"STANDARD": 10_000_000, "GLACIER_IR": 26_000_000},
            id="archived after 10 days",
        ),
    ],
)
def test_how_much_the_vault_will_hold(
    changes: dict[str, Any], lock: Lock | None, stored: dict[str, int]
) -> None:
    policy = replace(POLICY, keep_days=35, **changes)
    steady = steady_state([history(size=1)], policy, lock=lock)
    assert (steady.bytes_a_day, steady.stored) == (1_000_000, stored)


def test_hours_count_24_times_and_without_expiry_there_is_no_end() -> None:
    both = [history(), history(key=HOURLY)]
    steady = steady_state(both, POLICY, lock=None)
    assert (steady.kept_days, steady.bytes_a_day, steady.stored) == (None, 25_000_000, {})


def test_only_filled_slots_count_if_not_all_are_expected() -> None:
    weekdays = history((0, 1, 2, 3, 4, 5, 6), rule={"expect": False})
    assert steady_state([weekdays], POLICY, lock=None).bytes_a_day == 500_000


def test_a_key_without_backups_is_named() -> None:
    nothing = replace(history(range(14)), first=None)
    assert steady_state([nothing], POLICY, lock=None).unknown == (NIGHTLY,)


def test_small_backups_are_not_archived() -> None:
    policy = replace(POLICY, keep_days=35, archive=Archive(after_days=10, to="GLACIER_IR"))
    few = history()
    small = {name: replace(each, size=128 * KIB - 1) for name, each in few.backups.items()}
    steady = steady_state([replace(few, backups=small)], policy, lock=None)
    assert [*steady.stored] == ["STANDARD"]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (KIB, "1.0 KiB"),
        (99.9 * KIB, "99.9 KiB"),
        (999 * KIB, "999 KiB"),
        (KIB**2 - 1, "1.0 MiB"),
        (1.5 * KIB**4, "1.5 TiB"),
        (3000 * KIB**5, "3000 PiB"),
    ],
)
def test_sizes_in_words(size: float, words: str) -> None:
    assert size_in_words(size) == words
