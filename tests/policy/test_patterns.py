import os
import re
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from admin.stage import PROJECT
from chalicelib.policy.file import parse_policy
from chalicelib.policy.patterns import Pattern, PatternError, Period, load_zone
from tests.support.project import POLICY_TOML

ZONES = (resources.files("tzdata") / "zones").read_text(encoding="utf-8").split()
DAILY, HOURLY = (rule.store_as for rule in parse_policy(POLICY_TOML).rules)
PATTERNS = [
    DAILY,
    HOURLY,
    *map(Pattern, ["%Y", "%Y-%m", "%G-W%V", "%Y-%j", "%Y%j%H%M", "%Y-%m-%d-%j-%G-%V"]),
]
LONDON = load_zone("Europe/London")
WEEK, DAY, MINUTE = timedelta(weeks=1), timedelta(days=1), timedelta(minutes=1)
INSTANT = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def periods(pattern: Pattern, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Period]:
    """Yield the periods from `start` to `end`; each starts when the previous one ends."""
    while start < end:
        period = pattern.period(start, zone)
        assert period.start <= start < period.end
        yield period
        start = period.end


def offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


@cache
def clock_changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """Return every change from the start of `year` until 2038, to the second.

    One check per week is enough: no zone has undone a change within a week.
    """
    changes = []
    before = datetime(year, 1, 1, tzinfo=UTC)
    shift = offset(zone, before)
    while before.year < 2038:
        low, high = before, before + WEEK
        before, shift_before, shift = high, shift, offset(zone, high)
        if shift != shift_before:
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (
                    (low, middle) if offset(zone, middle) != shift_before else (middle, high)
                )
            changes.append(high)
    return changes


def different_zones() -> dict[ZoneInfo, list[str]]:
    """Return every distinct zone of tzdata, with all its names."""
    names: dict[bytes, list[str]] = {}
    for name in ZONES:
        data = (resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).read_bytes()
        names.setdefault(data, []).append(name)
    return {load_zone(aliases[0]): aliases for aliases in names.values()}


@pytest.mark.parametrize(
    ("pattern", "zone", "moment", "name"),
    [
        pytest.param("%Y-%m-%d", "Etc/UTC", "2026-11-23T02:10", "2026-11-23", id="a day"),
        pytest.param(
            "%Y-%m-%d", "Asia/Kolkata", "2026-11-23T18:31", "2026-11-24", id="ahead of UTC"
        ),
        pytest.param(
            "%Y-%m-%d", "America/New_York", "2026-11-23T04:59", "2026-11-22", id="behind UTC"
        ),
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
            "%Y-%m-%d", "Europe/London", "2026-10-25T01:30", "2026-10-25", id="a day of 25 hours"
        ),
        pytest.param(
            "%Y-%m-%d.%H", "Asia/Kathmandu", "2026-11-23T18:14", "2026-11-23.23", id="UTC+5:45"
        ),
        pytest.param(
            "%Y-%m-%d.%H", "Pacific/Chatham", "2026-09-26T14:00", "2026-09-27.03",
            id="spring, 03:45, Chatham",
        ),
        pytest.param(
            "%Y-%m-%d.%H", "Pacific/Chatham", "2026-09-26T14:14", "2026-09-27.03",
            id="spring, 03:59, Chatham",
        ),
        pytest.param(
            "%Y-%m-%d.%H%M", "Pacific/Chatham", "2026-04-04T15:14", "2026-04-05.03b59",
            id="autumn, the only 03:59, Chatham",
        ),
        pytest.param(
            "%Y-%m-%d", "Pacific/Apia", "2011-12-30T10:00", "2011-12-31",
            id="after the day that Samoa skipped",
        ),
        pytest.param(
            "%Y-%m-%d", "America/St_Johns", "2010-11-07T02:31", "2010-11-07",
            id="Saturday again after a minute of Sunday",
        ),
        pytest.param(
            "%Y-%m-%d.%H", "America/St_Johns", "2010-11-07T02:31", "2010-11-06.23b",
            id="the hour of that Saturday",
        ),
    ],
)  # fmt: skip
def test_the_name_of_the_period_at_a_moment(
    pattern: str, zone: str, moment: str, name: str
) -> None:
    assert Pattern(pattern).period(utc(moment), load_zone(zone)).name == name


