"""What killed runs leave behind does not stay once every event has been seen through."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.copy_plan import Limits
from chalicelib.promotion.notification import Notification
from tests.support.faults import Killed
from tests.support.wire import Wire
from tests.support.world import DAILY, PARTS, World

EVENING = datetime.now(UTC).replace(hour=22, minute=30) - timedelta(days=2)
SLOT = f"{EVENING:%Y-%m-%d}.tar.gz.gpg"
LARGE, SMALL = b"too much for one request", b"small"
# At once up to 8 bytes.
BOTH = Limits(single=8, part=8, streams=1, pause=0)


def killed(here: World, wire: Wire, notice: Notification) -> None:
    """A run that dies when it has begun a copy in parts."""
    wire.sent.clear()
    wire.killed_at = 4
    with pytest.raises(Killed):
        here.promote(notice)
    wire.killed_at = None
    assert SLOT in here.unfinished()


def test_a_duplicate_that_is_killed_after_the_other_run_has_ended(world: World, wire: Wire) -> None:
    """Its retry finds nothing to promote, and yet something to do."""
    here = world.with_limits(PARTS)
    notice = here.upload(LARGE, at=EVENING)

    def the_other_run(operation: str) -> None:
        if operation == "CreateMultipartUpload":
            wire.before_each = None
            assert here.promote(notice).outcome is Outcome.PROMOTED
            wire.killed_at = len(wire.sent) + 1

    wire.before_each = the_other_run
    with pytest.raises(Killed):
        here.promote(notice)
    wire.killed_at = None
    assert here.unfinished() == [SLOT]
    assert here.promote(notice).outcome is Outcome.GONE
    assert here.unfinished() == []
    assert here.bodies() == {SLOT: LARGE}


def test_a_large_copy_that_is_killed_and_a_small_upload_that_takes_its_slot(
    world: World, wire: Wire
) -> None:
    """The small one costs five requests and looks for nothing; the last of the two events does."""
    here = world.with_limits(BOTH)
    large = here.upload(LARGE, at=EVENING)
    killed(here, wire, large)
    small = here.upload(SMALL, at=EVENING)
    outcomes = [here.promote(notice).outcome for notice in (large, small)]
    assert outcomes == [Outcome.PROMOTED, Outcome.GONE]
    assert here.bodies() == {SLOT: SMALL}
    assert here.unfinished() == []


@pytest.mark.parametrize("body", [LARGE, LARGE + b" again"], ids=["the same bytes", "other bytes"])
def test_the_next_large_upload_finds_what_lies_in_taken_slots(
    world: World, wire: Wire, body: bytes
) -> None:
    """Lambda has given up the event of a copy that was killed, and nobody else comes for it."""
    here = world.with_limits(BOTH)
    killed(here, wire, here.upload(LARGE, at=EVENING))
    here.promote(here.upload(SMALL, at=EVENING))
    assert here.unfinished() == [SLOT]
    next_evening = EVENING + timedelta(days=1)
    here.promote(here.upload(LARGE, at=next_evening))
    assert here.unfinished() == []
    here.s3.create_multipart_upload(Bucket="backups2", Key=SLOT)
    here.promote(here.upload(body, at=next_evening))
    assert here.unfinished() == []


def test_a_small_upload_that_was_copied_and_not_removed(world: World, wire: Wire) -> None:
    here = world.with_limits(BOTH)
    killed(here, wire, here.upload(LARGE, at=EVENING))
    small = here.upload(SMALL, at=EVENING)
    wire.sent.clear()
    wire.killed_at = 4
    with pytest.raises(Killed):
        here.promote(small)
    wire.killed_at = None
    assert here.promote(small).outcome is Outcome.ALREADY_PROMOTED
    assert here.unfinished() == []


def test_what_may_still_be_finished_or_is_not_ours_is_left_alone(world: World) -> None:
    here = world.with_limits(PARTS)
    free = "2020-01-01.tar.gz.gpg"
    for name in (free, "drill/x", f"{SLOT}.of-somebody-else"):
        here.s3.create_multipart_upload(Bucket="backups2", Key=name)
    for outcome in (Outcome.PROMOTED, Outcome.CONTESTED):
        assert here.promote(here.upload(outcome.encode(), at=EVENING)).outcome is outcome
    here.s3.delete_object(Bucket="backups1", Key=DAILY)
    assert here.promote(Notification(key=DAILY)).outcome is Outcome.GONE
    assert sorted(here.unfinished()) == [free, f"{SLOT}.of-somebody-else", "drill/x"]


def test_a_deleted_backup_s_slot_counts_as_taken(world: World) -> None:
    world.s3.create_multipart_upload(Bucket="backups2", Key=SLOT)
    world.s3.delete_object(Bucket="backups2", Key=SLOT)
    world.promote(Notification(key=DAILY))
    assert world.unfinished() == []


def test_the_leftovers_of_every_server_and_rule_are_found(world: World) -> None:
    policy = replace(world.promoter.policy, servers=("web1", "db1"))
    here = world.with_policy(policy)
    here.promote(here.upload(SMALL, key=f"db1/{DAILY}", at=EVENING))
    here.s3.create_multipart_upload(Bucket="backups2", Key=f"db1/{SLOT}")
    here.promote(Notification(key="web1/sql.gz.gpg"))
    assert here.unfinished() == []
