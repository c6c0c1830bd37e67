"""Measures a promotion with several memory settings, each throttled to its share of a CPU."""

import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.certificates import Tls, make_tls
from benchmarks.measuring import FULL_CPU_MB, lambda_dollars, measure
from benchmarks.serving import Measurement
from benchmarks.tables import table

SETTINGS_MB = (512, 1024, FULL_CPU_MB)
SIZES = {"10 MB": 10_000_000, "5 GiB": 5 * 1024**3, "100 GiB": 100 * 1024**3}
# Other work of the machine can only slow a round down, so the best round counts.
ROUNDS = 2
# Only the bundle's modules can be imported, and none is compiled: as in Lambda, where the bundle is
# read-only.
PROMOTE = """
import runpy, sys
sys.path[:0] = [{bundle!r}]
runpy.run_path("benchmarks/ours.py", run_name="__main__")
"""


def report(console: Console, bundle: Path) -> None:
    """Print the CPU time of the requests, and the time that each setting takes, including TLS."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        tls = make_tls(Path(directory))
        _print_cpu(console, bundle, tls)
        if sys.platform == "linux":
            _print_settings(console, bundle, tls)
        else:
            console.print("By memory setting: only Linux can throttle a process as Lambda does.")


def _print_cpu(console: Console, bundle: Path, tls: Tls) -> None:
    rows = []
    for protocol, protocol_tls in (("plain HTTP", None), ("TLS", tls)):
        start, *larger = (_promote(bundle, size, tls=protocol_tls) for size in SIZES.values())
        row = [protocol, f"{start.cpu:.2f}"]
        for measurement in larger:
            each = 1000 * (measurement.cpu - start.cpu) / measurement.requests["upload_part_copy"]
            row += [f"{measurement.cpu:.2f}", f"{each:.1f}", f"{measurement.megabytes:.0f}"]
        rows.append(row)
    first, *others = SIZES
    columns = [
        f"{size}: {column}" for size in others for column in ("CPU s", "ms per part", "peak MB")
    ]
    table(
        console,
        f"CPU of a cold start and one promotion, best of {ROUNDS}",
        ["", f"{first}: CPU s", *columns],
        rows,
    )


def _print_settings(console: Console, bundle: Path, tls: Tls) -> None:
    rows = []
    for memory in SETTINGS_MB:
        row = [str(memory)]
        for size in SIZES.values():
            measurement = _promote(bundle, size, tls=tls, memory=memory)
            dollars = 1000 * lambda_dollars(measurement.wall, memory)
            row += [f"{measurement.wall:.1f}", f"{measurement.seconds:.1f}", f"{dollars:.3f}"]
        rows.append([*row, f"{lambda_dollars(3600, memory):.4f}"])
    columns = [f"{size}: {column}" for size in SIZES for column in ("cold", "warm", "$")]
    table(
        console,
        "By memory setting, throttled to its share of a CPU: wall-clock seconds over TLS, best of "
        f"{ROUNDS}\n(cold: including the start; warm: from the first request on; $: Lambda's price "
        "for 1,000 cold runs)",
        ["MB", *columns, "$ per hour of waiting"],
        rows,
    )


def _promote(bundle: Path, size: int, *, tls: Tls | None, memory: int | None = None) -> Measurement:
    """Return the best round: the least CPU time, or with `memory` the least wall-clock time."""
    code = PROMOTE.format(bundle=str(bundle))
    rounds = [
        measure(
            [sys.executable, "-I", "-S", "-B", "-c", code, "sql.gz.gpg"],
            uploads={"backups1/sql.gz.gpg": size},
            clock="wall" if memory else "jumping",
            tls=tls,
            memory=memory,
        )
        for _ in range(ROUNDS)
    ]
    if failed := [measurement.output for measurement in rounds if measurement.status]:
        raise AssertionError(failed)
    return min(rounds, key=lambda measurement: measurement.wall if memory else measurement.cpu)
