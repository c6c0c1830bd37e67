"""EventBridge's schedule expressions: when a rule is due.

rate(15 minutes)          every 15 minutes, from when the rule was put
cron(0,30 6-8 * * ? *)    at :00 and :30 of the hours 6, 7 and 8, UTC
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from moto.events.exceptions import ValidationException

Next = Callable[[datetime], datetime]
"""The first due moment after this one."""

_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((?P<minutes>\S+) (?P<hours>\S+) (?:\* \* \?|\? \* \*) \*\)")
_ITEM = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+)|/(?P<step>[1-9]\d*))?")
_MINUTES, _HOURS = range(60), range(24)


def schedule(expression: str) -> Next:
    """When a rule with this expression is due. Raises moto's ValidationException."""
    if rate := _RATE.fullmatch(expression):
        period = timedelta(**{f"{rate[2]}s": int(rate[1])})
        return lambda moment: moment + period
    if cron := _CRON.fullmatch(expression):
        minutes = _values(cron["minutes"], _MINUTES)
        hours = _values(cron["hours"], _HOURS)
        if minutes and hours:
            return lambda moment: _next(moment, minutes=minutes, hours=hours)
    raise ValidationException(
        "The local cloud only supports schedules such as rate(15 minutes), and those of every day "
        f"such as cron(0,30 6-8 * * ? *): {expression}"
    )


def _values(field: str, allowed: range) -> frozenset[int]:
    """The values of a field: *, or items such as 5, 0-12 or 3/15; none if it is invalid."""
    if field == "*":
        return frozenset(allowed)
    values: set[int] = set()
    for text in field.replace("*/", f"{allowed.start}/").split(","):
        item = _ITEM.fullmatch(text)
        if item is None or not {int(item["first"]), int(item["last"] or 0)} <= set(allowed):
            return frozenset()
        last = int(item["last"] or (allowed[-1] if item["step"] else item["first"]))
        values.update(range(int(item["first"]), last + 1, int(item["step"] or 1)))
    return frozenset(values)


def _next(moment: datetime, *, minutes: frozenset[int], hours: frozenset[int]) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while True:
        if hour.hour in hours:
            for minute in sorted(minutes):
                if (due := hour + timedelta(minutes=minute)) > moment:
                    return due
        hour += timedelta(hours=1)
