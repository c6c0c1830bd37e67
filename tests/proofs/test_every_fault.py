"""Every fault at every request, on both paths: no promise is broken, and one more run ends it."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.notification import Notification
from tests.proofs.invariants import Uploaded, bucket, check, look
from tests.support.faults import EVERY_FAULT, Killed, at, for_a_while, slow_down
from tests.support.wire import Wire
from tests.support.world import DAILY, World

pytestmark = pytest.mark.no_cover
EVENING = datetime.now(UTC).replace(hour=22, minute=30, microsecond=0) - timedelta(days=2)
FIRST, SECOND = b"a copy of two parts", b"something else"
SLOT = f"{EVENING:%Y-%m-%d}.tar.gz.gpg"
# botocore sends a request three times, the app asks five times while there are conflicts.
LASTING = 16


@pytest.fixture(params=["a free slot", "a slot that is taken", "a slot that holds this upload"])
def scene(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def set_up(world: World, scene: str) -> tuple[Notification, list[Uploaded]]:
    """The upload that will be promoted, and all there were."""
    for name in ("backups1", "backups2"):
        bucket(name).keys.clear()
        bucket(name).multiparts.clear()
    notices = []
    bodies = {
        "a free slot": [FIRST],
        "a slot that is taken": [SECOND, FIRST],
        "a slot that holds this upload": [FIRST, FIRST],
    }[scene]
    for body in bodies:
        if notices:
            world.promote(notices[-1])
        notices.append(world.upload(body, at=EVENING))
    uploads = [
        Uploaded(key=DAILY, body=body, at=EVENING, version_id=notice.version_id)
        for body, notice in zip(bodies, notices, strict=True)
    ]
    return notices[-1], uploads


def run(world: World, notice: Notification, uploads: list[Uploaded]) -> Outcome | None:
    """One run, and the check that it broke no promise; None if it failed or was killed."""
    before, outcome = look(), None
    try:
        outcome = world.promote(notice).outcome
    except (ClientError, BotoCoreError, Killed):
        pass
    finally:
        check(before, look(), uploads=uploads, policy=world.promoter.policy)
    return outcome


def settles(world: World, wire: Wire, notice: Notification, uploads: list[Uploaded]) -> None:
    """After the faults one more run leaves nothing to do and nothing behind."""
    wire.mend()
    assert run(world, notice, uploads) is not None
    held = look()
    assert held.unfinished == ()
    assert [one.body for one in held.vault[SLOT]] == [uploads[0].body]
    assert [one.body for one in held.incoming] == [
        upload.body for upload in uploads if upload.body != uploads[0].body
    ]


def requests_of(world: World, wire: Wire, scene: str) -> int:
    notice, uploads = set_up(world, scene)
    wire.sent.clear()
    assert run(world, notice, uploads) is not None
    return len(wire.sent)


def test_a_fault_at_any_request_breaks_no_promise_and_the_next_run_ends_it(
    any_world: World, wire: Wire, scene: str
) -> None:
    requests = requests_of(any_world, wire, scene)
    assert requests >= 2
    single = product(EVERY_FAULT, [1])
    lasting = product(["500", "409", "a slow answer", "500 after the commit"], [LASTING])
    for (name, times), number in product([*single, *lasting], range(1, requests + 1)):
        notice, uploads = set_up(any_world, scene)
        wire.plan(at(number, *[EVERY_FAULT[name]] * times))
        try:
            run(any_world, notice, uploads)
            settles(any_world, wire, notice, uploads)
        except BaseException as error:
            error.add_note(f"{name}, {times} times from request {number} on: {wire.sent[-20:]}")
            raise


def test_killed_at_any_request_nothing_more_is_sent_and_the_next_run_ends_it(
    any_world: World, wire: Wire, scene: str
) -> None:
    for number in range(requests_of(any_world, wire, scene)):
        notice, uploads = set_up(any_world, scene)
        wire.sent.clear()
        wire.kill_after(number)
        assert run(any_world, notice, uploads) is None
        assert len(wire.sent) == number
        settles(any_world, wire, notice, uploads)


def test_throttled_for_a_while_retries_of_the_run_get_through_in_the_end(
    any_world: World, wire: Wire
) -> None:
    notice, uploads = set_up(any_world, "a free slot")
    wire.plan(for_a_while(10, slow_down))
    runs = 1
    while run(any_world, notice, uploads) is None:
        runs += 1
    assert runs > 1
    settles(any_world, wire, notice, uploads)
