"""Every interleaving of the requests of two promotions of one slot: none breaks the promise.

Each also with a newer upload that arrives at every point, and with one of the two dying at every
point. In parts, the copy has two of them (one, where two would be walked for hours) and one stream,
so that the order of a run's requests is its own. Handed over, the first run has time for one part
only, and a next one goes on. `docs/faults.md` has the numbers.
"""

import io
import os
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.part_plan import plan_parts
from chalicelib.record import Notice
from tests.interleaving import Scene, Walk
from tests.promise import Uploaded
from tests.world import DAILY, PARTS, SINGLE, World

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRST, SECOND, NEWER = b"the first one", b"the second one", b"the newer one"
# Nothing runs here alone, and being watched would take a third of the time.
pytestmark = pytest.mark.no_cover
DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
LIMITS = {
    "at once": SINGLE,
    "in one part": replace(PARTS, part=14, streams=1),
    "in two parts": replace(PARTS, part=6, streams=1),
}


@dataclass(frozen=True)
class Schedules:
    """How many there are: of two runs alone, with an upload, with a death, with both."""

    alone: int
    upload: int
    death: int
    both: int

    @classmethod
    def of(cls, counted: Counter[tuple[int, bool]]) -> "Schedules":
        fewest = min(arrived for arrived, _ in counted)
        return cls(
            alone=counted[fewest, False],
            upload=counted[fewest + 1, False],
            death=counted[fewest, True],
            both=counted[fewest + 1, True],
        )


def put(world: World, body: bytes, minute: int) -> Uploaded:
    at = NOW - timedelta(minutes=60 - minute)
    notice = world.upload(body, at=at)
    return Uploaded(key=DAILY, body=body, at=at, version_id=notice.version_id)


def of_one_upload(world: World, newer: bytes) -> Scene:
    """Its event comes twice; what runs after the newer upload has come finds that one."""
    upload = put(world, FIRST, 0)
    notice = Notice(key=DAILY, version_id=upload.version_id)
    return Scene(
        world=world,
        uploads=(upload,),
        arrivals=((newer, NOW - timedelta(minutes=10)),),
        notices=(notice, notice),
        after=(0, 0),
        now=NOW,
    )


def of_two_uploads(world: World, newer: bytes) -> Scene:
    """Where no versions are kept, the second takes the first one's place, at any point."""
    arrival = (newer, NOW - timedelta(minutes=10))
    first = put(world, FIRST, 0)
    if first.version_id is None:
        return Scene(
            world=world,
            uploads=(first,),
            arrivals=((SECOND, NOW - timedelta(minutes=30)), arrival),
            notices=(Notice(key=DAILY), Notice(key=DAILY)),
            after=(0, 1),
            now=NOW,
        )
    second = put(world, SECOND, 30)
    return Scene(
        world=world,
        uploads=(first, second),
        arrivals=(arrival,),
        notices=tuple(Notice(key=DAILY, version_id=one.version_id) for one in (first, second)),
        after=(0, 0),
        now=NOW,
    )


def of_one_handed_over(world: World, newer: bytes) -> Scene:
    """The first run's time is up after one part; the next run goes on with the second."""
    return replace(of_one_upload(world, newer), hurried=True)


def of_two_handed_over(world: World, newer: bytes) -> Scene:
    return replace(of_two_uploads(world, newer), hurried=True)


@dataclass(frozen=True)
class Row:
    """A scene, and how many schedules it has. A large one takes minutes."""

    path: str
    incoming: str
    scene: Callable[[World, bytes], Scene]
    newer: bytes
    schedules: Schedules
    large: bool = False

    def __str__(self) -> str:
        scene = self.scene.__name__.replace("_", " ")
        newer = "other bytes" if self.newer == NEWER else "the same bytes"
        return f"{self.path}, {self.incoming}, {scene}, {newer}"


