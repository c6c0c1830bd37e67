"""Measures `backups list` of a vault with ten years of backups of many servers."""

import sys
from datetime import UTC, datetime, timedelta

from rich.console import Console

from benchmarks.measuring import measure, request_dollars
from benchmarks.serving import Measurement
from benchmarks.tables import Target, table

HOUR, DAY = 3600.0, 86_400.0
YEARS = {"1 year": 365, "10 years": 3652}
# The pattern, the seconds between two backups, and the number of servers: a list of all hours of 50
# servers would take longer than the other sections together, and every server takes the same time.
RULES = {
    "nightly": ("%Y-%m-%d.tar.gz.gpg", DAY, 50),
    "hourly": ("%Y-%m-%d.%H.sql.gz.gpg", HOUR, 5),
}
MOST_SECONDS = 20
MOST_MEGABYTES = 200
MOST_GROWTH = 1.2


def report(console: Console) -> list[Target]:
    """Print what the lists take; the targets are the time of nightly backups, and memory."""
    rows, seconds, megabytes = [], {}, {}
    for rule, (pattern, apart, servers) in RULES.items():
        for years, days in YEARS.items():
            number = int(days * DAY / apart)
            measurement = _list(pattern, apart, number=number, servers=servers)
            # Python works on one page at a time, so its own work adds to S3's time.
            seconds[rule, years] = measurement.seconds + measurement.cpu
            megabytes[rule, years] = measurement.megabytes
            rows.append(
                [
                    rule,
                    f"{servers}",
                    years,
                    f"{servers * number:,}",
                    f"{sum(measurement.requests.values()):,}",
                    f"{measurement.seconds:.1f}",
                    f"{measurement.cpu:.1f}",
                    f"{seconds[rule, years]:.0f}",
                    f"{measurement.megabytes:.0f}",
                    f"{request_dollars(measurement):.6f}",
                ]
            )
    columns = ["backups", "servers", "since", "number", "requests", "S3 s", "CPU s", "total s"]
    table(console, "backups list --since (model of S3)", [*columns, "peak MB", "dollars"], rows)
    young, old = (megabytes["hourly", years] for years in YEARS)
    _, nightly = (("nightly", years) for years in YEARS)
    return [
        Target(
            f"a list of 10 years of nightly backups: within {MOST_SECONDS} s",
            met=seconds[nightly] <= MOST_SECONDS,
            measured=f"{seconds[nightly]:.0f} s",
        ),
        Target(
            f"a list of 10 years of nightly backups: within {MOST_MEGABYTES} MB",
            met=megabytes[nightly] <= MOST_MEGABYTES,
            measured=f"{megabytes[nightly]:.0f} MB",
        ),
        Target(
            f"a list of 10 years of hourly backups: at most {MOST_GROWTH} times the memory of 1 "
            "year",
            met=old <= MOST_GROWTH * young,
            measured=f"{old / young:.2f}",
        ),
    ]


def _list(pattern: str, apart: float, *, number: int, servers: int) -> Measurement:
    since = datetime.now(UTC) - timedelta(seconds=number * apart)
    measurement = measure(
        [
            *(sys.executable, "-m", "benchmarks.listed"),
            *("--servers", str(servers), "--store-as", pattern, "--since", since.isoformat()),
        ],
        uploads={},
        dated={f"backups2/server{server}/{pattern}": (number, apart) for server in range(servers)},
    )
    # Each key has a line of its own.
    if measurement.status or int(measurement.output.splitlines()[-1]) != servers * (number + 1):
        raise AssertionError(measurement.output)
    return measurement
