"""Many promotions of one slot at once: one winner, and no harm to the others."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.promotion.notification import Notification
from chalicelib.record import Record
from tests.support.world import DAILY, World, bucket

AT_ONCE = 16
TURNS = 5


def promote_at_once(world: World, notices: list[Notification]) -> list[Record]:
    start = threading.Barrier(len(notices))

    def promote(notice: Notification) -> Record:
        start.wait()
        return world.promote(notice)

    with ThreadPoolExecutor(len(notices)) as pool:
        return list(pool.map(promote, notices))


def empty() -> None:
    for name in ("backups1", "backups2"):
        bucket(name).keys.clear()


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> range:
    """In each round. (The interleavings cover every order; these are real threads.)"""
    return range((50 if request.config.getoption("--soak") else 10) // TURNS)


@pytest.mark.parametrize("turn", range(TURNS))
def test_of_many_uploads_for_one_slot_the_first_wins_and_stays_whole(
    versioned: World, turn: int, rounds: range
) -> None:
    for number in rounds:
        bodies = [b"upload %d.%d" % (upload, number) for upload in range(AT_ONCE)]
        notices = [versioned.upload(body) for body in bodies]
        records = promote_at_once(versioned, notices)

        first, *others = [record.outcome.value for record in records]
        assert first == "promoted"
        assert set(others) <= {"contested", "waiting"}
        [stored] = versioned.vault().values()
        assert stored["Body"] == bodies[0]
        assert stored["Metadata"]["source-version-id"] == notices[0].version_id
        again = promote_at_once(versioned, notices[1:])
        assert {record.outcome.value for record in again} == {"contested"}
        [history] = [versioned.s3.list_object_versions(Bucket="backups2")["Versions"]]
        assert len(history) == 1
        assert versioned.unfinished() == []
        assert len(versioned.incoming()) == AT_ONCE - 1
        empty()


def test_one_upload_whose_event_comes_many_times_at_once_is_promoted_once(
    any_world: World,
) -> None:
    for _ in range(5):
        notice = any_world.upload(b"the one")
        records = promote_at_once(any_world, [notice] * 8)
        assert {record.outcome.value for record in records} <= {
            "promoted",
            "already-promoted",
            "gone",
        }
        assert [record.outcome for record in records].count("promoted") == 1
        assert list(any_world.bodies().values()) == [b"the one"]
        assert any_world.incoming() == []
        assert any_world.unfinished() == []
        empty()


def test_uploads_that_overwrite_each_other_while_events_arrive_leave_one_of_them_whole(
    either_path: World,
) -> None:
    def upload_and_promote(number: int) -> Record:
        return either_path.promote(either_path.upload(b"upload %d" % number))

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            records = list(pool.map(upload_and_promote, range(8)))
        outcomes = Counter(record.outcome.value for record in records)
        assert outcomes["promoted"] == 1
        assert set(outcomes) <= {"promoted", "already-promoted", "contested", "gone"}
        [body] = either_path.bodies().values()
        assert body in {b"upload %d" % number for number in range(8)}
        assert either_path.unfinished() == []
        assert either_path.incoming() in ([], [DAILY])
        empty()
