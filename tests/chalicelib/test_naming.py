from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from chalicelib.naming import Pattern, PatternError

DAILY, HOURLY = Pattern("%Y-%m-%d.tar.gz.gpg"), Pattern("%Y-%m-%d.%H.sql.gz.gpg")
LONDON = ZoneInfo("Europe/London")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "zone", "moment", "name"),
    [
        pytest.param("%Y-%m-%d", "Etc/UTC", "2026-11-23T02:10", "2026-11-23", id="a day"),
        pytest.param("%Y-%m-%d", "Asia/Kolkata", "2026-11-23T18:31", "2026-11-24", id="ahead"),
        pytest.param("%Y-%m-%d", "America/New_York", "2026-11-23T04:59", "2026-11-22", id="behind"),
        pytest.param("%Y%m%d%H%M", "Etc/UTC", "2026-11-23T14:05", "202611231405", id="a minute"),
        pytest.param("%Y/%m/%Y-%m-%d", "Etc/UTC", "2026-11-23", "2026/11/2026-11-23", id="folders"),
        pytest.param("%Y-%j", "Etc/UTC", "2028-12-31", "2028-366", id="day of a leap year"),
        pytest.param("%G-W%V", "Etc/UTC", "2027-01-01", "2026-W53", id="a week of the old year"),
        pytest.param("%Y", "Etc/UTC", "0987-01-02", "0987", id="a year of four digits"),
        pytest.param(
            "%Y-%m-%d.%H", "Europe/London", "2026-10-25T00:30", "2026-10-25.01",
            id="autumn, first 01:00, London",
        ),
        pytest.param(
            "%Y-%m-%d.%H", "Europe/London", "2026-10-25T01:30", "2026-10-25.01b",
            id="autumn, second 01:00, London",
        ),
        pytest.param(
            "%Y-%m-%d.%H%M", "Europe/London", "2026-10-25T01:30", "2026-10-25.01b30",
            id="autumn, second 01:30, London",
        ),
        pytest.param(
            "%Y-%m-%d", "Europe/London", "2026-10-25T01:30", "2026-10-25", id="a long day is one"
        ),
    ],
)  # fmt: skip
def test_a_moment_has_a_name(pattern: str, zone: str, moment: str, name: str) -> None:
    assert Pattern(pattern).name(utc(moment), ZoneInfo(zone)) == name


@pytest.mark.parametrize(
    "zone",
    ["Etc/UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"],
)
@pytest.mark.parametrize("pattern", [DAILY, HOURLY], ids=["daily", "hourly"])
def test_names_of_three_years_are_distinct_ordered_and_lead_back(
    pattern: Pattern, zone: str
) -> None:
    here = ZoneInfo(zone)
    periods, names = [], []
    moment, end = utc("2026-01-01"), utc("2029-01-01")
    while moment < end:
        name = pattern.name(moment, here)
        period = pattern.period(name, here)
        assert period is not None, name
        assert period.start <= moment < period.end
        assert pattern.name(period.end - timedelta(microseconds=1), here) == name
        names.append(name)
        periods.append(period)
        moment = period.end

    assert len(set(names)) == len(names)
    assert sorted(names) == names
    # Not one moment is in two periods, or in none.
    assert all(a.end == b.start for a, b in pairwise(periods))


def test_every_hour_of_a_year_has_a_slot_of_its_own_where_clocks_change() -> None:
    hours = [utc("2026-01-01") + timedelta(hours=number) for number in range(365 * 24)]
    assert len({HOURLY.name(hour, LONDON) for hour in hours}) == len(hours)


