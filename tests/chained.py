"""A large upload, and runs that have time for some of its parts."""

from datetime import UTC, datetime, timedelta

from chalicelib.handover import Handover
from chalicelib.part_plan import Limits
from chalicelib.record import Notice, Record
from localcloud.faults import time_for
from localcloud.wire import Wire
from tests.world import World

# Ten parts of eight bytes, one after the other.
BODY = b"a backup that takes much longer to copy than the fifteen minutes that a run has."
ONE_BY_ONE = Limits(single=0, part=8, streams=1, pause=0)
EVENING = datetime.now(UTC).replace(hour=22, minute=30) - timedelta(days=2)
SLOT = f"{EVENING:%Y-%m-%d}.tar.gz.gpg"


def run(world: World, notice: Notice, *, parts: int, handed: Handover | None = None) -> Record:
    """A run whose time is up after as many parts."""
    return world.promoter.promote(
        notice, now=datetime.now(UTC), seconds_left=time_for(parts), handed=handed
    )


def begun(world: World, *, body: bytes = BODY, parts: int = 4) -> tuple[Notice, Handover]:
    """An upload, of which a first run had time to copy some parts."""
    notice = world.upload(body, at=EVENING)
    record = run(world, notice, parts=parts)
    assert record.handover is not None
    return notice, record.handover


def copied_parts(wire: Wire) -> list[int]:
    """The parts that were asked for, in order."""
    return [sent["PartNumber"] for name, sent in wire.calls if name == "UploadPartCopy"]
