"""Months of backups, then random histories for as long as you like: `make soak`.

To repeat one: ARGS="--seed 7" for histories, ARGS="--month 7" for a month.
"""

import argparse
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

# This import comes first: it removes the user's credentials from the environment.
import tests.conftest  # noqa: F401 # isort: skip

from tests.proofs.simulation import HOUR, month, random_outages
from tests.proofs.state_machine import LAYOUTS, Stage, run_histories, stage
from tests.support.remembered import remember

# Call this here, not in main(), because the processes of the months import this file, too.
remember()

HISTORIES_A_SEED = 100
STEPS_A_HISTORY = 50
DAYS_A_MONTH = 31
LONGEST_OUTAGE = 160 * HOUR


def main() -> int:
    """Simulate the months, then run the histories. Return 1 at the first broken promise.

    How to repeat it is printed first.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long, for histories (10)")
    parser.add_argument("--uploads", type=int, default=100_000, help="of months (100,000)")
    parser.add_argument("--seed", type=int, help="histories of this seed only")
    parser.add_argument("--month", type=int, help="the month of this seed only")
    parser.add_argument("--shorten", action="store_true", help="shorten what fails: minutes")
    arguments = parser.parse_args()
    if arguments.month is not None:
        print(live(arguments.month))
        return 0
    if arguments.seed is None:
        soak_months(arguments.uploads)
    soak_histories(arguments)
    return 0


# Months


@dataclass(frozen=True, kw_only=True)
class Lived:
    """A simulated month in which no promise was broken."""

    seed: int
    uploads: int
    slots: int
    runs: int
    passes: int
    killed: int
    dropped: int
    only_counted: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"month {self.seed}: {self.uploads:,} uploads, {self.slots:,} slots, {self.runs:,} runs"
            f" and {self.passes:,} passes, {self.killed} of them killed, {self.dropped} events "
            f"dropped, {self.only_counted} uploads only counted yet, {self.seconds:.0f} s"
        )


def soak_months(uploads: int) -> None:
    """Simulate months on all cores until they have this many uploads in total."""
    lived: list[Lived] = []
    with ProcessPoolExecutor() as pool:
        seeds = count(1)
        while sum(summary.uploads for summary in lived) < uploads:
            some = [next(seeds) for _ in range(pool._max_workers)]
            for summary in pool.map(live, some):
                lived.append(summary)
                print(summary, flush=True)
    total = sum(summary.uploads for summary in lived)
    print(f"{len(lived)} months, {total:,} uploads: each slot has the first, and none is lost")


def live(number: int) -> Lived:
    """Simulate the month of this seed, always the same. Clocks change in every sixth month."""
    started = time.process_time()
    begin = datetime(2026, 1 + number % 12, 1, tzinfo=UTC)
    try:
        with month(
            seed=number,
            begin=begin,
            days=DAYS_A_MONTH,
            accept_within_hours=168,
            outages=random_outages(number, begin=begin, days=DAYS_A_MONTH, longest=LONGEST_OUTAGE),
            order="completed" if number % 2 else "begun",
        ) as here:
            here.live()
            here.let_all_expire()
    except BaseException:
        print(f"month {number}: FAILED; make soak ARGS='--month {number}'", flush=True)
        raise
    return Lived(
        seed=number,
        uploads=len(here.uploads),
        slots=len(here.stored),
        runs=here.tally.runs,
        passes=here.tally.passes - here.tally.idle_passes,
        killed=here.tally.killed,
        dropped=here.lambda_.dropped,
        only_counted=here.tally.only_counted,
        seconds=time.process_time() - started,
    )


# Histories


def soak_histories(arguments: argparse.Namespace) -> None:
    """Run one seed after another until the time is up."""
    end = time.monotonic() + 60 * arguments.minutes
    seeds = steps = runs = 0
    while not seeds or (arguments.seed is None and time.monotonic() < end):
        number = arguments.seed
        if number is None:
            number = random.SystemRandom().randrange(10**9)
        begun = time.monotonic()
        try:
            with stage() as here:
                for layout in LAYOUTS.values():
                    run_histories(
                        layout,
                        number,
                        histories=HISTORIES_A_SEED,
                        steps=STEPS_A_HISTORY,
                        shorten=arguments.shorten,
                    )
        except BaseException:
            print(f"seed {number}: FAILED; make soak ARGS='--seed {number}'", flush=True)
            raise
        seeds, steps, runs = seeds + 1, steps + here.steps, runs + here.runs
        print(summary_of(number, here, time.monotonic() - begun), flush=True)
    print(f"seeds: {seeds}; steps: {steps:,}; runs of promote: {runs:,}; every promise held")


def summary_of(number: int, here: Stage, seconds: float) -> str:
    return (
        f"seed {number}: {here.steps:,} steps, {here.runs:,} runs, {here.passes:,} passes, "
        f"{seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
