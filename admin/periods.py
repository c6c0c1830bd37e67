"""The periods in which a rule can store one backup each: as text, cron schedule and number."""

from dataclasses import dataclass

from chalicelib.policy.patterns import Unit


@dataclass(frozen=True, kw_only=True)
class Period:
    """One kind of period: how often it begins, when a server should back up, and slots per day."""

    often: str
    # Soon after the start of a period, so that a second attempt still belongs to the period; not on
    # the hour, when most jobs start, and not around midnight or when clocks change.
    schedule: str
    # The maximum for a day: one day in autumn has 25 hours.
    slots_a_day: int


PERIODS: dict[Unit, Period] = {
    "minute": Period(often="once a minute", schedule="* * * * *", slots_a_day=25 * 60),
    "hour": Period(often="once an hour", schedule="7 * * * *", slots_a_day=25),
    "day": Period(often="once a day", schedule="7 4 * * *", slots_a_day=1),
    "week": Period(often="once a week", schedule="7 4 * * 1", slots_a_day=1),
    "month": Period(often="once a month", schedule="7 4 1 * *", slots_a_day=1),
    "year": Period(often="once a year", schedule="7 4 1 1 *", slots_a_day=1),
}
