"""Moves one object from bucket to bucket, with the app and with its alternatives."""

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
from benchmarks.serving import Measurement
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
# Seconds of a run in Lambda, as in .chalice/config.json.
TIMEOUT = 900
# These programs are also measured in wall-clock time, in turns.
WALL_CLOCK_CONTESTANTS = ("ours", "boto3 copy()", "boto3, 250 streams")
WALL_CLOCK_SIZES = ("10 MB", "250 MB", "5 GiB")
ROUNDS = 5
UPLOAD = "backups1/sql.gz.gpg"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One contestant with one size. `why` explains why `measurement` is None, if it is."""

    contestant: str
    size: str
    measurement: Measurement | None
    why: str = ""

    @property
    def bound(self) -> float:
        """The seconds for moving the bytes alone, over as many streams as the contestant used."""
        assert self.measurement
        return SIZES[self.size] / (BANDWIDTH * self.measurement.streams)


@dataclass(frozen=True, kw_only=True)
class WallClockResult:
    """The wall-clock seconds of one contestant, round by round, over HTTP or TLS."""

    contestant: str
    size: str
    protocol: str
    seconds: Sequence[float]


def report(console: Console, sizes: Sequence[str]) -> tuple[list[Result], list[Target]]:
    """Run every contestant with every size and print tables; return results and their targets."""
    memory = configured_memory()
    console.print(
        f"A model of S3: {LATENCY * 1000:.0f} ms per request, {BANDWIDTH / 1e6:.0f} MB/s per copy; "
        f"no bytes move. Seconds are simulated: a program's own work takes none (see CPU s). "
        f"Dollars are the price of the requests and of Lambda's time with {memory} MB, as if each "
        "program ran there.\n"
    )
    competitors = contestants()
    for contestant in competitors:
        console.print(f"{contestant.name} {contestant.version}".strip(), end="")
        console.print(f": {contestant.lacks}" if contestant.lacks else "")
    results = []
    for size in sizes:
        size_results = [_run(contestant, size) for contestant in competitors]
        results += size_results
        _print_results(console, size, size_results, memory)
    commands = {contestant.name: contestant.command for contestant in competitors}
    wall_clock_results = [
        result
        for size in sizes
        if size in WALL_CLOCK_SIZES
        for result in _measure_wall_clock(
            [(name, commands[name]) for name in WALL_CLOCK_CONTESTANTS], size
        )
    ]
    if wall_clock_results:
        _print_wall_clock(console, results, wall_clock_results)
    return results, _targets(results, wall_clock_results)


def _run(contestant: Contestant, size: str) -> Result:
    if not contestant.command:
        return Result(contestant=contestant.name, size=size, measurement=None, why="not installed")
    if contestant.largest and SIZES[size] > contestant.largest:
        return Result(
            contestant=contestant.name,
            size=size,
            measurement=None,
            why="too large for this program",
        )
    measurement = measure(contestant.command, uploads={UPLOAD: SIZES[size]})
    if measurement.status:
        why = measurement.output.strip().rpartition("\n")[2]
        return Result(contestant=contestant.name, size=size, measurement=None, why=why)
    # The move succeeded if the whole object is in the other bucket, and nothing else is left
    # anywhere.
    buckets = [path.partition("/")[0] for path in measurement.stored]
    sizes = list(measurement.stored.values())
    if buckets != ["backups2"] or sizes != [SIZES[size]] or measurement.unfinished:
        raise AssertionError(f"{contestant.name} did not move {size}: {measurement}")
    return Result(contestant=contestant.name, size=size, measurement=measurement)


def _print_results(console: Console, size: str, results: Sequence[Result], memory: int) -> None:
    ours = next(result.measurement for result in results if result.contestant == "ours")
    rows, notes = [], []
    for result in results:
        measurement = result.measurement
        if measurement is None:
            rows.append([result.contestant, "-"])
            notes.append(f"{result.contestant}, {size}: {result.why}")
            continue
        dollars = request_dollars(measurement) + lambda_dollars(measurement.seconds, memory)
        rows.append(
            [
                result.contestant,
                _rounded(measurement.seconds),
                f"{measurement.seconds / ours.seconds:.2f}" if ours else "",
                f"{sum(measurement.requests.values()):,}",
                f"{measurement.streams}",
                _rounded(result.bound),
                f"{dollars:.6f}",
                f"{measurement.cpu:.1f}",
                f"{measurement.megabytes:.0f}",
            ]
        )
    columns = ["", "seconds", "/ ours", "requests", "streams", "bound s", "dollars", "CPU s", "MB"]
    table(console, size, columns, rows)
    for note in notes:
        console.print(note, markup=False)


def _rounded(seconds: float) -> str:
    return f"{seconds:,.2f}" if seconds < 100 else f"{seconds:,.0f}"  # noqa: PLR2004


def _measure_wall_clock(
    commands: Sequence[tuple[str, Sequence[str]]], size: str
) -> list[WallClockResult]:
    """Run each command once in each round, so that other work on the machine slows all of them."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        protocols: Mapping[str, Tls | None] = {"HTTP": None, "TLS": make_tls(Path(directory))}
        seconds: dict[tuple[str, str], list[float]] = {}
        for _, protocol, (name, command) in product(range(ROUNDS), protocols, commands):
            measurement = measure(
                command, uploads={UPLOAD: SIZES[size]}, clock="wall", tls=protocols[protocol]
            )
            if measurement.status:
                raise AssertionError(measurement.output)
            seconds.setdefault((name, protocol), []).append(measurement.seconds)
    return [
        WallClockResult(contestant=name, size=size, protocol=protocol, seconds=rounds)
        for (name, protocol), rounds in seconds.items()
    ]


