"""One object moved from bucket to bucket: ours beside what one would use instead."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.certificates import Tls, make_tls
from benchmarks.contestants import Contestant, contestants
from benchmarks.measuring import (
    configured_memory,
    fixed_seconds,
    lambda_dollars,
    measure,
    request_dollars,
)
from benchmarks.model import BANDWIDTH, LATENCY
from benchmarks.serving import Seen
from benchmarks.tables import Target, table

GIB = 1024**3
SIZES = {
    "10 MB": 10_000_000,
    "250 MB": 250_000_000,
    "5 GiB": 5 * GIB,
    "100 GiB": 100 * GIB,
    "1 TiB": 1024 * GIB,
    "5 TB": 5_000_000_000_000,
}
# Seconds that a run of Lambda has; .chalice/config.json asks for as many.
TIMEOUT = 900
# Those that are run again by the wall's clock, in turn: by the model they take seconds.
BY_THE_WALL = ("ours", "boto3 copy()", "boto3, 250 streams")
SIZES_BY_THE_WALL = ("10 MB", "250 MB", "5 GiB")
ROUNDS = 5
UPLOAD = "backups1/sql.gz.gpg"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contestant, one size; `seen` is None where it could not do it, and `why` says why."""

    contestant: str
    size: str
    seen: Seen | None
    why: str = ""

    @property
    def bound(self) -> float:
        """Seconds that the bytes take by themselves over the streams that were used."""
        assert self.seen
        return SIZES[self.size] / (BANDWIDTH * self.seen.streams)


@dataclass(frozen=True, kw_only=True)
class Wall:
    """What one contestant took by the wall's clock, round by round, over HTTP or TLS."""

    contestant: str
    size: str
    over: str
    seconds: Sequence[float]


def report(console: Console, sizes: Sequence[str]) -> tuple[list[Run], list[Target]]:
    """Run every contestant with every size, print the tables; the targets that these can judge."""
    memory = configured_memory()
    console.print(
        f"A model of S3: {LATENCY * 1000:.0f} ms per request, {BANDWIDTH / 1e6:.0f} MB/s per copy; "
        f"no bytes move. Seconds are simulated: a program's own work takes none (see CPU s). "
        f"Dollars are the requests and Lambda's time with {memory} MB, as if each ran there.\n"
    )
    present = contestants()
    for contestant in present:
        console.print(f"{contestant.name} {contestant.version}".strip(), end="")
        console.print(f": {contestant.lacks}" if contestant.lacks else "")
    runs = []
    for size in sizes:
        of_this_size = [_run(contestant, size) for contestant in present]
        runs += of_this_size
        _print(console, size, of_this_size, memory)
    commands = {contestant.name: contestant.command for contestant in present}
    walls = [
        wall
        for size in sizes
        if size in SIZES_BY_THE_WALL
        for wall in _by_the_wall([(name, commands[name]) for name in BY_THE_WALL], size)
    ]
    if walls:
        _print_walls(console, runs, walls)
    return runs, _targets(runs, walls)


def _run(contestant: Contestant, size: str) -> Run:
    if not contestant.command:
        return Run(contestant=contestant.name, size=size, seen=None, why="not installed")
    if contestant.largest and SIZES[size] > contestant.largest:
        return Run(contestant=contestant.name, size=size, seen=None, why="too large for it")
    seen = measure(contestant.command, uploads={UPLOAD: SIZES[size]})
    if seen.status:
        why = seen.output.strip().rpartition("\n")[2]
        return Run(contestant=contestant.name, size=size, seen=None, why=why)
    # A move: one object, whole, in the other bucket, and nothing else anywhere.
    places = [path.partition("/")[0] for path in seen.stored]
    if places != ["backups2"] or list(seen.stored.values()) != [SIZES[size]] or seen.unfinished:
        raise AssertionError(f"{contestant.name} did not move {size}: {seen}")
    return Run(contestant=contestant.name, size=size, seen=seen)


def _print(console: Console, size: str, runs: Sequence[Run], memory: int) -> None:
    ours = next(run.seen for run in runs if run.contestant == "ours")
    rows, notes = [], []
    for run in runs:
        seen = run.seen
        if seen is None:
            rows.append([run.contestant, "-"])
            notes.append(f"{run.contestant}, {size}: {run.why}")
            continue
        dollars = request_dollars(seen) + lambda_dollars(seen.seconds, memory)
        rows.append(
            [
                run.contestant,
                _rounded(seen.seconds),
                f"{seen.seconds / ours.seconds:.2f}" if ours else "",
                f"{sum(seen.requests.values()):,}",
                f"{seen.streams}",
                _rounded(run.bound),
                f"{dollars:.6f}",
                f"{seen.cpu:.1f}",
                f"{seen.megabytes:.0f}",
            ]
        )
    columns = ["", "seconds", "/ ours", "requests", "streams", "bound s", "dollars", "CPU s", "MB"]
    table(console, size, columns, rows)
    for note in notes:
        console.print(note, markup=False)


def _rounded(seconds: float) -> str:
    return f"{seconds:,.2f}" if seconds < 100 else f"{seconds:,.0f}"  # noqa: PLR2004


