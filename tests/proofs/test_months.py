"""Months in which much goes wrong, and the app's own sweep: every upload reaches its slot."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from localcloud.s3.versions import Order
from tests.proofs.simulation import (
    DAY,
    FAIR,
    HOUR,
    MINUTE,
    Chances,
    Month,
    Outage,
    month,
    random_outages,
)
from tests.support.world import DAILY

# London's clocks go back a day later.
BEGIN = datetime(2026, 10, 24, tzinfo=UTC)
KEY, BODY = f"web1/{DAILY}", b"copied in two parts"
# Probabilities high enough that every kind of event happens within three days.
DENSE = Chances(second=0.05, intruder=0.02, fault=0.02)


def outage(kind: str, hour: int, *, hours: int) -> Outage:
    begin = BEGIN + hour * HOUR
    return Outage(kind=kind, begin=begin, end=begin + hours * HOUR)


@pytest.mark.parametrize(
    ("order", "seed", "longest", "other"),
    [("begun", 1, "lambda", "s3"), ("completed", 2, "s3", "lambda")],
)
def test_days_in_which_everything_goes_wrong_lose_nothing(
    order: Order, seed: int, longest: str, other: str
) -> None:
    """The months are the same every time; `make soak` runs others (see docs/faults.md)."""
    outages = (
        outage(longest, 5, hours=12),
        outage("network", 27, hours=2),
        outage("invoke", 33, hours=2),
        outage(other, 45, hours=2),
    )
    with month(seed=seed, begin=BEGIN, days=3, order=order, outages=outages, chances=DENSE) as here:
        here.live()
        here.let_all_expire()
    assert len(here.uploads) > 360
    assert here.tally.lacks == set()
    # An outage outlasted Lambda's retries, and the clocks showed an hour twice.
    assert here.lambda_.dropped
    assert "web1/2026-10-25.01b.sql.gz.gpg" in here.stored
    # Both kinds of copies were made, some copies were aborted, and uploads expired.
    sent = set(here.wire.sent)
    assert sent >= {"CopyObject", "CompleteMultipartUpload", "AbortMultipartUpload"}
    assert here.expired


@pytest.mark.parametrize(("order", "seed", "days"), [("begun", 1, 12), ("completed", 2, 4)])
def test_longer_periods_lose_nothing(
    order: Order, seed: int, days: int, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--soak"):
        pytest.skip("takes a minute: make soak")
    begin = BEGIN - 5 * DAY
    outages = random_outages(seed, begin=begin, days=days, longest=12 * HOUR)
    with month(seed=seed, begin=begin, days=days, order=order, outages=outages) as here:
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
    """From the second request of the copy on, until the removal"""
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
    """S3 dates it from its start, so the sweep does not leave it to its event."""
    with month(seed=4, begin=BEGIN, days=1, chances=replace(FAIR, large=1)) as here:
        here.timeline.at(BEGIN, lambda: here.begin_in_parts(KEY, lasts=70 * MINUTE))
        passes = passes_while_a_request_lasts(here, number)
        here.live(servers=False)
    assert passes == [True]
    assert here.wire.sent.count("CreateMultipartUpload") <= 2
    assert len(here.stored) == 1


def passes_while_a_request_lasts(here: Month, number: int) -> list[bool]:
    """Let this request of the first run last 11 minutes; return whether the sweep ran meanwhile."""
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
