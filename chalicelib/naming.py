"""Names that say when: from a moment to the name of its period, and from a name back to its period.

    Pattern("%Y-%m-%d.%H.sql.gz.gpg").name(moment, zone)        -> "2026-11-23.14.sql.gz.gpg"
    Pattern("%Y-%m-%d.%H.sql.gz.gpg").period("2026-11-23.14.sql.gz.gpg", zone)
                                                                -> 14:00 to 15:00 of that day

When clocks go back, one local hour happens twice; the second one has a `b` behind its hour
(`2026-10-25.01b.sql.gz.gpg`), so that both have a name of their own.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["year", "month", "week", "day", "hour", "minute"]

# Every directive, and how many digits it writes. (An hour may be followed by a `b`.)
DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "j": 3, "G": 4, "V": 2}

# The sets of directives that name one period from the year down, by the finest unit they reach.
_CALENDARS: tuple[tuple[frozenset[str], Unit], ...] = (
    (frozenset("Ymd"), "day"),
    (frozenset("Yj"), "day"),
    (frozenset("GV"), "week"),
    (frozenset("Ym"), "month"),
    (frozenset("Y"), "year"),
)


class PatternError(ValueError):
    """A pattern that cannot name periods; the message says why and what would."""


@dataclass(frozen=True)
class Period:
    """The time from `start` (included) to `end` (excluded).

    Both are in UTC: Python compares and subtracts times of one zone by their wall clocks, which
    is wrong whenever clocks change.
    """

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Pattern:
    """A strftime pattern of %Y %m %d %H %M %j %G %V that gives each of its periods one name.

    `name` and `period` invert each other. A pattern that would give two periods the same name
    cannot be built: PatternError.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse what would name two periods alike."""
        self.unit  # noqa: B018 - computed here so that a bad pattern cannot exist

    def __str__(self) -> str:
        """The pattern as it was written."""
        return self.text

    def name(self, moment: datetime, zone: ZoneInfo) -> str:
        """The name of the period that holds `moment` (aware), as clocks in `zone` show it."""
        local = moment.astimezone(zone)
        week = local.isocalendar()
        fields = {
            "Y": f"{local.year:04}",
            "m": f"{local.month:02}",
            "d": f"{local.day:02}",
            "H": f"{local.hour:02}" + "b" * local.fold,
            "M": f"{local.minute:02}",
            "j": f"{local.timetuple().tm_yday:03}",
            "G": f"{week.year:04}",
            "V": f"{week.week:02}",
        }
        return "".join(fields[part[1]] if part[0] == "%" else part for part in self._parts)

    def period(self, name: str, zone: ZoneInfo) -> Period | None:
        """The period that `name` names in `zone`; None if this pattern never writes that name.

        Never written are, for example, 30 February, the hour that spring skips, and a second
        01:00 on any night but the one in autumn.
        """
        match = self._regex.fullmatch(name)
        if match is None:
            return None
        fields = match.groupdict()
        again = (fields.get("H") or "").endswith("b")
        try:
            first = self._first_local_moment(fields)
            if self.unit == "hour":
                start, end = _hour(first, zone, again=again)
            elif self.unit == "minute":
                start = _instant(first, zone, fold=int(again))
                end = start + timedelta(minutes=1)
            else:
                start = _instant(first, zone)
                end = _instant(_following(first, self.unit), zone)
            period = Period(start, end)
        except (ValueError, OverflowError):  # not a date, or beyond the calendar's end
            return None
        return period if self.name(start, zone) == name else None

    def overlaps(self, other: "Pattern") -> bool:
        """Whether both patterns could ever write the same name (every digit taken as possible)."""
        return any(
            len(mine) == len(theirs) and all(map(_can_be_equal, mine, theirs))
            for mine in self.shapes
            for theirs in other.shapes
        )

    @property
    def longest(self) -> int:
        """The length of the longest name that this pattern writes, in bytes."""
        return max(len(shape) for shape in self.shapes)

    @cached_property
    def unit(self) -> Unit:
        """The finest unit that the pattern names: the length of its periods."""
        used = {part[1:] for part in self._parts if part[0] == "%"}
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
                "it does not name the year (%Y, or %G with %V), so its names would come round "
                "again and each slot would be filled once ever; write for example %Y-%m-%d.%H"
            )
        if calendar != "day" and used != needed:
            raise PatternError(
                "it leaves out a period between the year and its finest unit, so two periods would "
                "share a name; name each one, for example %Y-%m-%d.%H, %Y-%j or %G-W%V"
            )
        if "M" in used and "H" not in used:
            raise PatternError("%M needs %H, or every hour would write the same names")
        return "minute" if "M" in used else "hour" if "H" in used else calendar

    @cached_property
    def _parts(self) -> list[str]:
        return re.findall(r"%.?|[^%]+", self.text, re.DOTALL)

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        seen: set[str] = set()
        regex = ""
        for part in self._parts:
            directive = part[1:]
            if part[0] != "%":
                regex += re.escape(part)
            elif directive in seen:
                regex += f"(?P={directive})"
            else:
                seen.add(directive)
                digits = f"[0-9]{{{DIGITS[directive]}}}" + ("b?" if directive == "H" else "")
                regex += f"(?P<{directive}>{digits})"
        return re.compile(regex)

    @cached_property
    def shapes(self) -> list[list[str]]:
        """The names it writes, digit for digit (`%`), without and with the hour's `b`."""
        return [
            [
                character
                for part in self._parts
                for character in (
                    "%" * DIGITS[part[1]] + (second if part[1] == "H" else "")
                    if part[0] == "%"
                    else part
                )
            ]
            for second in ("", "b")
        ]

    def _first_local_moment(self, fields: dict[str, str]) -> datetime:
        number = {key: int(value.rstrip("b")) for key, value in fields.items()}
        if self.unit == "week":
            return datetime.fromisocalendar(number["G"], number["V"], 1)
        if "d" in number and "m" in number:
            day = datetime(number["Y"], number["m"], number["d"])  # noqa: DTZ001 - wall clock
        elif "j" in number:
            day = datetime(number["Y"], 1, 1) + timedelta(days=number["j"] - 1)  # noqa: DTZ001
        else:
            day = datetime(number["Y"], number.get("m", 1), 1)  # noqa: DTZ001 - wall clock
        return day.replace(hour=number.get("H", 0), minute=number.get("M", 0))


def _can_be_equal(one: str, other: str) -> bool:
    """Whether two characters of shapes can stand for the same; `%` stands for any digit."""
    if one == "%":
        return other == "%" or other.isdigit()
    return one == other or (other == "%" and one.isdigit())


def _instant(local: datetime, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """The first (fold=1: the second) time that clocks in `zone` show `local`, in UTC."""
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _following(first: datetime, unit: Unit) -> datetime:
    if unit == "year":
        return first.replace(year=first.year + 1)
    if unit == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + (timedelta(weeks=1) if unit == "week" else timedelta(days=1))


def _hour(first: datetime, zone: ZoneInfo, *, again: bool) -> tuple[datetime, datetime]:
    """Start and end of a local hour. Clocks may change within it (Lord Howe: by half an hour)."""
    following = first + timedelta(hours=1)
    if not again:
        start = _instant(first, zone)
        return start, min(start + timedelta(hours=1), _instant(following, zone))
    for minute in range(60):
        local = first + timedelta(minutes=minute)
        second = _instant(local, zone, fold=1)
        if _instant(local, zone) < second:
            return second, _instant(following, zone, fold=1)
    raise ValueError("no minute of this hour happens twice")
