"""Measures one audit of many servers without findings, in a young and in an old vault."""

import json
import sys
from collections.abc import Mapping

from rich.console import Console

from benchmarks.measuring import FULL_CPU_MB, configured_memory, measure, request_dollars
from benchmarks.serving import Measurement
from benchmarks.tables import Target, table

SERVERS = 50
RULES = 2
HOUR, DAY = 3600.0, 86_400.0
AGES = {"50 days": 50, "10 years": 3652}
IN_ORDER: Mapping[str, object] = {"findings": {}, "not_checked": []}
MOST_LISTS = 2
MOST_SECONDS = 60
MOST_GROWTH = 1.1


def report(console: Console) -> list[Target]:
    """Print what an audit takes; the targets are its list requests, time and memory."""
    memory = configured_memory()
    audits = {age: _audit(days) for age, days in AGES.items()}
    rows, seconds, lists = [], {}, {}
    for age, measurement in audits.items():
        requests = measurement.requests
        lists[age] = requests["list_object_versions"] / (SERVERS * RULES)
        # The audit sends one request after another, so its own work adds to S3's time.
        seconds[age] = measurement.seconds + measurement.cpu * max(1, FULL_CPU_MB / memory)
        rows.append(
            [
                age,
                f"{SERVERS * AGES[age] * 25:,}",
                f"{sum(requests.values()):,}",
                f"{lists[age]:.2f}",
                f"{measurement.seconds:,.1f}",
                f"{measurement.cpu:,.1f}",
                f"{seconds[age]:,.0f}",
                f"{measurement.megabytes:.0f}",
                f"{request_dollars(measurement):.6f}",
            ]
        )
    columns = ["age of the vault", "objects", "requests", "lists each", "S3 s", "CPU s"]
    columns += [f"total s, {memory} MB", "peak MB", "dollars"]
    table(
        console,
        f"One audit: {SERVERS} servers with an hourly and a nightly rule, all in order (model of "
        "S3)",
        columns,
        rows,
    )
    young, old = AGES
    growth = audits[old].megabytes / audits[young].megabytes
    return [
        Target(
            f"an audit of {old}: at most {MOST_LISTS} list requests for each server and rule",
            met=lists[old] <= MOST_LISTS,
            measured=f"{lists[old]:.2f}",
        ),
        Target(
            f"an audit of {old}: within {MOST_SECONDS} s",
            met=seconds[old] <= MOST_SECONDS,
            measured=f"{seconds[old]:.0f} s",
        ),
        Target(
            f"an audit of {old}: at most {MOST_GROWTH} times the memory of one of {young}",
            met=growth <= MOST_GROWTH,
            measured=f"{growth:.2f}",
        ),
    ]


def _audit(days: int) -> Measurement:
    dated: Mapping[str, tuple[int, float]] = {
        f"backups2/server{number}/{pattern}": (int(days * DAY / apart), apart)
        for number in range(SERVERS)
        for pattern, apart in (
            ("%Y-%m-%d.%H.sql.gz.gpg", HOUR),
            ("%Y-%m-%d.tar.gz.gpg", DAY),
        )
    }
    measurement = measure(
        [sys.executable, "-m", "benchmarks.ours", "--audit", "--servers", str(SERVERS)],
        uploads={},
        dated=dated,
        clock="summing",
    )
    if measurement.status or json.loads(measurement.output.splitlines()[-1]) != IN_ORDER:
        raise AssertionError(measurement.output)
    return measurement
