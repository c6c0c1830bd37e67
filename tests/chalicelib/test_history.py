"""Whatever happens, in whatever order: what was promised holds after every step."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.history import History, stage

ENOUGH = 2000


def test_whatever_happens_in_whatever_order_breaks_no_promise() -> None:
    """The same histories every time; `make soak` takes others (see docs/faults.md)."""
    with stage() as here:
        run_state_machine_as_test(
            History,
            settings=settings(
                max_examples=140,
                stateful_step_count=30,
                derandomize=True,
                # Shortening a history that fails takes minutes: `make soak` does, if asked to.
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    print(f"{here.steps:,} steps, {here.runs:,} runs")  # noqa: T201 - what -s shows
    assert here.steps >= ENOUGH
