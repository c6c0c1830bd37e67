"""What the memory setting, which is a share of a CPU, makes of a promotion: really throttled."""

import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.certificates import Tls, make_tls
from benchmarks.measuring import FULL_CPU_MB, lambda_dollars, measure
from benchmarks.serving import Seen
from benchmarks.tables import table

SETTINGS_MB = (512, 1024, FULL_CPU_MB)
SIZES = {"10 MB": 10_000_000, "5 GiB": 5 * 1024**3, "100 GiB": 100 * 1024**3}
# Whatever else the machine does can only slow a round down: the best one counts.
ROUNDS = 2
# Only what the bundle holds can be imported, and nothing of it is compiled: as in Lambda, where
# the bundle is read-only.
PROMOTE = """
import runpy, sys
sys.path[:0] = [{bundle!r}]
runpy.run_path("benchmarks/ours.py", run_name="__main__")
"""


def report(console: Console, bundle: Path) -> None:
    """Print what the requests cost in CPU, and how long each setting takes, TLS included."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        tls = make_tls(Path(directory))
        _print_cpu(console, bundle, tls)
        if sys.platform == "linux":
            _print_settings(console, bundle, tls)
        else:
            console.print("By memory setting: only Linux can throttle a process as Lambda does.")


def _print_cpu(console: Console, bundle: Path, tls: Tls) -> None:
    rows = []
    for how, given in (("plain HTTP", None), ("TLS", tls)):
        start, *larger = (_promote(bundle, size, tls=given) for size in SIZES.values())
        row = [how, f"{start.cpu:.2f}"]
        for seen in larger:
            each = 1000 * (seen.cpu - start.cpu) / seen.requests["upload_part_copy"]
            row += [f"{seen.cpu:.2f}", f"{each:.1f}", f"{seen.megabytes:.0f}"]
        rows.append(row)
    first, *others = SIZES
    columns = [f"{size}: {what}" for size in others for what in ("CPU s", "ms per part", "peak MB")]
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
            seen = _promote(bundle, size, tls=tls, memory=memory)
            dollars = 1000 * lambda_dollars(seen.wall, memory)
            row += [f"{seen.wall:.1f}", f"{seen.seconds:.1f}", f"{dollars:.3f}"]
        rows.append([*row, f"{lambda_dollars(3600, memory):.4f}"])
    columns = [f"{size}: {what}" for size in SIZES for what in ("cold", "warm", "$")]
    table(
        console,
        "By memory setting, throttled to its share of a CPU, by the wall's clock, over TLS, best "
        f"of {ROUNDS}\n(seconds, cold: with the start, warm: from the first request on; "
        "$: Lambda's for 1,000 cold ones)",
        ["MB", *columns, "$ per hour of waiting"],
        rows,
    )


def _promote(bundle: Path, size: int, *, tls: Tls | None, memory: int | None = None) -> Seen:
    """The best of some rounds: by its CPU time, or where that is limited, by the wall's clock."""
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
    if failed := [seen.output for seen in rounds if seen.status]:
        raise AssertionError(failed)
    return min(rounds, key=lambda seen: seen.wall if memory else seen.cpu)
