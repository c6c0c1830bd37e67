"""When alarms of CloudWatch change their state, from what metrics show: pure functions.

An alarm is what PutMetricAlarm is given. Known are what can be looked up in CloudWatch's user guide
("Alarm evaluation", "Configuring how CloudWatch alarms treat missing data"): M out of N, all four
treatments of missing data, one metric with Sum, Minimum or Maximum, and FILL(metric, number).
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

# An alarm looks further back than its evaluation periods where data are missing. The guide does not
# say how far; in its examples three periods become five.
LOOKS_FURTHER_BACK = 2
MINUTE = timedelta(minutes=1)
FILL = re.compile(r"FILL\((?P<metric>\w+), (?P<value>\d+)\)")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
# What the period that ended at each minute shows; None: no data.
Series = list[float | None]


@dataclass(frozen=True, order=True)
class Metric:
    """Which metric: two with other dimensions have nothing to do with each other."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Metric":
        """The metric that a part of an alarm names."""
        named = tuple(sorted((one["Name"], one["Value"]) for one in given["Dimensions"]))
        return cls(given["Namespace"], given["MetricName"], named)


@dataclass(frozen=True)
class Transition:
    """A change of an alarm's state, and where CloudWatch sends word of it."""

    at: datetime
    state: str
    actions: tuple[str, ...]


Metrics = Mapping[Metric, Sequence[tuple[datetime, float]]]


def transitions(
    alarm: Mapping[str, Any], metrics: Metrics, *, begin: datetime, end: datetime, state: str = OK
) -> Iterator[Transition]:
    """Each change of the alarm's state from `begin` (a full minute) on, where it is `state`.

    It is evaluated every minute, over the periods that end at that minute.
    """
    within, step = alarm["EvaluationPeriods"], _period(alarm) // MINUTE
    looks_back = (within + LOOKS_FURTHER_BACK) * step
    seen = _seen(alarm, metrics, begin=begin - looks_back * MINUTE, end=end, looks_back=looks_back)
    breaches = [_breaches(alarm, value) for value in seen]
    for minute in range((end - begin) // MINUTE + 1):
        now = next_state(
            breaches[minute + looks_back : minute : -step],  # the newest first
            state,
            to_alarm=alarm.get("DatapointsToAlarm", within),
            within=within,
            missing=alarm["TreatMissingData"],
        )
        if now != state:
            yield Transition(begin + minute * MINUTE, now, _actions(alarm, now))
        state = now


def next_state(
    datapoints: Sequence[bool | None], state: str, *, to_alarm: int, within: int, missing: str
) -> str:
    """The state after `state`, from whether each datapoint breaches (None: missing), newest first.

    Only as many missing datapoints count as there are too few others.
    """
    there = [one for one in datapoints if one is not None][:within]
    lacking = within - len(there)
    breaching = sum(there)
    if breaching >= to_alarm:
        return ALARM
    match missing:
        case "breaching":
            return ALARM if breaching + lacking >= to_alarm else OK
        case "notBreaching":
            return OK
        case "ignore":
            return OK if breaching < len(there) else state
        case "missing":
            return NO_DATA if not there else OK if breaching < len(there) else ALARM
        case _:
            raise ValueError(f"CloudWatch knows no TreatMissingData {missing!r}")


def _period(alarm: Mapping[str, Any]) -> timedelta:
    source = alarm["Metrics"][0]["MetricStat"] if "Metrics" in alarm else alarm
    return timedelta(seconds=source["Period"])


def _breaches(alarm: Mapping[str, Any], value: float | None) -> bool | None:
    if value is None:
        return None
    return COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def _seen(
    alarm: Mapping[str, Any], metrics: Metrics, *, begin: datetime, end: datetime, looks_back: int
) -> Series:
    """What the alarm sees at each minute; it looks back so many of them."""
    period = _period(alarm)
    if "Metrics" not in alarm:
        points = metrics.get(Metric.of(alarm), ())
        return _series(points, alarm["Statistic"], period, begin=begin, end=end)
    source, expression = alarm["Metrics"]
    filled = FILL.fullmatch(expression["Expression"])
    if not filled or filled["metric"] != source["Id"]:
        raise ValueError(f"only FILL is known here, not {expression['Expression']}")
    stat = source["MetricStat"]
    points = metrics.get(Metric.of(stat["Metric"]), ())
    plain = _series(points, stat["Stat"], period, begin=begin, end=end)
    return _filled(plain, float(filled["value"]), looks_back=looks_back)


def _filled(plain: Series, value: float, *, looks_back: int) -> Series:
    """FILL fills nothing where a metric has no data at all in what is looked at."""
    count = [0, *accumulate(0 if one is None else 1 for one in plain)]
    return [
        value if one is None and count[minute + 1] > count[max(0, minute + 1 - looks_back)] else one
        for minute, one in enumerate(plain)
    ]


def _series(
    points: Iterable[tuple[datetime, float]],
    statistic: str,
    period: timedelta,
    *,
    begin: datetime,
    end: datetime,
) -> Series:
    minutes, width = (end - begin) // MINUTE + 1, period // MINUTE
    each: list[list[float]] = [[] for _ in range(minutes)]
    for at, value in points:
        # A point belongs to the periods that end after it.
        if 0 <= (ending := (at - begin) // MINUTE + 1) < minutes:
            each[ending].append(value)
    recent: deque[tuple[int, float]] = deque()
    shown: Series = []
    for minute, values in enumerate(each):
        recent.extend((minute, value) for value in values)
        while recent and recent[0][0] <= minute - width:
            recent.popleft()
        shown.append(_statistic(statistic, [value for _, value in recent]))
    return shown


def _statistic(name: str, values: list[float]) -> float | None:
    if not values:
        return None
    match name:
        case "Sum":
            return sum(values)
        case "Minimum":
            return min(values)
        case "Maximum":
            return max(values)
        case _:
            raise ValueError(f"the statistic {name} is not known here")


def _actions(alarm: Mapping[str, Any], state: str) -> tuple[str, ...]:
    if not alarm.get("ActionsEnabled", True):
        return ()
    named = {OK: "OKActions", ALARM: "AlarmActions", NO_DATA: "InsufficientDataActions"}
    return tuple(alarm.get(named[state], ()))