def _print_wall_clock(
    console: Console, results: Sequence[Result], wall_clock_results: Sequence[WallClockResult]
) -> None:
    simulated = {
        (result.contestant, result.size): result.measurement.seconds
        for result in results
        if result.measurement
    }
    medians = {
        (result.contestant, result.size, result.protocol): median(result.seconds)
        for result in wall_clock_results
    }
    table(
        console,
        f"Wall-clock time, including the program's own work: medians of {ROUNDS} rounds",
        ["", "", "simulated s", "HTTP s", "TLS s"],
        [
            [
                *pair,
                f"{simulated[pair]:.2f}",
                f"{medians[*pair, 'HTTP']:.2f}",
                f"{medians[*pair, 'TLS']:.2f}",
            ]
            for pair in dict.fromkeys(
                (result.contestant, result.size) for result in wall_clock_results
            )
        ],
    )


def _targets(
    results: Sequence[Result], wall_clock_results: Sequence[WallClockResult]
) -> list[Target]:
    """Return the targets for the results, which can be for only a few sizes."""
    by_name = {(result.contestant, result.size): result for result in results if result.measurement}
    targets = []

    def wall_clock(ratio: float | None) -> str:
        return f"; in wall-clock time {ratio:.2f}" if ratio else ""

    def times_faster(size: str, other: str, minimum: float) -> None:
        ours, theirs = by_name.get(("ours", size)), by_name.get((other, size))
        if ours and theirs and ours.measurement and theirs.measurement:
            ratio = theirs.measurement.seconds / ours.measurement.seconds
            wall_clock_ratio = _wall_clock_ratio(wall_clock_results, size, other)
            targets.append(
                Target(
                    f"{size}: at least {minimum:g} times faster than {other}",
                    met=ratio >= minimum,
                    measured=f"{ratio:.2f}{wall_clock(wall_clock_ratio)}",
                )
            )

    def requests(size: str, maximum: int, *, known: str = "") -> None:
        ours = by_name.get(("ours", size))
        if ours and ours.measurement:
            number = sum(ours.measurement.requests.values())
            targets.append(
                Target(
                    f"{size}: at most {maximum} requests",
                    met=number <= maximum,
                    measured=f"{number}",
                    known=known if number == maximum + 1 else "",
                )
            )

    def bound(size: str, maximum: float) -> None:
        ours = by_name.get(("ours", size))
        if ours and (measurement := ours.measurement):
            ratio = measurement.seconds / ours.bound
            fixed = fixed_seconds(measurement)
            targets.append(
                Target(
                    f"{size}: at most {maximum:g} times the bound of {measurement.streams} streams",
                    met=ratio <= maximum,
                    measured=f"{ratio:.2f} ({fixed:.2f} s for requests that copy nothing)",
                )
            )

    times_faster("5 GiB", "boto3 copy()", 8)
    times_faster("5 GiB", "aws s3 mv", 8)
    times_faster("5 GiB", "CopyObject", 60)
    times_faster("5 GiB", "s3cmd mv", 60)
    requests("5 GiB", 140)
    bound("5 GiB", 1.5)
    times_faster("100 GiB", "boto3 copy()", 20)
    bound("100 GiB", 1.5)
    times_faster("250 MB", "boto3 copy()", 1.2)
    requests("250 MB", 20, known="listing older uploads takes one more")
    requests("10 MB", 6)
    return [
        *targets,
        *_wall_clock_targets(wall_clock_results),
        *_memory_targets(by_name),
        *_run_targets(by_name),
    ]


def _wall_clock_ratio(
    results: Sequence[WallClockResult], size: str, other: str, protocol: str = "HTTP"
) -> float | None:
    """Return how many times faster ours was than the other program: the median of the rounds."""
    seconds = {
        (result.contestant, result.size, result.protocol): result.seconds for result in results
    }
    ours, theirs = seconds.get(("ours", size, protocol)), seconds.get((other, size, protocol))
    if not ours or not theirs:
        return None
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def _wall_clock_targets(results: Sequence[WallClockResult]) -> list[Target]:
    other = "boto3, 250 streams"
    return [
        Target(
            f"5 GiB: in wall-clock time at least as fast as {other}, over {protocol}",
            met=ratio >= 1,
            measured=f"{ratio:.2f} times",
        )
        for protocol in ("HTTP", "TLS")
        if (ratio := _wall_clock_ratio(results, "5 GiB", other, protocol))
    ]


def _run_targets(by_name: dict[tuple[str, str], Result]) -> list[Target]:
    result = by_name.get(("ours", "5 TB"))
    if not result or not (measurement := result.measurement):
        return []
    return [
        Target(
            f"5 TB: in one run of {TIMEOUT} s, no part copied twice",
            met=measurement.seconds <= TIMEOUT and not measurement.copied_twice,
            measured=f"{measurement.seconds:.0f} s, {measurement.copied_twice} parts copied twice",
        )
    ]


def _memory_targets(by_name: dict[tuple[str, str], Result]) -> list[Target]:
    small = by_name.get(("ours", "10 MB"))
    if not small or not small.measurement:
        return []
    targets = []
    for size in SIZES:
        result = by_name.get(("ours", size))
        if result and (measurement := result.measurement) and result is not small:
            maximum = 1.3 * small.measurement.megabytes + 2 * measurement.streams
            targets.append(
                Target(
                    f"{size}: peak at most {maximum:.0f} MB (1.3 x that of 10 MB + 2 per stream)",
                    met=measurement.megabytes <= maximum,
                    measured=f"{measurement.megabytes:.0f} MB",
                )
            )
    return targets
