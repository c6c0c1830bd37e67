"""No interleaving of servers, promotions and the sweep in one slot breaks a promise.

A multipart copy has two parts (one, if two would take minutes) and one stream, so that the order of
a run's requests is fixed. `docs/faults.md` lists the scenes and the counts.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib import record
from chalicelib.policy.file import parse_policy
from chalicelib.promotion.copy_plan import plan_parts
from localcloud.s3.versions import Order
from tests.proofs.explorer import Arrival, Explorer, Scene
from tests.support.world import PARTS, SINGLE, World

# Other tests cover everything that runs here, and measuring it would take a third of the time.
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# The sweep sends requests for every rule. One is enough.
POLICY = """
timezone = "Etc/UTC"
[[rule]]
upload = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
"""
DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
TUNING = {
    "at once": SINGLE,
    "in one part": replace(PARTS, part=14, streams=1),
    "in two parts": replace(PARTS, part=6, streams=1),
}
AT_ONCE, IN_ONE_PART, IN_TWO_PARTS = TUNING

FIRST, SECOND, NEWER = map(Arrival, (b"the first one", b"the second one", b"the newer one"))
EMPTY = Arrival(b"")
BEGIN, COMPLETE = (Arrival(b"sent in parts", does) for does in ("begins", "completes"))

ONE_EVENT_TWICE = Scene(arrivals=(FIRST, NEWER), arrived=1, events=(0, 0))
TWO_UPLOADS = Scene(arrivals=(FIRST, SECOND), arrived=1, events=(0, 1))
SENT_IN_PARTS = Scene(arrivals=(BEGIN, FIRST, COMPLETE, NEWER), arrived=2, events=(1, 2, 3))
SUSPENDED = replace(TWO_UPLOADS, versioning="suspended")


def swept(scene: Scene, *, times: int = 1, lost: int | None = None) -> Scene:
    """The same scene with a sweep; the event of the step `lost` never arrives."""
    events = tuple(event for event in scene.events if event != lost)
    return replace(scene, events=events, sweeps=times, handed_over=times)


SCENES = {
    "an event comes twice": ONE_EVENT_TWICE,
    "an event comes twice, and the sweep": swept(ONE_EVENT_TWICE),
    "two uploads": TWO_UPLOADS,
    "two uploads, and the sweep": swept(TWO_UPLOADS),
    "two uploads, the first one's event is lost": swept(TWO_UPLOADS, lost=0),
    "two uploads, both events are lost, and two passes": replace(
        swept(TWO_UPLOADS, times=2), events=()
    ),
    "the same bytes twice, and the sweep": swept(replace(TWO_UPLOADS, arrivals=(FIRST, FIRST))),
    "one of three can never be promoted": Scene(
        arrivals=(EMPTY, FIRST, NEWER), arrived=2, events=(0, 1, 2)
    ),
    "one is sent in parts meanwhile": SENT_IN_PARTS,
    "one is sent in parts meanwhile, its event is lost": swept(SENT_IN_PARTS, lost=2),
    "one is sent in parts meanwhile, the other's event is lost": swept(SENT_IN_PARTS, lost=1),
    "one from before versions were kept, and the sweep": swept(
        replace(TWO_UPLOADS, versioning="adopted")
    ),
    "one overwrites the other while versioning is suspended": replace(SUSPENDED, mind_the_gap=True),
    "an event comes twice, no versions are kept": replace(ONE_EVENT_TWICE, versioning="never"),
    "an event comes twice, nothing arrives, no versions are kept": Scene(
        arrivals=(FIRST,), arrived=1, events=(0, 0), versioning="never"
    ),
    "one overwrites the other, no versions are kept": replace(TWO_UPLOADS, versioning="never"),
    "one overwrites the other, no versions are kept, and the sweep": swept(
        replace(TWO_UPLOADS, versioning="never")
    ),
}


# How a scene is copied in parts if two parts would take many minutes to explore.
IN_PARTS = {
    "an event comes twice, and the sweep": None,
    "one overwrites the other while versioning is suspended": IN_ONE_PART,
    "one overwrites the other, no versions are kept": IN_ONE_PART,
    "an event comes twice, no versions are kept": None,
    "one overwrites the other, no versions are kept, and the sweep": None,
}
# Copied in parts, these take some ten seconds each.
LARGE = {
    "two uploads, and the sweep",
    "two uploads, both events are lost, and two passes",
    "the same bytes twice, and the sweep",
    "one is sent in parts meanwhile, its event is lost",
    "one is sent in parts meanwhile, the other's event is lost",
    "one from before versions were kept, and the sweep",
    "one overwrites the other, no versions are kept",
}


@dataclass(frozen=True)
class Row:
    """A scene, how its copies are made, and S3's order of versions (None: irrelevant)."""

    scene: str
    path: str
    order: Order | None

    def __str__(self) -> str:
        order = {"begun": "by start", "completed": "by completion", None: "either"}[self.order]
        return f"{self.scene} | {self.path} | {order}"


def rows() -> Iterator[Row]:
    """Every scene, copied at once and in parts; multipart uploads are listed in both orders."""
    for name, scene in SCENES.items():
        orders: tuple[Order | None, ...] = (None,)
        if BEGIN in scene.arrivals:
            orders = ("begun", "completed")
        paths = filter(None, (AT_ONCE, IN_PARTS.get(name, IN_TWO_PARTS)))
        yield from (Row(name, path, order) for path in paths for order in orders)


TABLE = list(rows())


@pytest.fixture
def silent() -> Iterator[None]:
    """Drop thousands of log lines."""
    before = record.logger.log_level
    record.logger.setLevel(logging.CRITICAL)
    yield
    record.logger.setLevel(before)


def explorer_of(world: World, scene: Scene, path: str) -> Explorer:
    world = world.with_tuning(TUNING[path]).with_policy(parse_policy(POLICY))
    return Explorer(world, scene, NOW)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_no_interleaving_breaks_a_promise(
    world: World, silent: None, row: Row, request: pytest.FixtureRequest
) -> None:
    if row.scene in LARGE and row.path != AT_ONCE and not request.config.getoption("--soak"):
        pytest.skip("takes ten seconds: make soak")
    scene = replace(SCENES[row.scene], order=row.order or "begun")
    explorer = explorer_of(world, scene, row.path)
    counts = explorer.explore()
    line = f"| {row} | {counts.quiet:,} | {counts.deaths:,} | {len(explorer.counts):,} |"
    print(line)  # noqa: T201 - what -s shows
    assert line in DOCS.read_text()


def test_the_table_in_the_docs_has_these_rows_and_none_else() -> None:
    listed = re.findall(r"^\| (.*) \|(?: [\d,]+ \|){3}$", DOCS.read_text(), re.MULTILINE)
    assert listed == [str(row) for row in TABLE]


def test_while_versioning_is_suspended_an_upload_can_be_lost_between_a_look_and_the_removal(
    world: World, silent: None
) -> None:
    """No S3 request removes `null` only if it is unchanged; `setup` turns versioning on."""
    with pytest.raises(AssertionError, match=r"lost: .*the second one"):
        explorer_of(world, SUSPENDED, AT_ONCE).explore()


@pytest.mark.parametrize(("path", "parts"), [(IN_ONE_PART, 1), (IN_TWO_PARTS, 2)])
def test_a_copy_has_the_parts_that_its_name_says(path: str, parts: int) -> None:
    for arrival in (FIRST, SECOND, NEWER, COMPLETE):
        assert len(plan_parts(len(arrival.body), TUNING[path])) == parts
