"""Copies that killed runs left unfinished are aborted by later runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.copy_plan import Tuning
from chalicelib.promotion.notification import Notification
from tests.support.faults import Killed
from tests.support.wire import Wire
from tests.support.world import DAILY, PARTS, World

EVENING = datetime.now(UTC).replace(hour=22, minute=30) - timedelta(days=2)
SLOT = f"{EVENING:%Y-%m-%d}.tar.gz.gpg"
LARGE, SMALL = b"too much for one request", b"small"
# One request copies up to 8 bytes; more are copied in parts.
BOTH = Tuning(single=8, part=8, streams=1, pause=0)


def promote_killed(world: World, wire: Wire, notification: Notification) -> None:
    """Promote in a run that is killed after it has started a multipart copy."""
    wire.sent.clear()
    wire.killed_at = 4
    with pytest.raises(Killed):
        world.promote(notification)
    wire.killed_at = None
    assert SLOT in world.unfinished()


def test_a_duplicate_that_is_killed_after_the_other_run_ends(world: World, wire: Wire) -> None:
    """The retry finds nothing to promote, but aborts the unfinished copy."""
    world = world.with_tuning(PARTS)
    notification = world.upload(LARGE, at=EVENING)

    def other_run(operation: str) -> None:
        if operation == "CreateMultipartUpload":
            wire.before_each = None
            assert world.promote(notification).outcome is Outcome.PROMOTED
            wire.killed_at = len(wire.sent) + 1

    wire.before_each = other_run
    with pytest.raises(Killed):
        world.promote(notification)
    wire.killed_at = None
    assert world.unfinished() == [SLOT]
    assert world.promote(notification).outcome is Outcome.GONE
    assert world.unfinished() == []
    assert world.bodies() == {SLOT: LARGE}


def test_a_large_copy_is_killed_and_a_small_upload_takes_its_slot(world: World, wire: Wire) -> None:
    """The small upload is promoted in five requests without cleanup; the last event cleans up."""
    world = world.with_tuning(BOTH)
    large = world.upload(LARGE, at=EVENING)
    promote_killed(world, wire, large)
    small = world.upload(SMALL, at=EVENING)
    outcomes = [world.promote(notification).outcome for notification in (large, small)]
    assert outcomes == [Outcome.PROMOTED, Outcome.GONE]
    assert world.bodies() == {SLOT: SMALL}
    assert world.unfinished() == []


@pytest.mark.parametrize("body", [LARGE, LARGE + b" again"], ids=["the same bytes", "other bytes"])
def test_the_next_large_upload_aborts_stale_copies_of_filled_slots(
    world: World, wire: Wire, body: bytes
) -> None:
    """Lambda has dropped the event of the killed copy, and no other event refers to it."""
    world = world.with_tuning(BOTH)
    promote_killed(world, wire, world.upload(LARGE, at=EVENING))
    world.promote(world.upload(SMALL, at=EVENING))
    assert world.unfinished() == [SLOT]
    next_evening = EVENING + timedelta(days=1)
    world.promote(world.upload(LARGE, at=next_evening))
    assert world.unfinished() == []
    world.s3.create_multipart_upload(Bucket="backups2", Key=SLOT)
    world.promote(world.upload(body, at=next_evening))
    assert world.unfinished() == []


def test_the_retry_of_a_small_upload_that_was_copied_but_not_removed(
    world: World, wire: Wire
) -> None:
    world = world.with_tuning(BOTH)
    promote_killed(world, wire, world.upload(LARGE, at=EVENING))
    small = world.upload(SMALL, at=EVENING)
    wire.sent.clear()
    wire.killed_at = 4
    with pytest.raises(Killed):
        world.promote(small)
    wire.killed_at = None
    assert world.promote(small).outcome is Outcome.ALREADY_PROMOTED
    assert world.unfinished() == []


def test_copies_for_free_slots_and_uploads_of_others_are_left_alone(world: World) -> None:
    world = world.with_tuning(PARTS)
    free_slot = "2020-01-01.tar.gz.gpg"
    for name in (free_slot, "drill/x", f"{SLOT}.of-somebody-else"):
        world.s3.create_multipart_upload(Bucket="backups2", Key=name)
    for outcome in (Outcome.PROMOTED, Outcome.CONTESTED):
        assert world.promote(world.upload(outcome.encode(), at=EVENING)).outcome is outcome
    world.s3.delete_object(Bucket="backups1", Key=DAILY)
    assert world.promote(Notification(key=DAILY)).outcome is Outcome.GONE
    assert sorted(world.unfinished()) == [free_slot, f"{SLOT}.of-somebody-else", "drill/x"]


def test_the_slot_of_a_deleted_backup_counts_as_filled(world: World) -> None:
    world.s3.create_multipart_upload(Bucket="backups2", Key=SLOT)
    world.s3.delete_object(Bucket="backups2", Key=SLOT)
    world.promote(Notification(key=DAILY))
    assert world.unfinished() == []


def test_the_leftovers_of_every_server_and_rule_are_aborted(world: World) -> None:
    policy = replace(world.promoter.policy, servers=("web1", "db1"))
    world = world.with_policy(policy)
    world.promote(world.upload(SMALL, key=f"db1/{DAILY}", at=EVENING))
    world.s3.create_multipart_upload(Bucket="backups2", Key=f"db1/{SLOT}")
    world.promote(Notification(key="web1/sql.gz.gpg"))
    assert world.unfinished() == []
