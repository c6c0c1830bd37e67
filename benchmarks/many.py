"""Measures many small promotions, one at a time."""

import sys

from rich.console import Console

from benchmarks.measuring import measure, request_dollars
from benchmarks.tables import Target, table

PROMOTIONS = 1000
SIZE = 1_000_000
MOST_REQUESTS = 6


def report(console: Console) -> list[Target]:
    """Print the cost of all promotions and of each; the target is the number of requests."""
    command = [sys.executable, "-m", "benchmarks.ours", "--servers"]
    single, many = (
        measure(
            [*command, str(number)],
            uploads={f"backups1/server{n}/sql.gz.gpg": SIZE for n in range(number)},
            clock="summing",
        )
        for number in (1, PROMOTIONS)
    )
    requests = sum(many.requests.values()) / PROMOTIONS
    in_vault = sum(path.startswith("backups2/") for path in many.stored)
    if many.status or in_vault != PROMOTIONS:
        raise AssertionError(f"{in_vault} of {PROMOTIONS} promoted: {many.output}")
    table(
        console,
        f"{PROMOTIONS:,} promotions of 1 MB in one process, one at a time",
        ["", "all", "each"],
        [
            ["requests", f"{requests * PROMOTIONS:,.0f}", f"{requests:g}"],
            ["seconds of S3 (model)", f"{many.seconds:,.0f}", f"{many.seconds / PROMOTIONS:.3f}"],
            [
                "seconds of CPU, start excluded",
                f"{many.cpu - single.cpu:.1f}",
                f"{(many.cpu - single.cpu) / (PROMOTIONS - 1):.4f}",
            ],
            [
                "dollars of requests",
                f"{request_dollars(many):.4f}",
                f"{request_dollars(many) / PROMOTIONS:.7f}",
            ],
            [f"peak MB (for one: {single.megabytes:.0f})", f"{many.megabytes:.0f}", ""],
        ],
    )
    return [
        Target(
            f"1 MB: at most {MOST_REQUESTS} requests",
            met=requests <= MOST_REQUESTS,
            measured=f"{requests:g}",
        )
    ]
