"""Measures `backups status` of many servers, in a young and in an old vault."""

import sys

from rich.console import Console

from benchmarks.listing import DAY, HOUR
from benchmarks.measuring import measure, request_dollars
from benchmarks.serving import Measurement
from benchmarks.tables import Target, table

SERVERS = 50
AGES = {"50 days": 50, "10 years": 3652}
NIGHTLY, HOURLY = ("%Y-%m-%d.tar.gz.gpg", DAY), ("%Y-%m-%d.%H.sql.gz.gpg", HOUR)
RULES = {"nightly": [NIGHTLY], "nightly, hourly": [NIGHTLY, HOURLY]}
MOST_SECONDS = 10


def report(console: Console) -> list[Target]:
    """Print what the screens take; the targets are time and number of requests."""
    rows, seconds, requests = [], {}, {}
    for rules, patterns in RULES.items():
        for age, days in AGES.items():
            measurement = _show(patterns, days=days)
            # Python works on one response at a time, so its own work adds to S3's time.
            seconds[rules, age] = measurement.seconds + measurement.cpu
            requests[rules, age] = sum(measurement.requests.values())
            rows.append(
                [
                    rules,
                    age,
                    f"{sum(SERVERS * int(days * DAY / apart) for _, apart in patterns):,}",
                    f"{requests[rules, age]:,}",
                    f"{measurement.requests['list_object_versions']:,}",
                    f"{measurement.seconds:.1f}",
                    f"{measurement.cpu:.1f}",
                    f"{seconds[rules, age]:.1f}",
                    f"{measurement.megabytes:.0f}",
                    f"{request_dollars(measurement):.6f}",
                ]
            )
    columns = ["backups", "age of the vault", "number", "requests", "lists", "S3 s", "CPU s"]
    table(
        console,
        f"backups status of {SERVERS} servers (model of S3)",
        [*columns, "total s", "peak MB", "dollars"],
        rows,
    )
    young, old = AGES
    return [
        target
        for rules in RULES
        for target in (
            Target(
                f"a status of {old} ({rules}): within {MOST_SECONDS} s",
                met=seconds[rules, old] <= MOST_SECONDS,
                measured=f"{seconds[rules, old]:.1f} s",
            ),
            Target(
                f"a status of {old} ({rules}): no more requests than of {young}",
                met=requests[rules, old] <= requests[rules, young],
                measured=f"{requests[rules, old]} and {requests[rules, young]}",
            ),
        )
    ]


def _show(patterns: list[tuple[str, float]], *, days: int) -> Measurement:
    measurement = measure(
        [
            *(sys.executable, "-m", "benchmarks.shown", "--servers", str(SERVERS)),
            *(pattern for pattern, _ in patterns),
        ],
        uploads={},
        dated={
            f"backups2/server{server}/{pattern}": (int(days * DAY / apart), apart)
            for server in range(SERVERS)
            for pattern, apart in patterns
        },
    )
    # Each server and rule has a line of its own.
    is_complete = int(measurement.output.splitlines()[-1]) > SERVERS * len(patterns)
    if measurement.status or not is_complete:
        raise AssertionError(measurement.output)
    return measurement
