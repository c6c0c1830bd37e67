"""Measures `backups list` of a vault with ten years of backups of many servers."""

import sys
from datetime import UTC, datetime, timedelta

from rich.console import Console

from benchmarks.measuring import measure, request_dollars
from benchmarks.serving import Measurement
from benchmarks.tables import Target, table

SERVERS = 50
HOUR, DAY = 3600.0, 86_400.0
YEARS = {"1 year": 365, "10 years": 3652}
RULES = {"nightly": ("%Y-%m-%d.tar.gz.gpg", DAY), "hourly": ("%Y-%m-%d.%H.sql.gz.gpg", HOUR)}
MOST_SECONDS = 20
MOST_MEGABYTES = 200
MOST_GROWTH = 1.2


def report(console: Console) -> list[Target]:
    """Print what the lists take; the targets are the time of nightly backups, and memory."""
    lists = {
        (rule, years): _list(*RULES[rule], days=days)
        for rule in RULES
        for years, days in YEARS.items()
    }
    table(
        console,
        f"backups list --since: {SERVERS} servers, in wall-clock time (model of S3)",
        ["backups", "since", "number", "requests", "seconds", "CPU s", "peak MB", "dollars"],
        [
            [
                rule,
                years,
                f"{SERVERS * YEARS[years] * int(DAY / RULES[rule][1]):,}",
                f"{sum(each.requests.values()):,}",
                f"{each.wall:.1f}",
                f"{each.cpu:.1f}",
                f"{each.megabytes:.0f}",
                f"{request_dollars(each):.6f}",
            ]
            for (rule, years), each in lists.items()
        ],
    )
    nightly = lists["nightly", "10 years"]
    young, old = (lists["hourly", years].megabytes for years in YEARS)
    return [
        Target(
            f"a list of 10 years of nightly backups: within {MOST_SECONDS} s",
            met=nightly.wall <= MOST_SECONDS,
            measured=f"{nightly.wall:.1f} s",
        ),
        Target(
            f"a list of 10 years of nightly backups: within {MOST_MEGABYTES} MB",
            met=nightly.megabytes <= MOST_MEGABYTES,
            measured=f"{nightly.megabytes:.0f} MB",
        ),
        Target(
            f"hourly backups of 10 years: at most {MOST_GROWTH} times the memory of 1 year",
            met=old <= MOST_GROWTH * young,
            measured=f"{old / young:.2f}",
        ),
    ]


def _list(pattern: str, apart: float, *, days: int) -> Measurement:
    number = int(days * DAY / apart)
    since = datetime.now(UTC) - timedelta(days=days)
    measurement = measure(
        [
            *(sys.executable, "-m", "benchmarks.listed"),
            *("--servers", str(SERVERS), "--store-as", pattern, "--since", since.isoformat()),
        ],
        uploads={},
        dated={f"backups2/server{server}/{pattern}": (number, apart) for server in range(SERVERS)},
        clock="jumping",
    )
    # Each key has a line of its own.
    if measurement.status or int(measurement.output.splitlines()[-1]) != SERVERS * (number + 1):
        raise AssertionError(measurement.output)
    return measurement
