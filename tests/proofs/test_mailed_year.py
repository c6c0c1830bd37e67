"""The mails of a year in which much goes wrong: each fault is mailed in time, and nothing else."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from chalicelib.watching import mails
from chalicelib.watching.findings import REPEATED, Kind
from chalicelib.watching.mails import Mail, is_digest
from tests.proofs.audited_year import (
    END,
    HOUR,
    START,
    ZONES,
    Year,
    is_reported_as_missing,
    mail_at,
    outage_mails,
    policy_of,
    years,
)

DAY = timedelta(days=1)
LONDON = "Europe/London"


@pytest.fixture(autouse=True)
def all_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "MOST_SHOWN", 10_000)


def news_of(year: Year, now: datetime) -> Iterator[str]:
    """What the mail of this audit must say about a server and rule."""
    reported = [
        (kind, slot, since, since <= now - HOUR or is_reported_as_missing(kind, slot, year))
        for kind, slot, since, until in year.faults
        if since <= now < until
    ]
    lately = {kind for kind, _, since, is_known in reported if is_known and now - since < REPEATED}
    for kind, slot, _, is_known in reported:
        always = kind in {Kind.OVERWRITTEN, Kind.DELETED}
        if not is_known and (always or kind not in lately):
            yield slot.name
    before, missing = (year.missing(year.history(at), at) for at in (now - HOUR, now))
    if missing and set(missing).isdisjoint(before):
        yield gap_of(year, now, missing)
    if before and set(missing).isdisjoint(before):
        yield f"Backups of {year.history(now).key} are stored again."


def lasting_of(year: Year, now: datetime) -> Iterator[str]:
    """What a digest must say about a server and rule."""
    history = year.history(now)
    shown = {slot.name for slot in history.slots}
    for _, slot, since, until in year.faults:
        if since <= now < until and slot.name in shown:
            yield slot.name
    if missing := year.missing(history, now):
        yield gap_of(year, now, missing)


def gap_of(year: Year, now: datetime, missing: list[str]) -> str:
    history = year.history(now)
    is_older = missing[0] == history.slots[-1].name
    return f"{history.key} has had no backup since before" if is_older else missing[0]


def follow(zone: str, servers: list[Year], hours: list[datetime]) -> dict[datetime, Mail]:
    """The mails of these hours: they contain what they must, and there are no others."""
    sent = {}
    for now in hours:
        expected = [name for year in servers for name in news_of(year, now)]
        if is_digest(policy_of(zone), now):
            expected += [name for year in servers for name in lasting_of(year, now)]
        mail = mail_at(servers, zone, now)
        assert bool(mail) == bool(expected), now
        if mail:
            sent[now] = mail
            assert [name for name in expected if name not in mail.body] == [], now
    return sent


def digests(zone: str, sent: dict[datetime, Mail]) -> list[datetime]:
    return [now for now in sent if is_digest(policy_of(zone), now)]


@pytest.mark.parametrize("zone", [LONDON, "Australia/Lord_Howe"])
def test_each_fault_is_mailed_within_the_hour_and_once_a_day_while_it_lasts(zone: str) -> None:
    servers = [*years(zone)]
    hours = {hour for year in servers for hour in year.hours}
    every = (START + number * HOUR for number in range((END - START) // HOUR))
    hours |= {hour for hour in every if is_digest(policy_of(zone), hour)}
    sent = follow(zone, servers, sorted(hours))
    news = len(sent) - len(digests(zone, sent))
    assert 250 < len(digests(zone, sent)) <= 365
    # Three servers with dozens of faults each.
    assert 100 < news < 150


def test_what_skipped_audits_would_have_mailed_comes_with_the_next_digest() -> None:
    """Even if only the digests' audits run. A repeated audit sends the same mail."""
    servers = [*years(LONDON)]
    hours = [START + number * HOUR for number in range((END - START) // HOUR)]
    mailed = {
        hour: mail
        for hour in hours
        if is_digest(policy_of(LONDON), hour) and (mail := mail_at(servers, LONDON, hour))
    }
    faults = 0
    for year in servers:
        for _, slot, since, until in year.faults:
            following = next((hour for hour in mailed if hour >= since), END)
            if following < until:
                faults += 1
                assert slot.name in mailed[following].body
    assert faults > 20
    last = max(mailed)
    assert mail_at(servers, LONDON, last) == mailed[last]


def test_a_year_in_order_has_no_mail() -> None:
    servers = [*years(LONDON, is_broken=False)]
    for number in range(0, 365 * 24, 53):
        assert mail_at(servers, LONDON, START + number * HOUR) is None


@pytest.mark.parametrize(
    ("is_blind", "most"),
    [
        pytest.param(False, 7, id="nothing is promoted"),
        pytest.param(True, 3, id="and the audit sees nothing"),
    ],
)
def test_a_week_s_outage_of_five_servers_is_a_handful_of_mails(
    *, is_blind: bool, most: int
) -> None:
    begin = START + timedelta(days=100, hours=9, minutes=20)
    end = begin + 160 * HOUR
    mails = outage_mails(begin, end - begin)
    sent = {now: mail for now, mail in mails.items() if not (is_blind and begin <= now < end)}
    assert 3 <= len(sent) - len(digests(LONDON, sent)) <= most
    assert len(digests(LONDON, sent)) <= 9


@pytest.fixture
def soaks(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--soak"):
        pytest.skip("minutes: make soak")


@pytest.mark.parametrize("zone", ZONES)
def test_every_mail_of_a_year_is_right(zone: str, soaks: None) -> None:
    servers = [*years(zone, seed=2, all_hours=True)]
    hours = [START + number * HOUR for number in range((END - START) // HOUR)]
    sent = follow(zone, servers, hours)
    print(f"{zone}: {len(sent)} mails a year, {len(digests(zone, sent))} with digests")  # noqa: T201