def test_an_hour_in_which_clocks_go_back_half_an_hour_ends_where_its_second_half_begins() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    first = HOURLY.period("2026-04-05.01.sql.gz.gpg", lord_howe)
    second = HOURLY.period("2026-04-05.01b.sql.gz.gpg", lord_howe)
    assert first is not None
    assert second is not None
    assert (first.start, first.end) == (utc("2026-04-04T14:00"), utc("2026-04-04T15:00"))
    assert (second.start, second.end) == (utc("2026-04-04T15:00"), utc("2026-04-04T15:30"))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        pytest.param(HOURLY, "2026-03-29.01.sql.gz.gpg", id="the hour that spring skips"),
        pytest.param(HOURLY, "2026-10-26.01b.sql.gz.gpg", id="a second 01:00 on another day"),
        pytest.param(HOURLY, "2026-10-25.24.sql.gz.gpg", id="hour 24"),
        pytest.param(DAILY, "2026-02-30.tar.gz.gpg", id="30 February"),
        pytest.param(DAILY, "2026-11-23Xtar.gz.gpg", id="a dot is a dot"),
        pytest.param(DAILY, "2026-11-23.tar.gz.gpg\n", id="a line more"),
        pytest.param(DAILY, "٢٠٢٦-11-23.tar.gz.gpg", id="digits of another script"),
        pytest.param(DAILY, "0000-01-01.tar.gz.gpg", id="year 0"),
        pytest.param(DAILY, "9999-12-31.tar.gz.gpg", id="the calendar's last day has no end"),
        pytest.param(Pattern("%Y/%Y-%m"), "2025/2026-01", id="two years in one name"),
        pytest.param(Pattern("%G-%V"), "2026-54", id="week 54"),
        pytest.param(Pattern("%Y-%j"), "2026-366", id="day 366 of a common year"),
    ],
)
def test_a_name_that_is_never_written_names_no_period(pattern: Pattern, name: str) -> None:
    assert pattern.period(name, LONDON) is None


def test_a_day_that_the_calendar_of_samoa_skipped_has_no_slot() -> None:
    assert DAILY.period("2011-12-30.tar.gz.gpg", ZoneInfo("Pacific/Apia")) is None


@pytest.mark.parametrize(
    "pattern",
    ["%Y", "%Y-%m", "%G-W%V", "%Y-%j", "%Y-%m-%d", "%Y-%m-%d.%H", "%Y%j%H%M", "%Y-%m-%d-%j-%G-%V"],
)
@pytest.mark.parametrize("year", [1, 1000, 1969, 2024, 2100, 9997])
def test_name_and_period_invert_each_other_in_every_year(pattern: str, year: int) -> None:
    shape, here = Pattern(pattern), ZoneInfo("Etc/UTC")
    for day in range(1, 366, 13):
        moment = datetime(year, 1, 2, 13, 37, tzinfo=UTC) + timedelta(days=day)
        name = shape.name(moment, here)
        period = shape.period(name, here)
        assert period is not None
        assert period.start <= moment < period.end
        assert shape.name(period.start, here) == name


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        pytest.param("%H.sql.gz.gpg", "filled once ever", id="an hour of no day"),
        pytest.param("%m-%d", "does not name the year", id="a day of no year"),
        pytest.param("backup.gpg", "does not name the year", id="no time at all"),
        pytest.param("%G", "does not name the year", id="the ISO year without its week"),
        pytest.param("%Y-%V", "leaves out a period", id="ISO week of a calendar year"),
        pytest.param("%Y-%d", "leaves out a period", id="a day of no month"),
        pytest.param("%Y-%m.%H", "leaves out a period", id="an hour of no day"),
        pytest.param("%Y-%m.%G-%V", "leaves out a period", id="weeks cut by months"),
        pytest.param("%Y-%m-%d.%M", "%M needs %H", id="a minute of no hour"),
        pytest.param("%Y-%m-%d.%S", "%S is not supported", id="seconds"),
        pytest.param("%Y-%m-%d.%%", "%% is not supported", id="a percent sign"),
        pytest.param("%Y-%m-%d.%", "% is not supported", id="a percent sign at the end"),
    ],
)
def test_a_pattern_that_would_name_two_periods_alike_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(PatternError, match=why):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        pytest.param("%Y-%m-%d", "%Y-%m-%d", True, id="the same"),
        pytest.param("%Y-%m-%d.a", "%Y-%m-%d.b", False, id="other endings"),
        pytest.param("%Y-%m", "%G-%V", True, id="a month and a week"),
        pytest.param("%Y-%m-%d.%H", "%Y-%m-%d.1234", False, id="other lengths"),
        pytest.param("db1-%Y", "db2-%Y", False, id="other literal digits"),
        pytest.param("%Y-%m-%d.%H", "%Y-%m-%d.12", True, id="a literal hour"),
        pytest.param("%Y-%m-%d.%H", "%Y-%m-%d.12b", True, id="a literal second hour"),
        pytest.param("%Y-%m-%d.%Hb", "%Y-%m-%d.%H", True, id="the b of a second hour"),
    ],
)
def test_patterns_that_could_write_one_name_overlap(one: str, other: str, overlap: bool) -> None:
    assert Pattern(one).overlaps(Pattern(other)) is overlap
    assert Pattern(other).overlaps(Pattern(one)) is overlap


def test_the_longest_name_counts_the_second_hour() -> None:
    assert HOURLY.longest == len("2026-10-25.01b.sql.gz.gpg")
