"""Which backup `WHEN` names: "2026-11-20", "2026-11-20T14", "latest" or "3 days ago".

2026-11-20     of the rule's day   ->  2026-11-20.tar.gz.gpg, or the last one of that day
2026-11-20T14  of that hour        ->  2026-11-20.14.sql.gz.gpg
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

LATEST = "latest"
_WRITTEN = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2})(b?)(?::(\d{2}))?)?")
_AGO = re.compile(r"(\d{1,5}) (minute|hour|day|week)s? ago")
_UNITS = {unit: timedelta(**{f"{unit}s": 1}) for unit in ("minute", "hour", "day", "week")}


@dataclass(frozen=True, kw_only=True)
class When:
    """A day, hour or minute on a server's clocks, or so long `ago`; neither: the latest backup.

    `is_second`: the second of two equal hours, when clocks go back. Its name has a `b`.
    """

    text: str = LATEST
    local: datetime | None = None
    length: timedelta = timedelta()
    is_second: bool = False
    ago: timedelta | None = None

    @property
    def is_latest(self) -> bool:
        """Whether it names the latest backup."""
        return self.local is None and self.ago is None

    def between(self, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime] | None:
        """The time that it names, in UTC; the end is excluded. None: the latest backup.

        Raises ValueError for a time that clocks in this zone skip, or do not repeat.
        """
        if self.ago is not None:
            moment = now - self.ago
            return moment, moment + timedelta(microseconds=1)
        if self.local is None:
            return None
        first = self.local.replace(tzinfo=zone, fold=int(self.is_second))
        begin = first.astimezone(UTC)
        if self.length < timedelta(days=1):
            shown = begin.astimezone(zone)
            if shown.replace(tzinfo=None) != self.local or shown.fold != self.is_second:
                skip = "does not come twice" if self.is_second else "is skipped"
                raise ValueError(f"{self.text} {skip} by the clocks in {zone.key}")
            return begin, begin + self.length
        return begin, (self.local + self.length).replace(tzinfo=zone).astimezone(UTC)


class WhenType(click.ParamType[When]):
    """The type of the argument WHEN."""

    name = "WHEN"

    def convert(self, value: Any, param: Any, ctx: Any) -> When:
        """Parse WHEN."""
        if value == LATEST:
            return When()
        if ago := _AGO.fullmatch(value):
            return When(text=value, ago=int(ago[1]) * _UNITS[ago[2]])
        if not (written := _WRITTEN.fullmatch(value)):
            self.fail(
                f'{value!r} is not a time; write latest, 2026-11-20, 2026-11-20T14 or "3 days ago"',
                param,
                ctx,
            )
        day, hour, second, minute = written.groups()
        length = timedelta(days=1)
        if hour:
            length = timedelta(minutes=1) if minute else timedelta(hours=1)
        try:
            local = datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}")
        except ValueError as error:
            self.fail(f"{value!r} is not a time: {error}", param, ctx)
        return When(text=value, local=local, length=length, is_second=bool(second))