def _by_the_wall(commands: Sequence[tuple[str, Sequence[str]]], size: str) -> list[Wall]:
    """In each round each of them once: whatever else the machine does then, all have to bear."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        ways: Mapping[str, Tls | None] = {"HTTP": None, "TLS": make_tls(Path(directory))}
        seconds: dict[tuple[str, str], list[float]] = {}
        for _, over, (name, command) in product(range(ROUNDS), ways, commands):
            seen = measure(command, uploads={UPLOAD: SIZES[size]}, clock="wall", tls=ways[over])
            if seen.status:
                raise AssertionError(seen.output)
            seconds.setdefault((name, over), []).append(seen.seconds)
    return [
        Wall(contestant=name, size=size, over=over, seconds=taken)
        for (name, over), taken in seconds.items()
    ]


def _print_walls(console: Console, runs: Sequence[Run], walls: Sequence[Wall]) -> None:
    simulated = {(run.contestant, run.size): run.seen.seconds for run in runs if run.seen}
    found = {(wall.contestant, wall.size, wall.over): median(wall.seconds) for wall in walls}
    table(
        console,
        "The same by the wall's clock, the program's own work included: medians of "
        f"{ROUNDS} rounds, in turn",
        ["", "", "simulated s", "HTTP s", "TLS s"],
        [
            [
                *which,
                f"{simulated[which]:.2f}",
                f"{found[*which, 'HTTP']:.2f}",
                f"{found[*which, 'TLS']:.2f}",
            ]
            for which in dict.fromkeys((wall.contestant, wall.size) for wall in walls)
        ],
    )


def _targets(runs: Sequence[Run], walls: Sequence[Wall]) -> list[Target]:
    """What must be reached, as far as it was run: in the model's time, beside the wall's."""
    found = {(run.contestant, run.size): run for run in runs if run.seen}
    targets = []

    def beside(ratio: float | None) -> str:
        return f"; by the wall's clock {ratio:.2f}" if ratio else ""

    def times(size: str, other: str, least: float) -> None:
        ours, theirs = found.get(("ours", size)), found.get((other, size))
        if ours and theirs and ours.seen and theirs.seen:
            ratio = theirs.seen.seconds / ours.seen.seconds
            targets.append(
                Target(
                    f"{size}: at least {least:g} times faster than {other}",
                    met=ratio >= least,
                    measured=f"{ratio:.2f}{beside(_times_by_the_wall(walls, size, other))}",
                )
            )

    def requests(size: str, most: int, *, known: str = "") -> None:
        ours = found.get(("ours", size))
        if ours and ours.seen:
            number = sum(ours.seen.requests.values())
            targets.append(
                Target(
                    f"{size}: at most {most} requests",
                    met=number <= most,
                    measured=f"{number}",
                    known=known if number == most + 1 else "",
                )
            )

    def bound(size: str, most: float) -> None:
        ours = found.get(("ours", size))
        if ours and ours.seen:
            ratio = ours.seen.seconds / ours.bound
            targets.append(
                Target(
                    f"{size}: at most {most:g} times the bound of {ours.seen.streams} streams",
                    met=ratio <= most,
                    measured=f"{ratio:.2f} ({fixed_seconds(ours.seen):.2f} s are requests that "
                    "copy nothing)",
                )
            )

    times("5 GiB", "boto3 copy()", 8)
    times("5 GiB", "aws s3 mv", 8)
    times("5 GiB", "CopyObject", 60)
    times("5 GiB", "s3cmd mv", 60)
    requests("5 GiB", 140)
    bound("5 GiB", 1.5)
    times("100 GiB", "boto3 copy()", 20)
    bound("100 GiB", 1.5)
    times("250 MB", "boto3 copy()", 1.2)
    requests("250 MB", 20, known="the look for older uploads is one more")
    requests("10 MB", 6)
    return [*targets, *_wall_targets(walls), *_memory_targets(found), *_run_targets(found)]


def _times_by_the_wall(
    walls: Sequence[Wall], size: str, other: str, over: str = "HTTP"
) -> float | None:
    """How many times faster than the other ours was, round by round."""
    seconds = {(wall.contestant, wall.size, wall.over): wall.seconds for wall in walls}
    ours, theirs = seconds.get(("ours", size, over)), seconds.get((other, size, over))
    if not ours or not theirs:
        return None
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def _wall_targets(walls: Sequence[Wall]) -> list[Target]:
    other = "boto3, 250 streams"
    return [
        Target(
            f"5 GiB: by the wall's clock at least as fast as {other}, over {over}",
            met=times >= 1,
            measured=f"{times:.2f} times",
        )
        for over in ("HTTP", "TLS")
        if (times := _times_by_the_wall(walls, "5 GiB", other, over))
    ]


def _run_targets(found: dict[tuple[str, str], Run]) -> list[Target]:
    run = found.get(("ours", "5 TB"))
    if not run or not run.seen:
        return []
    return [
        Target(
            f"5 TB: in one run of {TIMEOUT} s, no part copied twice",
            met=run.seen.seconds <= TIMEOUT and not run.seen.copied_twice,
            measured=f"{run.seen.seconds:.0f} s, {run.seen.copied_twice} parts twice",
        )
    ]


def _memory_targets(found: dict[tuple[str, str], Run]) -> list[Target]:
    small = found.get(("ours", "10 MB"))
    if not small or not small.seen:
        return []
    targets = []
    for size in SIZES:
        run = found.get(("ours", size))
        if run and run.seen and run is not small:
            most = 1.3 * small.seen.megabytes + 2 * run.seen.streams
            targets.append(
                Target(
                    f"{size}: peak at most {most:.0f} MB (1.3 x that of 10 MB + 2 per stream)",
                    met=run.seen.megabytes <= most,
                    measured=f"{run.seen.megabytes:.0f} MB",
                )
            )
    return targets