@pytest.mark.parametrize(
    ("zone", "start", "names"),
    [
        pytest.param(
            "Europe/London", "2026-10-24T23:00",
            [("25.00", 60), ("25.01", 60), ("25.01b", 60), ("25.02", 60)],
            id="London: 02:00 becomes 01:00",
        ),
        pytest.param(
            "Europe/London", "2026-03-29T00:00", [("29.00", 60), ("29.02", 60)],
            id="London: 01:00 becomes 02:00",
        ),
        pytest.param(
            "Australia/Lord_Howe", "2026-04-04T14:00",
            [("05.01", 60), ("05.01b", 30), ("05.02", 60)],
            id="Lord Howe: 02:00 becomes 01:30",
        ),
        pytest.param(
            "Australia/Lord_Howe", "2026-10-03T14:30",
            [("04.01", 60), ("04.02", 30), ("04.03", 60)],
            id="Lord Howe: 02:00 becomes 02:30",
        ),
        pytest.param(
            "Pacific/Chatham", "2026-04-04T11:15",
            [("05.01", 60), ("05.02", 60), ("05.03", 45), ("05.02b", 15), ("05.03b", 60),
             ("05.04", 60)],
            id="Chatham: 03:45 becomes 02:45",
        ),
        pytest.param(
            "Pacific/Chatham", "2026-09-26T13:15",
            [("27.02", 45), ("27.03", 15), ("27.04", 60)],
            id="Chatham: 02:45 becomes 03:45",
        ),
        pytest.param(
            "Antarctica/Troll", "2026-10-24T23:00",
            [("25.01", 60), ("25.02", 60), ("25.01b", 60), ("25.02b", 60), ("25.03", 60)],
            id="Troll: 03:00 becomes 01:00",
        ),
        pytest.param(
            "Africa/Casablanca", "2026-02-15T00:00",
            [("15.01", 60), ("15.02", 60), ("15.02b", 60), ("15.03", 60)],
            id="Casablanca before Ramadan: 03:00 becomes 02:00",
        ),
        pytest.param(
            "Asia/Pyongyang", "2015-08-14T14:00",
            [("14.23", 60), ("14.23b", 30), ("15.00", 60)],
            id="Pyongyang: 00:00 becomes 23:30",
        ),
        pytest.param(
            "America/St_Johns", "2010-11-07T01:30",
            [("06.23", 60), ("07.00", 1), ("06.23b", 59), ("07.00b", 60), ("07.01", 60)],
            id="St John's: 00:01 becomes 23:01",
        ),
        pytest.param(
            "America/Toronto", "1919-03-31T04:00", [("30.23", 30), ("31.00", 30), ("31.01", 60)],
            id="Toronto: 23:30 becomes 00:30",
        ),
    ],
)  # fmt: skip
def test_the_hours_of_a_night_when_clocks_change(
    zone: str, start: str, names: list[tuple[str, int]]
) -> None:
    end = utc(start) + sum(minutes for _, minutes in names) * MINUTE
    hours = list(periods(Pattern("%Y-%m-%d.%H"), load_zone(zone), utc(start), end))
    assert hours[0].start == utc(start)
    assert [(h.name[8:], (h.end - h.start) // MINUTE) for h in hours] == names


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end"),
    [
        pytest.param(
            "Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00",
            id="the 29th, before a day that Samoa skipped",
        ),
        pytest.param(
            "Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00",
            id="the 31st, after the skipped day",
        ),
        pytest.param(
            "America/Toronto", "1919-03-31T12:00", "1919-03-31T04:30", "1919-04-01T04:00",
            id="clocks jump from 23:30 to 00:30",
        ),
        pytest.param(
            "America/St_Johns", "2010-11-07T02:31", "2010-11-07T02:30", "2010-11-08T03:30",
            id="clocks go back to the day before",
        ),
        pytest.param(
            "America/Havana", "2024-11-03T05:30", "2024-11-03T04:00", "2024-11-04T05:00",
            id="a day that begins twice, in its repeated first hour",
        ),
        pytest.param(
            "Antarctica/Troll", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-26T00:00",
            id="26 hours",
        ),
    ],
)  # fmt: skip
def test_a_day_lasts_until_clocks_first_show_the_next_day(
    zone: str, moment: str, start: str, end: str
) -> None:
    day = DAILY.period(utc(moment), load_zone(zone))
    assert (day.start, day.end) == (utc(start), utc(end))


def clocks_near(zone: ZoneInfo, change: datetime, changes: list[datetime]) -> object:
    """How clocks change in the weeks around a change: all that a period near it depends on."""
    begin, end = bisect_left(changes, change - 6 * WEEK), bisect_left(changes, change + 6 * WEEK)
    return change, tuple(
        (other, offset(zone, other - timedelta(seconds=1)), offset(zone, other))
        for other in changes[begin:end]
    )


def names_near_are_in_order(
    pattern: Pattern, zone: ZoneInfo, change: datetime, margin: timedelta
) -> bool:
    """Check the periods around a change, and return whether their names are in order."""
    nearby = list(periods(pattern, zone, change - margin, change + margin))
    for minutes in (-30, 0, 30):
        assert pattern.period(change + minutes * MINUTE, zone) in nearby
    names = [period.name for period in nearby]
    assert len(set(names)) == len(names), (zone, pattern, names)
    return names == sorted(names)


@pytest.mark.no_cover
def test_in_every_zone_names_are_distinct_and_in_order_whenever_clocks_change_until_2038(
    pytestconfig: pytest.Config,
) -> None:
    """Names cannot be in order if clocks show two hours alternately, such as 02, 03, 02b, 03b."""
    soak = pytestconfig.getoption("--soak")
    margins = {DAILY: timedelta(days=2), HOURLY: timedelta(hours=5)}
    if soak:
        margins |= {Pattern("%Y-%m-%d.%H%M"): timedelta(hours=4), Pattern("%G-W%V"): 2 * WEEK}
    in_order: dict[object, bool] = {}
    disordered = set()
    for zone, aliases in different_zones().items():
        changes = clock_changes(zone, 1850 if soak else 2000)
        for change in changes:
            # Zones whose clocks change alike give the same periods the same names.
            clocks = clocks_near(zone, change, changes)
            if clocks not in in_order:
                in_order[clocks] = all(
                    names_near_are_in_order(pattern, zone, change, margin)
                    for pattern, margin in margins.items()
                )
            if not in_order[clocks] and change.year >= 2026:
                disordered |= {*aliases}
    assert disordered == {"Antarctica/Troll", "Pacific/Chatham", "NZ-CHAT"}


@pytest.mark.parametrize("pattern", [DAILY, HOURLY], ids=["daily", "hourly"])
def test_names_of_three_years_are_distinct_and_in_order(pattern: Pattern) -> None:
    years = utc("2026-01-01"), utc("2029-01-01")
    names = [period.name for period in periods(pattern, LONDON, *years)]
    assert len(set(names)) == len(names)
    assert sorted(names) == names


def test_every_hour_of_a_year_with_clock_changes_has_its_own_slot() -> None:
    hours = [utc("2026-01-01") + timedelta(hours=number) for number in range(365 * 24)]
    assert len({HOURLY.period(hour, LONDON).name for hour in hours}) == len(hours)


def test_a_repeated_hour_has_two_names_whatever_the_zone_of_the_moment() -> None:
    """In one zone, Python considers two moments equal if clocks show the same."""
    first, second = utc("2026-10-25T00:30"), utc("2026-10-25T01:30")
    for zone in (UTC, LONDON):
        names = [HOURLY.period(moment.astimezone(zone), LONDON).name for moment in (first, second)]
        assert names == ["2026-10-25.01.sql.gz.gpg", "2026-10-25.01b.sql.gz.gpg"]


@st.composite
def moments(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """Draw a zone and a moment; half of the moments are within a day of a clock change."""
    zone = load_zone(draw(st.sampled_from(ZONES)))
    changes = clock_changes(zone, 2000)
    if not changes or draw(st.booleans()):
        early, late = datetime(4, 1, 1), datetime(9996, 1, 1)  # noqa: DTZ001 - hypothesis wants them naive
        return zone, draw(st.datetimes(early, late, timezones=st.just(UTC)))
    nearby = st.timedeltas(timedelta(days=-1), timedelta(days=1))
    return zone, draw(st.sampled_from(changes)) + draw(nearby)


@settings(deadline=None, max_examples=300)
@given(moments())
@example((load_zone("Pacific/Chatham"), utc("2026-09-26T14:00")))
@example((load_zone("Asia/Manila"), utc("1844-12-31T15:00")))
def test_every_moment_belongs_to_exactly_one_period(
    zone_and_moment: tuple[ZoneInfo, datetime],
) -> None:
    zone, moment = zone_and_moment
    for pattern in PATTERNS:
        period = pattern.period(moment, zone)
        assert period.start <= moment < period.end
        assert pattern.period(period.start, zone) == period
        assert pattern.period(period.end - INSTANT, zone) == period
        before, after = (
            pattern.period(period.start - INSTANT, zone),
            pattern.period(period.end, zone),
        )
        assert before.end == period.start
        assert period.end == after.start
        assert len({before.name, period.name, after.name}) == 3


@pytest.mark.parametrize("zone", ["Etc/UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("hours", [-23, 0, 23])
def test_every_moment_has_a_name(zone: str, hours: int) -> None:
    clock = timezone(timedelta(hours=hours))
    for moment in (datetime.min.replace(tzinfo=clock), datetime.max.replace(tzinfo=clock)):
        for pattern in PATTERNS:
            assert len(pattern.period(moment, load_zone(zone)).name) == pattern.longest - (
                "%H" in pattern.text
            )


# Prints an hour in Vancouver by the machine's time zone data, and the slots of two policies.
PRINT_SLOTS = """
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo
from chalicelib.policy.file import parse_policy

moment = datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
print(f"{moment.astimezone(ZoneInfo('America/Vancouver')):%Y-%m-%d.%H}")
rule = '[[rule]]\\nupload = "sql"\\nstore_as = "%Y-%m-%d.%H"\\n'
for text in ('timezone = "America/Vancouver"\\n' + rule,
             'timezone = "Etc/UTC"\\n' + rule + 'timezone = "America/Vancouver"'):
    print(parse_policy(text).slot_of("sql", moment).name)
"""


def test_slots_are_named_by_the_pinned_zone_data_not_by_the_machine_s(tmp_path: Path) -> None:
    """The test replaces the machine's data for Vancouver with Tokyo's.

    Debian 12 really has outdated data: British Columbia stays at UTC-7 from November 2026 on.
    """
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "America").mkdir()
    (tmp_path / "America" / "Vancouver").write_bytes(tokyo)
    output = subprocess.run(
        [sys.executable, "-c", PRINT_SLOTS],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert output == ["2026-12-01.16", "2026-12-01.00", "2026-12-01.00"]


def test_only_one_module_reads_zones() -> None:
    sources = [
        PROJECT / "app.py",
        *PROJECT.glob("chalicelib/**/*.py"),
        *PROJECT.glob("admin/**/*.py"),
    ]
    readers = {
        path.name: calls
        for path in sources
        if (
            calls := re.findall(
                r"ZoneInfo(?:\.\w+)?\(|zoneinfo\.\w+\(|gettz", path.read_text("utf-8")
            )
        )
    }
    assert readers == {"patterns.py": ["ZoneInfo(", "ZoneInfo.from_file("]}


def test_a_zone_is_loaded_once() -> None:
    assert load_zone("Europe/London") is load_zone("Europe/London")
    assert load_zone("Europe/London").key == "Europe/London"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        pytest.param("%H.sql.gz.gpg", "filled only once", id="an hour without a date"),
        pytest.param("%m-%d", "does not name the year", id="a day without a year"),
        pytest.param("backup.gpg", "does not name the year", id="no time"),
        pytest.param("%G", "does not name the year", id="the ISO year without its week"),
        pytest.param("%Y-%V", "leaves out a period", id="the ISO week of a calendar year"),
        pytest.param("%Y-%d", "leaves out a period", id="a day without a month"),
        pytest.param("%Y-%m.%H", "leaves out a period", id="an hour without a day"),
        pytest.param("%Y-%m.%G-%V", "leaves out a period", id="weeks cut by months"),
        pytest.param("%Y-%m-%d.%M", "%M needs %H", id="a minute without an hour"),
        pytest.param("%Y-%m-%d.%S", "%S is not supported", id="seconds"),
        pytest.param("%Y-%m-%d.%%", "%% is not supported", id="a percent sign"),
        pytest.param("%Y-%m-%d.%", "% is not supported", id="a percent sign at the end"),
    ],
)
def test_a_pattern_that_could_give_two_periods_the_same_name_is_refused(
    pattern: str, reason: str
) -> None:
    with pytest.raises(PatternError, match=reason):
        Pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["%d.%m.%Y", "%d/%Y-%m-%d", "%Y-%d-%m", "%Y-%m-%d %M%H", "%H.%Y-%m-%d", "%j-%Y", "%V-%G"],
)
def test_a_pattern_whose_names_do_not_sort_by_time_is_refused_with_the_remedy(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"do not sort by time.*write coarser units first"):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("zone", ["Europe/London", "Australia/Lord_Howe", "Pacific/Chatham"])
def test_names_sort_by_time(pattern: Pattern, zone: str) -> None:
    step = {"minute": timedelta(minutes=7), "hour": timedelta(minutes=30)}
    every = step.get(pattern.unit, timedelta(hours=5))
    for start in (utc("2026-12-25"), utc("2027-03-20"), utc("2027-04-01"), utc("2027-10-01")):
        names = [pattern.period(start + every * n, load_zone(zone)).name for n in range(240)]
        # A repeated hour can sort before another hour of that night.
        names = [name for name in names if "b" not in name.removesuffix(".sql.gz.gpg")]
        assert names == sorted(names)


@pytest.mark.parametrize(
    ("zone", "start", "irregular"),
    [
        pytest.param("Etc/UTC", "2026-10-25", [], id="no change"),
        pytest.param("Europe/London", "2026-03-29", [], id="an hour is skipped, London"),
        pytest.param("Europe/London", "2026-10-25", ["25.01b"], id="an hour twice, London"),
        pytest.param("America/New_York", "2026-11-01", ["01.01b"], id="an hour twice, New York"),
        pytest.param("Australia/Lord_Howe", "2026-10-03", ["04.02"], id="half an hour is skipped"),
        pytest.param("Australia/Lord_Howe", "2026-04-04", ["05.01b"], id="half an hour twice"),
        pytest.param(
            "Pacific/Chatham", "2026-04-04", ["05.03", "05.02b", "05.03b"],
            id="parts of two hours twice",
        ),
        pytest.param("Pacific/Chatham", "2026-09-26", ["27.02", "27.03"], id="parts are skipped"),
    ],
)  # fmt: skip
def test_a_job_can_miss_only_hours_of_a_clock_change(
    zone: str, start: str, irregular: list[str]
) -> None:
    begin = utc(start)
    hours = periods(Pattern("%Y-%m-%d.%H"), load_zone(zone), begin, begin + 2 * DAY)
    assert [hour.name[8:] for hour in hours if not hour.is_regular] == irregular


@pytest.mark.parametrize("pattern", [DAILY, Pattern("%G-W%V")], ids=str)
def test_every_day_and_week_is_regular_however_long_it_is(pattern: Pattern) -> None:
    begin = utc("2026-01-01")
    assert all(period.is_regular for period in periods(pattern, LONDON, begin, begin + 365 * DAY))


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        pytest.param("%Y-%m-%d", "%Y-%m-%d", True, id="the same pattern"),
        pytest.param("%Y-%m-%d.a", "%Y-%m-%d.b", False, id="different endings"),
        pytest.param("%Y-%m", "%G-%V", True, id="a month and a week"),
        pytest.param("%Y-%m-%d.%H", "%Y-%m-%d.1234", False, id="different lengths"),
        pytest.param("db1-%Y", "db2-%Y", False, id="different literal digits"),
        pytest.param("%Y-%m-%d.%H", "%Y-%m-%d.12", True, id="a literal hour"),
        pytest.param("%Y-%m-%d.%H", "%Y-%m-%d.12b", True, id="a literal second hour"),
        pytest.param("%Y-%m-%d.%Hb", "%Y-%m-%d.%H", True, id="the b of a second hour"),
    ],
)
def test_patterns_that_could_produce_the_same_name_overlap(
    first: str, second: str, overlap: bool
) -> None:
    assert Pattern(first).overlaps(Pattern(second)) is overlap
    assert Pattern(second).overlaps(Pattern(first)) is overlap


def test_the_longest_name_includes_the_letter_of_a_second_hour() -> None:
    assert HOURLY.longest == len("2026-10-25.01b.sql.gz.gpg")
