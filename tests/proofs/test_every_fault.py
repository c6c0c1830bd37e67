"""Every fault at every request, on both paths: no promise is broken, and the next run completes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.notification import Notification
from tests.proofs.invariants import INCOMING, VAULT, Uploaded, check, keep, look, put_back
from tests.proofs.remembered_reads import RememberedReads
from tests.support.faults import EVERY_FAULT, Killed, at, for_a_while, slow_down
from tests.support.wire import Wire
from tests.support.world import DAILY, World

EVENING = datetime.now(UTC).replace(hour=22, minute=30, microsecond=0) - timedelta(days=2)
FIRST, SECOND = b"a copy of two parts", b"something else"
SLOT = f"{EVENING:%Y-%m-%d}.tar.gz.gpg"
# botocore sends a request three times, and the app sends it five times while there are conflicts.
LASTING = 16


SCENES = {
    "a free slot": [FIRST],
    "a slot that is taken": [SECOND, FIRST],
    "a slot that holds this upload": [FIRST, FIRST],
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The upload to promote, all uploads so far, and the contents of each bucket before the run."""

    notice: Notification
    uploads: list[Uploaded]
    contents: dict[str, Any]

    def begin(self) -> None:
        """Restore the buckets for the next case: uploading again would take longer."""
        for name, kept in self.contents.items():
            put_back(name, kept)


@pytest.fixture
def remembering(any_world: World, wire: Wire) -> World:
    return any_world.with_buckets(s3=RememberedReads(any_world.s3, wire))


@pytest.fixture(params=SCENES)
def scene(remembering: World, request: pytest.FixtureRequest) -> Scene:
    return make_scene(remembering, request.param)


def make_scene(world: World, name: str) -> Scene:
    """Upload these bodies one after another, and promote all but the last."""
    bodies, notices = SCENES[name], []
    for body in bodies:
        if notices:
            world.promote(notices[-1])
        notices.append(world.upload(body, at=EVENING))
    uploads = [
        Uploaded(key=DAILY, body=body, at=EVENING, version_id=notice.version_id)
        for body, notice in zip(bodies, notices, strict=True)
    ]
    contents = {name: keep(name) for name in (INCOMING, VAULT)}
    return Scene(notice=notices[-1], uploads=uploads, contents=contents)


def run(world: World, scene: Scene) -> Outcome | None:
    """Run once, and check that no promise was broken. Returns None if it failed or was killed."""
    before, outcome = look(), None
    try:
        outcome = world.promote(scene.notice).outcome
    except (ClientError, BotoCoreError, Killed):
        pass
    finally:
        check(before, look(), uploads=scene.uploads, policy=world.promoter.policy)
    return outcome


def settles(world: World, wire: Wire, scene: Scene) -> None:
    """Check that without faults, one more run leaves nothing to do and nothing behind."""
    wire.mend()
    assert run(world, scene) is not None
    held, (first, *others) = look(), [upload.body for upload in scene.uploads]
    assert held.unfinished == ()
    assert [version.body for version in held.vault[SLOT]] == [first]
    left = [version.body for version in held.incoming]
    assert left == [body for body in others if body != first]


def requests_of(world: World, wire: Wire, scene: Scene) -> int:
    scene.begin()
    wire.sent.clear()
    assert run(world, scene) is not None
    return len(wire.sent)


def test_a_fault_at_any_request_breaks_no_promise_and_the_next_run_ends_it(
    remembering: World, wire: Wire, scene: Scene
) -> None:
    requests = requests_of(remembering, wire, scene)
    assert requests >= 2
    single = product(EVERY_FAULT, [1])
    lasting = product(["500", "409", "a slow answer", "500 after the commit"], [LASTING])
    for (name, times), number in product([*single, *lasting], range(1, requests + 1)):
        scene.begin()
        wire.plan(at(number, *[EVERY_FAULT[name]] * times))
        try:
            run(remembering, scene)
            settles(remembering, wire, scene)
        except BaseException as error:
            error.add_note(f"{name}, {times} times from request {number} on: {wire.sent[-20:]}")
            raise


def test_killed_at_any_request_nothing_more_is_sent_and_the_next_run_ends_it(
    remembering: World, wire: Wire, scene: Scene
) -> None:
    for number in range(requests_of(remembering, wire, scene)):
        scene.begin()
        wire.sent.clear()
        wire.kill_after(number)
        assert run(remembering, scene) is None
        assert len(wire.sent) == number
        settles(remembering, wire, scene)


def test_throttled_for_a_while_retries_of_the_run_get_through_in_the_end(
    remembering: World, wire: Wire
) -> None:
    scene = make_scene(remembering, "a free slot")
    wire.plan(for_a_while(10, slow_down))
    runs = 1
    while run(remembering, scene) is None:
        runs += 1
    assert runs > 1
    settles(remembering, wire, scene)
