"""Random steps in random order: every promise holds after every step."""

from itertools import count

import pytest

from tests.proofs.state_machine import LAYOUTS, run_histories, stage

# How many steps to run of each layout: together at least 2,000.
STEPS = {"versioned": 1_000, "unversioned": 500, "suspended": 500}
LENGTH = 30


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whatever_happens_in_whatever_order_breaks_no_promise(layout: str) -> None:
    """`make soak` runs other histories, and more of them (see docs/faults.md)."""
    with stage() as here:
        # The length of a history is random, and hypothesis draws other histories as the tests
        # change.
        for number in count():
            missing = -((here.steps - STEPS[layout]) // LENGTH)
            run_histories(LAYOUTS[layout], number, histories=max(missing, 3), steps=LENGTH)
            if here.steps >= STEPS[layout]:
                break
    print(f"{layout}: {here.steps:,} steps, {here.runs:,} runs, {here.passes:,} passes")  # noqa: T201 - what -s shows
