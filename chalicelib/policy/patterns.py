"""Patterns that map a moment to its period, and the period to its name.

    Pattern("%Y-%m-%d.%H.sql.gz.gpg").period(moment, zone)
        -> 2026-11-23.14.sql.gz.gpg, from 14:00 (included) to 15:00 (excluded)

Every moment belongs to exactly one period. When clocks go back, a local hour, or part of it,
happens twice. The rest of that hour after the change is a separate period, whose name has a `b`
after the hour (`2026-10-25.01b.sql.gz.gpg`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["year", "month", "week", "day", "hour", "minute"]

# The longest duration of each period, by the clock. When clocks go back, a period lasts an hour or
# two longer.
LONGEST: dict[Unit, timedelta] = {
    "year": timedelta(days=366),
    "month": timedelta(days=31),
    "week": timedelta(weeks=1),
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
}

# Every directive, and how many digits it writes. (A `b` can follow the hour.)
DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "j": 3, "G": 4, "V": 2}

# The sets of directives that name one period from the year down, by their finest unit.
_CALENDARS: tuple[tuple[frozenset[str], Unit], ...] = (
    (frozenset("Ymd"), "day"),
    (frozenset("Yj"), "day"),
    (frozenset("GV"), "week"),
    (frozenset("Ym"), "month"),
    (frozenset("Y"), "year"),
)

# What has to come before each directive in a name, so that names sort by time. After the day, a
# name can repeat any part of the date.
_COARSER = {"Y": "", "G": "", "m": "Y", "j": "Y", "V": "G", "d": "Ym", "H": "", "M": "H"}

# Python supports the years 1 to 9999, so periods at their ends have no start or no end. S3's clock
# never shows such times: moments beyond the limits are moved to them.
_EARLIEST = datetime(2, 1, 2, tzinfo=UTC)
_LATEST = datetime(9998, 12, 30, tzinfo=UTC)

_SECOND = timedelta(seconds=1)


@cache
def load_zone(key: str) -> ZoneInfo:
    """The time zone `key` from the tzdata package, whose version is pinned.

    `ZoneInfo(key)` would prefer this machine's files, so that a laptop, the tests and Lambda could
    name an upload differently. Zones read from a file are equal only to themselves: hence the
    cache.
    """
    with resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=key)


class PatternError(ValueError):
    """A pattern that cannot name periods; the message says why, and what to write."""


@dataclass(frozen=True)
class Period:
    """The time from `start` (included) to `end` (excluded), and its name.

    Both are in UTC: Python compares and subtracts times in the same zone by their wall clocks,
    which is wrong whenever clocks change. `is_regular` is False for a period that a cron job can
    miss: an hour that clocks show only in part, or for the second time.
    """

    name: str
    start: datetime
    end: datetime
    is_regular: bool


@dataclass(frozen=True)
class Pattern:
    """A strftime pattern of %Y %m %d %H %M %j %G %V that gives each of its periods a unique name.

    A pattern that would give two periods the same name, or whose names do not sort by time, cannot
    be built: PatternError.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse patterns that give two periods one name, or names that do not sort by time."""
        self.unit  # noqa: B018 - computed here so that a bad pattern cannot exist
        self._refuse_unsorted()

    def __str__(self) -> str:
        """The pattern as it was written."""
        return self.text

    def period(self, moment: datetime, zone: ZoneInfo) -> Period:
        """The period that contains `moment` (aware), as clocks in `zone` show it."""
        return self._period(min(max(moment, _EARLIEST), _LATEST).astimezone(UTC), zone)

    # An audit needs the same periods for each server, and an hour later most of them again. The
    # moment must be in UTC: in other zones, Python considers both times of a repeated hour equal.
    @lru_cache(maxsize=10_000)  # noqa: B019 - a policy has few patterns
    def _period(self, moment: datetime, zone: ZoneInfo) -> Period:
        if self.unit not in {"hour", "minute"}:
            start, end = _calendar_period(moment, self.unit, zone)
            return Period(self._name(start, zone), start, end, is_regular=True)
        start, end = _clock_period(moment, self.unit, zone)
        # A minute that is shown only after the change still belongs to the second hour.
        hour = start if self.unit == "hour" else _clock_period(start, "hour", zone)[0]
        is_second = bool(hour.astimezone(zone).fold)
        is_whole = end - start == LONGEST[self.unit]
        name = self._name(start, zone, is_second=is_second)
        return Period(name, start, end, is_regular=is_whole and not is_second)

    def overlaps(self, other: "Pattern") -> bool:
        """Whether both patterns could ever write the same name, taking all digits as possible."""
        return any(
            len(mine) == len(theirs) and all(map(_can_be_equal, mine, theirs))
            for mine in self.templates
            for theirs in other.templates
        )

    @property
    def longest(self) -> int:
        """The length of the longest name that this pattern writes, in bytes."""
        return max(len(template) for template in self.templates)

    @cached_property
    def unit(self) -> Unit:
        """The finest unit that the pattern names: the length of its periods."""
        used = set(re.findall("%(.?)", self.text, re.DOTALL))
        if unknown := sorted(used - DIGITS.keys()):
            raise PatternError(
                f"%{unknown[0]} is not supported; use "
                + " ".join(f"%{directive}" for directive in DIGITS)
            )
        needed, calendar = next(
            ((needed, unit) for needed, unit in _CALENDARS if needed <= used), (None, None)
        )
        if needed is None or calendar is None:
            raise PatternError(
                "it does not name the year (%Y, or %G with %V), so its names would repeat, "
                "and each slot would be filled only once, ever; write, for example, %Y-%m-%d.%H"
            )
        if calendar != "day" and used != needed:
            raise PatternError(
                "it leaves out a period between the year and its finest unit, so two periods would "
                "share a name; include it, for example %Y-%m-%d.%H, %Y-%j or %G-W%V"
            )
        if "M" in used and "H" not in used:
            raise PatternError("%M needs %H, or every hour would write the same names")
        return "minute" if "M" in used else "hour" if "H" in used else calendar

    @cached_property
    def templates(self) -> list[str]:
        """The possible names, with `%` for each digit, without and with the hour's `b`."""
        return [
            re.sub("%(.)", lambda directive: "%" * DIGITS[directive[1]], text)
            for text in (self.text, self.text.replace("%H", "%Hb"))
        ]

    def _refuse_unsorted(self) -> None:
        """Refuse names that do not sort by time: recent ones could not be listed separately."""
        named: set[str] = set()
        for directive in re.findall("%(.)", self.text):
            names_day = named >= set("Ymd") or named >= set("Yj")
            names_coarser = named >= set(_COARSER[directive])
            is_time = directive in "HM"
            if not (names_day and names_coarser if is_time else names_day or names_coarser):
                raise PatternError(
                    f"its names do not sort by time, because a coarser unit follows %{directive}, "
                    "so finding the newest backups would mean listing all; write coarser "
                    "units first, for example %Y-%m-%d.%H"
                )
            named.add(directive)

    def _name(self, start: datetime, zone: ZoneInfo, *, is_second: bool = False) -> str:
        text = self.text.replace("%H", "%Hb") if is_second else self.text
        local = start.astimezone(zone)
        return re.sub("%(.)", lambda directive: _FIELDS[directive[1]](local), text)


