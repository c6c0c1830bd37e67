"""Months in which much goes wrong, and the app's own sweep: every upload reaches its slot."""

from datetime import UTC, datetime, timedelta

import pytest

from localcloud.store import Order
from tests.simulation import HOUR, month, random_outages

pytestmark = pytest.mark.no_cover
# Before the night in which London's clocks go back.
BEGIN = datetime(2026, 10, 19, tzinfo=UTC)


@pytest.mark.parametrize(("order", "seed"), [("begun", 1), ("completed", 2)])
def test_months_in_which_much_goes_wrong_lose_nothing(order: Order, seed: int) -> None:
    days = 8
    outages = random_outages(seed, begin=BEGIN, days=days, longest=12 * HOUR)
    with month(seed=seed, begin=BEGIN, days=days, order=order, outages=outages) as here:
        here.live()
        here.let_all_expire()
    assert len(here.uploads) > 1000
