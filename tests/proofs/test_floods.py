"""An intruder uploads thousands of times: the first keeps its slot, and no other key is delayed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.policy.decision import Outcome
from chalicelib.policy.file import parse_policy
from chalicelib.promotion.buckets import MOST_LOOKS
from chalicelib.promotion.notification import Notification
from chalicelib.watching.sweep import MOST_OF_A_KEY
from localcloud.clock import clock
from tests.support.flood import flood
from tests.support.wire import Wire
from tests.support.world import DAILY, World, bucket, with_buckets

MORNING = datetime(2026, 11, 23, 8, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SLOT = "2026-11-23.tar.gz.gpg"
FLEET = parse_policy(
    """
timezone = "Etc/UTC"
servers = ["db1", "web1", "web2"]
[[rule]]
upload = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
min_bytes = 4
"""
)
FLOODED = f"web1/{DAILY}"
FLOOD, PAGE = 10_000, 1000


@pytest.mark.parametrize(
    ("body", "lists"),
    [
        # The next older upload is enough to show which one is not the first.
        pytest.param(b"rubbish", 1, id="that could be promoted"),
        # Lists show, page by page, that these uploads can never be promoted.
        pytest.param(b"no", FLOOD // PAGE + 1, id="that are too small"),
    ],
)
def test_ten_thousand_uploads_during_a_copy_change_nothing_and_cost_some_requests_each(
    versioned: World, body: bytes, lists: int
) -> None:
    world, wire = versioned.with_policy(FLEET), Wire(versioned.s3)
    first = world.upload(b"first", key=FLOODED, at=MORNING)
    cost: list[str] = []

    def intrude(operation: str) -> None:
        if operation in {"CopyObject", "UploadPartCopy"}:
            wire.before_each = None
            flood(world, body, key=FLOODED, at=MORNING + SECOND, times=FLOOD)
            late = world.upload(b"a real one", key=FLOODED, at=MORNING + 2 * SECOND)
            before = len(wire.sent)
            assert world.promote(late, now=MORNING + MINUTE).outcome is Outcome.WAITING
            cost.extend(wire.sent[before:])

    wire.before_each = intrude
    assert world.promote(first, now=MORNING + MINUTE).outcome is Outcome.PROMOTED
    assert looks(cost) == ["HeadObject"] * 2 + ["ListObjectVersions"] * lists + ["HeadObject"]
    assert world.bodies() == {f"web1/{SLOT}": b"first"}
    # From now on, an upload of the flood costs one lookup in each bucket.
    wire.sent.clear()
    world.promote(Notification(key=FLOODED, version_id="flood-1"), now=MORNING + MINUTE)
    assert looks(wire.sent) == ["HeadObject"] * 2


def looks(sent: list[str]) -> list[str]:
    """Without the parts of a copy, and without the search for leftover parts."""
    return [name for name in sent if name in {"HeadObject", "ListObjectVersions"}]


def test_of_a_flood_that_only_a_look_reveals_so_many_are_looked_at(world: World) -> None:
    """No list shows that a customer's key was used. (The bucket's policy refuses such uploads.)"""
    world.keep_versions()
    world, wire = world.with_policy(FLEET), Wire(world.s3)
    flood(world, b"sealed", key=FLOODED, at=MORNING, times=2 * MOST_LOOKS)
    for version in bucket("backups1").keys.getlist(FLOODED):
        version.encryption = "aws:kms"
    late = world.upload(b"a real one", key=FLOODED, at=MORNING + SECOND)
    before = len(wire.sent)
    assert world.promote(late, now=MORNING + MINUTE).outcome is Outcome.WAITING
    assert wire.sent[before:].count("HeadObject") == 2 + MOST_LOOKS


def test_a_pass_after_a_flood_costs_its_pages_and_hands_over_some_of_it(world: World) -> None:
    world.keep_versions()
    world, wire = world.with_policy(FLEET), Wire(world.s3)
    first = world.upload(b"first", key=FLOODED, at=MORNING)
    flood(world, b"rubbish", key=FLOODED, at=MORNING + SECOND, times=FLOOD)
    clock.stand_at(MORNING + MINUTE)
    world.promote(first, now=MORNING + MINUTE)
    events: list[Any] = []
    at = MORNING + 15 * MINUTE
    wire.sent.clear()
    swept = world.sweeper(events.append).sweep(now=at, scheduled=at)
    assert (swept.contested, swept.versions) == (FLOOD, FLOOD)
    assert len(events) == MOST_OF_A_KEY
    # Each other key has one page, and the list of keys that no rule names has two, because it skips
    # the rest of the flood.
    others = len(FLEET.promotable_keys) - 1
    assert wire.sent.count("ListObjectVersions") == FLOOD // PAGE + others + 2
    assert wire.sent.count("HeadObject") == 1
    assert set(wire.sent) == {"ListObjectVersions", "HeadObject"}


@dataclass
class ManyVersions:
    """Replaces the client: this many pages come before S3's own versions of `key`."""

    s3: Any
    key: str
    pages: int
    listed: int = field(default=0, init=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def list_object_versions(self, **request: Any) -> Any:
        if request.get("Prefix") != self.key:
            return self.s3.list_object_versions(**request)
        if self.listed == self.pages:
            return self.s3.list_object_versions(Bucket=request["Bucket"], Prefix=self.key)
        self.listed += 1
        return {
            "Versions": list(self._versions()),
            "IsTruncated": True,
            "NextKeyMarker": self.key,
            "NextVersionIdMarker": f"page {self.listed}",
        }

    def _versions(self) -> Iterator[dict[str, Any]]:
        version = {
            "Key": self.key,
            "ETag": '"rubbish"',
            "Size": 7,
            "LastModified": MORNING + SECOND,
        }
        for number in range(PAGE):
            yield version | {"VersionId": f"{self.listed}-{number}"}


def test_a_million_versions_of_one_server_delay_no_other(
    world: World, request: pytest.FixtureRequest
) -> None:
    """(30,000 outside `make soak`.) All are handed over, even the first of the flooded slot."""
    pages = 1000 if request.config.getoption("--soak") else 30
    world.keep_versions()
    world = world.with_policy(FLEET)
    for server in FLEET.servers:
        world.upload(b"first", key=f"{server}/{DAILY}", at=MORNING)
    flooded = ManyVersions(world.s3, FLOODED, pages=pages)
    handed_over: dict[str, int] = {}

    def invoke(event: dict[str, Any]) -> None:
        key = event["Records"][0]["s3"]["object"]["key"]
        handed_over[key] = flooded.listed
        world.promoter.promote_all(event, now=at)

    at = MORNING + 6 * MINUTE
    sweeper = with_buckets(world.sweeper(invoke), s3=flooded)
    swept = sweeper.sweep(now=at, scheduled=at)
    assert handed_over == {
        "db1%2Fbackup.tar.gz.gpg": 1,
        "web1%2Fbackup.tar.gz.gpg": pages,
        "web2%2Fbackup.tar.gz.gpg": 2,
    }
    assert set(world.bodies().values()) == {b"first"}
    assert swept.waiting == pages * PAGE + len(FLEET.servers)


def test_a_pass_whose_time_is_up_in_a_flood_has_handed_over_all_others(world: World) -> None:
    world.keep_versions()
    world = world.with_policy(FLEET)
    for server in FLEET.servers:
        world.upload(b"first", key=f"{server}/{DAILY}", at=MORNING)
    flooded = ManyVersions(world.s3, FLOODED, pages=1000)
    events: list[Any] = []
    sweeper = with_buckets(world.sweeper(events.append), s3=flooded)
    at = MORNING + 6 * MINUTE
    left = iter([900.0] * 13)
    swept = sweeper.sweep(now=at, scheduled=at, seconds_left=lambda: next(left, 0.0))
    assert not swept.complete
    assert len(events) == len(FLEET.servers) - 1
    assert flooded.listed <= 3
