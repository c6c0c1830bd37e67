"""Measures one pass of the sweep: nothing to do, after an outage, and a flood of one key."""

import json
import sys
from collections.abc import Mapping

from rich.console import Console

from benchmarks.measuring import FULL_CPU_MB, configured_memory, measure, request_dollars
from benchmarks.serving import Measurement
from benchmarks.tables import Target, table

SERVERS = 50
HOUR = 3600.0
OUTAGE_HOURS = 20
FLOOD = 1_000_000
# An upload is accepted for 168 hours. The flood fills all of these hours except the last.
FLOOD_SECONDS = 167 * HOUR
CASES: Mapping[str, Mapping[str, tuple[int, float]]] = {
    "nothing in incoming": {},
    f"{SERVERS * OUTAGE_HOURS:,} waiting uploads": {
        f"backups1/server{number}/sql.gz.gpg": (OUTAGE_HOURS, HOUR) for number in range(SERVERS)
    },
    f"one key has {FLOOD:,} versions": {
        "backups1/server0/sql.gz.gpg": (FLOOD, FLOOD_SECONDS / FLOOD)
    },
}
# The number of versions that S3 lists in one response.
PAGE = 1000
TIMEOUT = 900


def report(console: Console) -> list[Target]:
    """Print what a pass takes in each case; the targets are its requests, time and memory."""
    memory = configured_memory()
    passes = {name: _sweep(series) for name, series in CASES.items()}
    rows, seconds = [], {}
    for name, measurement in passes.items():
        swept = json.loads(measurement.output.splitlines()[-1])
        # The sweep sends one request after another, so its own work adds to S3's time.
        seconds[name] = measurement.seconds + measurement.cpu * max(1, FULL_CPU_MB / memory)
        rows.append(
            [
                name,
                f"{swept['versions']:,}",
                f"{swept['waiting']:,}",
                f"{swept['handed_over']:,}",
                f"{sum(measurement.requests.values()):,}",
                f"{measurement.seconds:,.1f}",
                f"{measurement.cpu:,.1f}",
                f"{seconds[name]:,.0f}",
                f"{measurement.megabytes:.0f}",
                f"{request_dollars(measurement):.6f}",
            ]
        )
        assert swept["complete"], swept
    columns = ["", "versions", "waiting", "handed over", "requests", "S3 s", "CPU s"]
    columns += [f"total s, {memory} MB", "peak MB", "dollars"]
    table(
        console,
        f"One pass of the sweep: {SERVERS} servers with two rules each (model of S3)",
        columns,
        rows,
    )
    idle, _, flood = passes
    pages = 2 * SERVERS + FLOOD / PAGE
    requests = sum(passes[flood].requests.values())
    return [
        Target(
            f"a sweep over {FLOOD:,} versions: at most 1.5 requests a page",
            met=requests <= 1.5 * pages,
            measured=f"{requests / pages:.2f} ({requests:,} requests)",
        ),
        Target(
            f"a sweep over {FLOOD:,} versions: within {TIMEOUT} s",
            met=seconds[flood] <= TIMEOUT,
            measured=f"{seconds[flood]:.0f} s",
        ),
        Target(
            f"a sweep over {FLOOD:,} versions: at most 1.5 times the memory of an empty sweep",
            met=passes[flood].megabytes <= 1.5 * passes[idle].megabytes,
            measured=f"{passes[flood].megabytes / passes[idle].megabytes:.2f}",
        ),
    ]


def _sweep(series: Mapping[str, tuple[int, float]]) -> Measurement:
    measurement = measure(
        [sys.executable, "-m", "benchmarks.ours", "--sweep", "--servers", str(SERVERS)],
        uploads={},
        series=series,
        clock="summing",
    )
    if measurement.status:
        raise AssertionError(measurement.output)
    return measurement
