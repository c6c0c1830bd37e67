"""Which time or backup `WHEN` names: "2026-11-20", "2026-11-20T14", "latest" or "3 days ago".

2026-11-20            the rule's day          ->  2026-11-20.tar.gz.gpg, the last one of that day
2026-11-20T14         that hour               ->  2026-11-20.14.sql.gz.gpg
2026-10-25T01b        the second of two hours ->  2026-10-25.01b.sql.gz.gpg
2026-11-20T14:05:00Z  that moment             ->  2026-11-20.14.sql.gz.gpg
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from admin.exit_status import Refused
from admin.options import CALENDAR
from chalicelib.policy.policy import Slot

LATEST = "latest"
# The default range of a list and a verification.
DEFAULT_DAYS = 35
SINCE = f"A day, an hour or a time, the first (default: {DEFAULT_DAYS} days ago)."
UNTIL = "A day, an hour or a time, the last (default: now)."
_WRITTEN = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2})(b?)(?::(\d{2}))?)?", re.ASCII)
_AGO = re.compile(r"(\d{1,5}) (minute|hour|day|week)s? ago", re.ASCII)
_UNITS = {unit: timedelta(**{f"{unit}s": 1}) for unit in ("minute", "hour", "day", "week")}


@dataclass(frozen=True, kw_only=True)
class When:
    """A day, hour or minute on a rule's clocks, a `moment`, or a time `ago`.

    None of them is set: the latest backup.

    `is_second`: the second of two equal hours, when clocks go back. Its name has a `b`.
    """

    text: str = LATEST
    local: datetime | None = None
    length: timedelta = timedelta()
    is_second: bool = False
    moment: datetime | None = None
    ago: timedelta | None = None

    @property
    def is_latest(self) -> bool:
        """Whether it names the latest backup."""
        return self.local is None and self.ago is None and self.moment is None

    def between(self, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime] | None:
        """The time that it names, in UTC; the end is excluded. None: the latest backup.

        Raises ValueError for an hour that clocks in this zone skip, or do not repeat.
        """
        if moment := now - self.ago if self.ago is not None else self.moment:
            return moment, moment + timedelta(microseconds=1)
        if self.local is None:
            return None
        begin = self.local.replace(tzinfo=zone, fold=int(self.is_second)).astimezone(UTC)
        if self.length >= timedelta(days=1):
            return begin, (self.local + self.length).replace(tzinfo=zone).astimezone(UTC)
        shown = begin.astimezone(zone)
        if shown.replace(tzinfo=None) != self.local:
            raise ValueError(f"Clocks in {zone.key} skip {self.text}")
        if shown.fold != self.is_second:
            raise ValueError(f"Clocks in {zone.key} show this hour only once; leave out the b")
        return begin, begin + self.length


def local_hour(slot: Slot) -> str:
    """The format of a slot's start, to the hour or, if its name has it, to the minute."""
    begin = slot.start.astimezone(slot.rule.timezone)
    second = "b" if begin.fold else ""
    minute = f":{begin:%M}" if slot.rule.store_as.unit == "minute" else ""
    return f"{begin:%Y-%m-%dT%H}{second}{minute}"


class WhenType(click.ParamType[When]):
    """The type of the argument WHEN."""

    name = "WHEN"

    def __init__(self, *, latest: bool = True) -> None:
        """`latest`: whether the latest backup can be named, too."""
        self._latest = latest

    def convert(self, value: Any, param: Any, ctx: Any) -> When:
        """Parse WHEN."""
        if value == LATEST and self._latest:
            return When()
        if ago := _AGO.fullmatch(value):
            length = int(ago[1]) * _UNITS[ago[2]]
            if datetime.now(UTC).year - length // timedelta(days=365) <= CALENDAR[0]:
                self._refuse_year(value, param, ctx)
            return When(text=value, ago=length)
        if not (written := _WRITTEN.fullmatch(value)):
            return self._moment(value, param, ctx)
        day, hour, second, minute = written.groups()
        length = timedelta(days=1)
        if hour:
            length = timedelta(minutes=1) if minute else timedelta(hours=1)
        try:
            local = datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}")
        except ValueError as error:
            self.fail(f"{value!r} is not a time: {error}", param, ctx)
        if not CALENDAR[0] <= local.year <= CALENDAR[1]:
            self._refuse_year(value, param, ctx)
        return When(text=value, local=local, length=length, is_second=bool(second))

    def _moment(self, value: str, param: Any, ctx: Any) -> When:
        """Parse a time with its time zone."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            latest = "latest, " if self._latest else ""
            self.fail(
                f"{value!r} is not a time; write {latest}2026-11-20, 2026-11-20T14, "
                '2026-11-20T14:05:00Z or "3 days ago"',
                param,
                ctx,
            )
        if not CALENDAR[0] <= moment.year <= CALENDAR[1]:
            self._refuse_year(value, param, ctx)
        return When(text=value, moment=moment)

    def _refuse_year(self, value: str, param: Any, ctx: Any) -> None:
        self.fail(f"{value!r} is outside the years 1970 to 9000", param, ctx)


@dataclass(frozen=True, kw_only=True)
class Range:
    """The slots that --since and --until name; by default, those of the last 35 days.

    A day or an hour is included as a whole.
    """

    since: When | None = None
    until: When | None = None

    def of(self, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
        """The time from `since` to `until` (excluded), on these clocks. Raises Refused."""
        try:
            last = self.until.between(zone, now) if self.until else None
            first = self.since.between(zone, now) if self.since else None
        except ValueError as error:
            raise Refused(str(error)) from None
        until = last[1] if last else now
        since = first[0] if first else until - timedelta(days=DEFAULT_DAYS)
        if since >= until:
            raise Refused("--since must be before --until, and not in the future")
        return since, until
