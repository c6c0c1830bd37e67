"""Months in which much goes wrong, and the app's own sweep: every upload reaches its slot."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from localcloud.s3.versions import Order
from tests.proofs.simulation import FAIR, HOUR, MINUTE, Month, month, random_outages
from tests.support.world import DAILY

# Six days later London's clocks go back.
BEGIN = datetime(2026, 10, 19, tzinfo=UTC)
KEY, BODY = f"web1/{DAILY}", b"copied in two parts"


@pytest.mark.parametrize(("order", "seed", "days"), [("begun", 1, 12), ("completed", 2, 4)])
def test_months_in_which_much_goes_wrong_lose_nothing(order: Order, seed: int, days: int) -> None:
    """The same ones every time; `make soak` takes others (see docs/faults.md)."""
    outages = random_outages(seed, begin=BEGIN, days=days, longest=12 * HOUR)
    with month(seed=seed, begin=BEGIN, days=days, order=order, outages=outages) as here:
        here.live()
        here.let_all_expire()
    assert len(here.uploads) > 120 * days


def test_without_any_event_all_is_promoted_within_twenty_minutes() -> None:
    with month(seed=3, begin=BEGIN, days=1, chances=replace(FAIR, lost=1)) as here:
        here.live()
    firsts = [here.winner(stored) for stored in here.stored.values()]
    assert len(firsts) > 100
    for first in firsts:
        assert here.stored[first.slot.name].at - first.completed <= 20 * MINUTE, first


@pytest.mark.parametrize("number", range(5, 10), ids="request {}".format)
def test_a_copy_of_11_minutes_is_made_once_though_a_sweep_comes_in_its_middle(number: int) -> None:
    """From the second request of the copy on, until the removal."""
    with month(seed=4, begin=BEGIN, days=1, chances=FAIR) as here:
        here.timeline.at(BEGIN + 10 * MINUTE, lambda: here.put(KEY, BODY))
        passes = passes_while_a_request_lasts(here, number)
        here.live(servers=False)
    assert passes == [True]
    assert here.wire.sent.count("CreateMultipartUpload") == 1
    assert list(here.promoted.values()) == [1]


@pytest.mark.parametrize("number", range(1, 10), ids="request {}".format)
def test_an_upload_in_parts_is_stored_once_however_long_a_request_of_its_run_lasts(
    number: int,
) -> None:
    """S3 dates it back to its beginning, so the sweep does not leave it to its event."""
    with month(seed=4, begin=BEGIN, days=1, chances=replace(FAIR, large=1)) as here:
        here.timeline.at(BEGIN, lambda: here.begin_in_parts(KEY, lasts=70 * MINUTE))
        passes = passes_while_a_request_lasts(here, number)
        here.live(servers=False)
    assert passes == [True]
    assert here.wire.sent.count("CreateMultipartUpload") <= 2
    assert len(here.stored) == 1


def passes_while_a_request_lasts(here: Month, number: int) -> list[bool]:
    """Let this request of the first run last for 11 minutes; whether the sweep came meanwhile."""
    came: list[bool] = []
    before_each = here.wire.before_each
    assert before_each is not None

    def lasts(operation: str) -> None:
        before_each(operation)
        if here.tally.runs == 1 and here.running[-1].requests == number and not came:
            came.append(False)
            before = here.tally.passes - here.tally.idle_passes
            here.timeline.run_until(here.timeline.now + 11 * MINUTE)
            came[0] = here.tally.passes - here.tally.idle_passes > before

    here.wire.before_each = lasts
    return came
