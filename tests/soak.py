"""Histories at random for as long as you like: `make soak`, or one again with ARGS="--seed 7"."""

import argparse
import random
import sys
import time

# First: it takes the credentials of whoever runs this out of the environment.
import tests.conftest  # noqa: F401 # isort: skip

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.history import LAYOUTS, Stage, stage

HISTORIES_A_SEED = 100
STEPS_A_HISTORY = 50


def main() -> int:
    """Go through seed after seed; 1 at the first that breaks a promise, with the way to repeat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--shorten", action="store_true", help="shorten what fails: minutes")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    seeds = steps = runs = 0
    while not seeds or (arguments.seed is None and time.monotonic() < end):
        number = arguments.seed
        if number is None:
            number = random.SystemRandom().randrange(10**9)
        begun = time.monotonic()
        try:
            with stage() as here:
                soak(number, shorten=arguments.shorten)
        except BaseException:
            print(f"seed {number}: FAILED; make soak ARGS='--seed {number}'", flush=True)
            raise
        seeds, steps, runs = seeds + 1, steps + here.steps, runs + here.runs
        print(told(number, here, time.monotonic() - begun), flush=True)
    print(f"{seeds} seeds, {steps:,} steps, {runs:,} runs of promote: every promise held")
    return 0


def soak(number: int, *, shorten: bool) -> None:
    """The histories of one seed, always the same ones."""
    for layout in LAYOUTS.values():
        run_state_machine_as_test(
            seed(number)(type(f"{layout.__name__}{number}", (layout,), {})),
            settings=settings(
                max_examples=HISTORIES_A_SEED,
                stateful_step_count=STEPS_A_HISTORY,
                database=None,
                deadline=None,
                phases=[Phase.generate, *([Phase.shrink] if shorten else [])],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def told(number: int, here: Stage, seconds: float) -> str:
    return f"seed {number}: {here.steps:,} steps, {here.runs:,} runs, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