ONE, TWO = of_one_upload, of_two_uploads
ONE_ON, TWO_ON = of_one_handed_over, of_two_handed_over
AT_ONCE, IN_ONE_PART, IN_TWO_PARTS = LIMITS
BARE, VERSIONED = "unversioned", "versioned"
TABLE = [
    Row(AT_ONCE, BARE, ONE, NEWER, Schedules(342, 34_364, 1_252, 125_068)),
    Row(AT_ONCE, BARE, ONE, FIRST, Schedules(342, 4_100, 1_252, 14_312)),
    Row(AT_ONCE, BARE, TWO, NEWER, Schedules(1_904, 192_125, 6_972, 699_317)),
    Row(AT_ONCE, BARE, TWO, FIRST, Schedules(1_904, 173_798, 6_972, 632_119)),
    Row(AT_ONCE, VERSIONED, ONE, NEWER, Schedules(342, 4_100, 1_252, 14_212)),
    Row(AT_ONCE, VERSIONED, TWO, NEWER, Schedules(150, 1_560, 518, 5_130)),
    Row(IN_ONE_PART, BARE, ONE, FIRST, Schedules(20_252, 388_706, 80_962, 1_500_634)),
    Row(
        *(IN_ONE_PART, BARE, TWO, NEWER),
        Schedules(658_175, 7_409_620_309, 2_642_216, 29_691_825_199),
        large=True,
    ),
    Row(
        *(IN_ONE_PART, BARE, TWO, FIRST),
        Schedules(658_175, 7_184_774_286, 2_642_216, 28_790_843_615),
        large=True,
    ),
    Row(
        *(IN_TWO_PARTS, BARE, ONE, NEWER),
        Schedules(77_588, 6_309_987_352, 311_374, 25_436_729_968),
        large=True,
    ),
    Row(
        *(IN_TWO_PARTS, BARE, ONE, FIRST),
        Schedules(77_588, 1_643_590, 311_374, 6_387_896),
        large=True,
    ),
    Row(
        *(IN_TWO_PARTS, BARE, ONE_ON, FIRST),
        Schedules(1_901_624, 50_307_610, 7_601_229, 195_015_577),
        large=True,
    ),
    Row(IN_TWO_PARTS, VERSIONED, ONE, NEWER, Schedules(77_588, 1_643_590, 311_374, 6_302_462)),
    Row(IN_TWO_PARTS, VERSIONED, TWO, NEWER, Schedules(60_398, 1_251_996, 258_958, 5_055_142)),
    Row(
        *(IN_TWO_PARTS, VERSIONED, ONE_ON, NEWER),
        Schedules(1_901_624, 50_307_610, 7_601_229, 193_854_151),
        large=True,
    ),
    Row(
        *(IN_TWO_PARTS, VERSIONED, TWO_ON, NEWER),
        Schedules(1_385_216, 35_708_355, 5_722_044, 141_310_958),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_no_interleaving_breaks_a_promise(
    world: World, log: io.StringIO, row: Row, request: pytest.FixtureRequest
) -> None:
    if row.large and not request.config.getoption("--soak"):
        pytest.skip("takes minutes: make soak")
    if row.incoming == VERSIONED:
        world.keep_versions()
    walk = Walk(row.scene(world.with_limits(LIMITS[row.path]), row.newer))
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        counted = walk.every_schedule()
    print(  # noqa: T201 - what -s shows
        f"{row}: {counted.total():,} schedules of {len(walk.schedules):,} moments, "
        f"{walk.s3.sent:,} requests sent"
    )
    assert Schedules.of(counted) == row.schedules


@pytest.mark.parametrize(("path", "parts"), [(IN_ONE_PART, 1), (IN_TWO_PARTS, 2)])
def test_a_copy_has_the_parts_that_its_name_says(path: str, parts: int) -> None:
    for body in (FIRST, SECOND, NEWER):
        assert len(plan_parts(len(body), LIMITS[path])) == parts


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_numbers_are_in_the_docs(row: Row) -> None:
    counts = (
        row.schedules.alone,
        row.schedules.upload,
        row.schedules.death,
        row.schedules.both,
    )
    cells = [*str(row).split(", "), *(f"{count:,}" for count in counts)]
    assert f"| {' | '.join(cells)} |" in DOCS.read_text()
