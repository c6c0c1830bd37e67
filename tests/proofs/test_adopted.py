"""Incoming buckets without versioning, or with versioning suspended: no upload waits forever."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations

import pytest

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.notification import Notification
from chalicelib.record import Record, Swept
from tests.proofs.remembered_reads import RememberedReads
from tests.support.world import DAILY, World

MORNING = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOUR, INTERVAL = timedelta(hours=1), timedelta(minutes=15)
SLOT = "2026-11-23.tar.gz.gpg"


def orders(number: int) -> list[tuple[int, ...]]:
    """Every order in which the events of this many uploads can arrive, if they arrive at all."""
    return [
        order
        for arriving in range(number + 1)
        for some in combinations(range(number), arriving)
        for order in permutations(some)
    ]


def settle(world: World, *, at: datetime) -> tuple[Swept, list[Record]]:
    """Sweep until a pass hands over nothing. Return that pass, and the records of all passes."""
    world = world.with_buckets(s3=RememberedReads(world.s3))
    records: list[Record] = []
    for number in range(5):
        swept, new = world.sweep(now=at + number * INTERVAL)
        records += new
        if not swept.handed_over:
            return swept, records
    raise AssertionError(f"handed over again and again: {records}")


def set_versioning(world: World, status: str) -> None:
    world.s3.put_bucket_versioning(Bucket="backups1", VersioningConfiguration={"Status": status})


@pytest.mark.parametrize("events", orders(3), ids=str)
def test_a_bucket_that_begins_to_keep_versions_in_the_middle_of_a_day(
    either_path: World, events: tuple[int, ...]
) -> None:
    """The event of the first upload names no version: by then, the key holds the newest upload."""
    world = either_path
    notices = [world.upload(b"before versioning", at=MORNING)]
    set_versioning(world, "Enabled")
    notices += [
        world.upload(body, at=MORNING + hours * HOUR)
        for hours, body in enumerate([b"second", b"third"], start=1)
    ]
    for number in events:
        world.promote(notices[number], now=MORNING + 3 * HOUR)
    swept, _ = settle(world, at=MORNING + 3 * HOUR)
    assert world.bodies() == {SLOT: b"before versioning"}
    assert world.lying() == [b"third", b"second"]
    assert (swept.waiting, swept.contested, swept.versions) == (0, 2, 2)


@pytest.mark.parametrize("events", orders(3), ids=str)
@pytest.mark.parametrize("resumed", [False, True], ids=["suspended", "and enabled again"])
def test_a_bucket_whose_versioning_is_suspended_in_the_middle_of_a_day(
    world: World, events: tuple[int, ...], *, resumed: bool
) -> None:
    set_versioning(world, "Enabled")
    notices = [world.upload(b"first", at=MORNING)]
    set_versioning(world, "Suspended")
    notices.append(world.upload(b"while suspended", at=MORNING + HOUR))
    if resumed:
        set_versioning(world, "Enabled")
    notices.append(world.upload(b"third", at=MORNING + 2 * HOUR))
    for number in events:
        world.promote(notices[number], now=MORNING + 3 * HOUR)
    swept, _ = settle(world, at=MORNING + 3 * HOUR)
    assert world.bodies() == {SLOT: b"first"}
    # While versioning is suspended, each upload replaces the previous one.
    assert world.lying() == ([b"third", b"while suspended"] if resumed else [b"third"])
    assert (swept.waiting, swept.contested) == (0, 1 + resumed)


@pytest.mark.parametrize("status", ["Enabled", "Suspended", None])
def test_what_was_there_before_is_promoted_whatever_the_bucket_keeps_now(
    either_path: World, status: str | None
) -> None:
    """Yesterday's backup and today's, neither of which had an event."""
    world = either_path
    world.upload(b"yesterday", at=MORNING - 24 * HOUR)
    if status:
        set_versioning(world, status)
    if status == "Enabled":
        world.upload(b"today", at=MORNING)
    _, records = settle(world, at=MORNING + HOUR)
    assert {record.outcome for record in records} == {Outcome.PROMOTED}
    assert "2026-11-22.tar.gz.gpg" in world.bodies()
    assert world.lying() == []


def test_null_is_no_identity(world: World) -> None:
    """Two uploads of a slot with the same address: the second is contested, and stays."""
    set_versioning(world, "Suspended")
    world.promote(world.upload(b"first", at=MORNING), now=MORNING)
    world.upload(b"another", at=MORNING + HOUR)
    swept, records = settle(world, at=MORNING + 2 * HOUR)
    assert world.bodies() == {SLOT: b"first"}
    assert world.lying() == [b"another"]
    assert (swept.waiting, swept.contested) == (0, 1)
    assert not {record.outcome for record in records} - {Outcome.CONTESTED}


def test_an_event_without_a_version_settles_the_version_that_it_looked_at(world: World) -> None:
    first = world.upload(b"first", at=MORNING)
    assert first == Notification(key=DAILY)
    set_versioning(world, "Enabled")
    assert world.promote(first, now=MORNING).version_id == "null"
    assert world.lying() == []
