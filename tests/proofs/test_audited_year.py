"""A year of backups in which much goes wrong, audited every hour: audits report exactly that."""

from dataclasses import replace
from datetime import datetime

import pytest

from chalicelib.watching.findings import Kind, Phase, judge_backups
from tests.proofs.audited_year import (
    END,
    HOUR,
    START,
    VAULT,
    ZONES,
    Year,
    is_reported_as_missing,
    years,
)


def follow(year: Year, hours: list[datetime]) -> list[datetime]:
    """Audit in each of these hours; returns the hours with news."""
    faults, mails, is_open = year.faults, [], False
    for now in hours:
        history = year.history(now)
        findings = year.findings(now)
        if any(finding.phase is not Phase.LASTING for finding in findings):
            mails.append(now)

        # Everything that is missing is reported, and nothing else.
        gap, missing = history.gap(now), year.missing(history, now)
        assert [slot.name for slot in (gap.slots if gap else ())] == missing, now
        # Anyone who reads only the news knows in each hour whether something is missing.
        gaps = [finding.phase for finding in findings if finding.kind is Kind.MISSING]
        if Phase.OVER in gaps:
            assert is_open, now
            is_open = False
        if Phase.NEW in gaps:
            assert not is_open, now
            is_open = True
        assert is_open == bool(missing), now

        # Every other fault is new in exactly one audit and lasts as long as it should.
        shown = {slot.name for slot in history.slots}
        assert {
            (finding.kind, finding.slot): finding.phase
            for finding in findings
            if finding.kind is not Kind.MISSING
        } == {
            (kind, slot.name): Phase.NEW
            if now - HOUR < since and not is_reported_as_missing(kind, slot, year)
            else Phase.LASTING
            for kind, slot, since, until in faults
            if since <= now < until and slot.name in shown
        }, now
    return mails


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_fault_of_a_year_is_reported_within_the_hour_and_nothing_else(zone: str) -> None:
    for year in years(zone):
        mails = follow(year, year.hours)
        assert 2 < len(mails) <= len(year.faults) + 2 * year.gaps()


def test_a_year_in_order_has_no_finding_on_any_day(zone: str) -> None:
    for year in years(zone, is_broken=False):
        clocks_change = [slot.start for slot in year.slots if not slot.is_regular]
        hours = {START + number * HOUR for number in range(0, 365 * 24, 97)}
        hours |= {
            moment.replace(minute=0) + number * HOUR
            for moment in clocks_change
            for number in range(-2, 5)
        }
        assert follow(year, sorted(hour for hour in hours if hour < END)) == []


def test_audits_that_were_skipped_hide_nothing(zone: str) -> None:
    for year in years(zone):
        for kind, slot, since, _ in year.faults:
            later = START + (-(-(since - START) // HOUR) + year.random.randrange(1, 20)) * HOUR
            found = {(finding.kind, finding.slot) for finding in year.findings(later)}
            assert (kind, slot.name) in found


def test_an_audit_that_is_repeated_later_finds_the_same(zone: str) -> None:
    for year in years(zone):
        for now in year.hours[::5]:
            later = year.history(now)
            stored = {name: item for name, item in year.backups.items() if item.begun <= now}
            first_time = replace(later, backups=stored)
            found = [*judge_backups(first_time, vault=VAULT, now=now)]
            assert found == year.findings(now), now


@pytest.fixture
def soaks(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--soak"):
        pytest.skip("minutes: make soak")


def test_every_hour_of_a_year_is_right(zone: str, soaks: None) -> None:
    hours = [START + number * HOUR for number in range(365 * 24)]
    for year in years(zone, seed=2, all_hours=True):
        mails = follow(year, hours)
        upload = year.slots[0].rule.upload
        print(f"{zone}: {year.server}/{upload}: {len(mails)} mails a year besides the digests")  # noqa: T201