# Only the units in the pattern are computed, because a list of ten years has many names.
_FIELDS: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda local: f"{local.year:04}",
    "m": lambda local: f"{local.month:02}",
    "d": lambda local: f"{local.day:02}",
    "H": lambda local: f"{local.hour:02}",
    "M": lambda local: f"{local.minute:02}",
    "j": lambda local: f"{local.timetuple().tm_yday:03}",
    "G": lambda local: f"{local.isocalendar().year:04}",
    "V": lambda local: f"{local.isocalendar().week:02}",
}


def _can_be_equal(one: str, other: str) -> bool:
    """Whether two template characters can match the same character; `%` matches any digit."""
    return one == other or (one == "%" and other.isdigit()) or (other == "%" and one.isdigit())


def _calendar_period(moment: datetime, unit: Unit, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The start and end of a day or longer period, which lasts until clocks first show the next.

    (In some zones clocks went back across midnight; the old day did not start again.)
    """
    first = _first_wall_time(_wall_time(moment, zone), unit)
    while (end := _first_shown(_following(first, unit), zone)) <= moment:
        first = _following(first, unit)
    return _first_shown(first, zone), end


def _clock_period(moment: datetime, unit: Unit, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The start and end of an hour or a minute.

    If clocks go back within it, it ends there, and the rest is a separate period. If clocks go
    forward, part of it is skipped, perhaps its start or end.
    """
    wall = _wall_time(moment, zone)
    start = moment - (wall - _first_wall_time(wall, unit))
    end = start + LONGEST[unit]
    shift = _offset(end - _SECOND, zone) - _offset(start, zone)
    if not shift:
        return start, end
    change = _change(zone, before=start, after=end - _SECOND)
    goes_back = shift < timedelta()
    if moment < change:
        return start, change if goes_back else max(change, end - shift)
    return change if goes_back else min(change, start + shift), end


def _wall_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """The date and time that clocks in `zone` show at `moment`, without a zone, to compute with."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return _wall_time(moment, zone) - moment.replace(tzinfo=None)


def _first_wall_time(wall: datetime, unit: Unit) -> datetime:
    if unit == "minute":
        return wall.replace(second=0, microsecond=0)
    if unit == "hour":
        return wall.replace(minute=0, second=0, microsecond=0)
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return midnight
    if unit == "week":
        return midnight - timedelta(days=midnight.weekday())
    return midnight.replace(day=1) if unit == "month" else midnight.replace(day=1, month=1)


def _following(first: datetime, unit: Unit) -> datetime:
    """The wall time at which the next period starts, given that of this period."""
    return _first_wall_time(first + LONGEST[unit], unit)


def _first_shown(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks in `zone` first show `wall`; if they skip it, the moment of the jump."""
    shown = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall_time(shown, zone) == wall:
        return shown
    # For a wall time that is skipped, fold=1 gives a moment before the change (PEP 495).
    return _change(zone, before=wall.replace(tzinfo=zone, fold=1).astimezone(UTC), after=shown)


def _change(zone: ZoneInfo, *, before: datetime, after: datetime) -> datetime:
    """The first whole second after the only clock change between these two seconds."""
    offset = _offset(after, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after
