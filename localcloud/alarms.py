"""When CloudWatch alarms change their state: pure functions of the metrics' values.

An alarm is a dictionary of PutMetricAlarm's arguments. It can use what CloudWatch's user guide
specifies ("Alarm evaluation", "Configuring how CloudWatch alarms treat missing data"): M out of N,
all four treatments of missing data, a metric with Sum, Minimum, Maximum or SampleCount, and the
expressions FILL(metric, number) and SUM([term, ...]) of metrics and FILLs.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

# An alarm looks further back than its evaluation periods if data is missing. The guide does not say
# how far; in its examples three periods become five.
LOOKS_FURTHER_BACK = 2
MINUTE = timedelta(minutes=1)
FILL = re.compile(r"FILL\((?P<metric>\w+), (?P<value>\d+)\)")
TERM = r"(?:FILL\(\w+, \d+\)|\w+)"
SUM = re.compile(rf"SUM\(\[(?P<terms>{TERM}(?:, {TERM})*)\]\)")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
# The value of the period that ended at each minute; None: no data.
Series = list[float | None]


@dataclass(frozen=True, order=True)
class Metric:
    """The identity of a metric: other dimensions make a different metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, alarm: Mapping[str, Any]) -> "Metric":
        """The metric that an alarm, or one of its MetricStats, names."""
        pairs = ((dimension["Name"], dimension["Value"]) for dimension in alarm["Dimensions"])
        return cls(alarm["Namespace"], alarm["MetricName"], tuple(sorted(pairs)))


@dataclass(frozen=True)
class Transition:
    """A change of an alarm's state, and the topics that CloudWatch notifies."""

    at: datetime
    state: str
    actions: tuple[str, ...]


Metrics = Mapping[Metric, Sequence[tuple[datetime, float]]]


def transitions(
    alarm: Mapping[str, Any], metrics: Metrics, *, begin: datetime, end: datetime, state: str = OK
) -> Iterator[Transition]:
    """Each change of the alarm's state from `begin` (a full minute), where it starts as `state`.

    The alarm is evaluated every minute, over the periods that end at that minute.
    """
    within, step = alarm["EvaluationPeriods"], _period(alarm) // MINUTE
    looks_back = (within + LOOKS_FURTHER_BACK) * step
    seen = _seen(alarm, metrics, begin=begin - looks_back * MINUTE, end=end, looks_back=looks_back)
    breaches = _breaches(alarm, seen)
    to_alarm, missing = alarm.get("DatapointsToAlarm", within), alarm["TreatMissingData"]
    for minute in _changing(breaches, looks_back=looks_back, step=step):
        newest_first = breaches[minute + looks_back : minute : -step]
        now = next_state(newest_first, state, to_alarm=to_alarm, within=within, missing=missing)
        if now != state:
            yield Transition(begin + minute * MINUTE, now, _actions(alarm, now))
        state = now


def _changing(breaches: Sequence[bool | None], *, looks_back: int, step: int) -> list[int]:
    """The first minute, and every minute whose datapoints differ from those a minute earlier.

    In all other minutes the alarm keeps its state.
    """
    last = len(breaches) - 1 - looks_back
    changes = (at for at in range(1, len(breaches)) if breaches[at] is not breaches[at - 1])
    minutes = {0, *(at - back for at in changes for back in range(looks_back, 0, -step))}
    return sorted(minute for minute in minutes if 0 <= minute <= last)


def next_state(
    datapoints: Sequence[bool | None], state: str, *, to_alarm: int, within: int, missing: str
) -> str:
    """The state that follows `state`. Each datapoint breaches or not (None: missing), newest first.

    Missing datapoints count only if there are fewer than `within` others.
    """
    present = [datapoint for datapoint in datapoints if datapoint is not None][:within]
    lacking = within - len(present)
    breaching = sum(present)
    if breaching >= to_alarm:
        return ALARM
    match missing:
        case "breaching":
            return ALARM if breaching + lacking >= to_alarm else OK
        case "notBreaching":
            return OK
        case "ignore":
            return OK if breaching < len(present) else state
        case "missing":
            return NO_DATA if not present else OK if breaching < len(present) else ALARM
        case _:
            raise ValueError(f"CloudWatch has no TreatMissingData {missing!r}")


def _period(alarm: Mapping[str, Any]) -> timedelta:
    source = alarm["Metrics"][0]["MetricStat"] if "Metrics" in alarm else alarm
    return timedelta(seconds=source["Period"])


def _breaches(alarm: Mapping[str, Any], series: Series) -> list[bool | None]:
    is_breaching, threshold = COMPARISONS[alarm["ComparisonOperator"]], alarm["Threshold"]
    return [None if value is None else is_breaching(value, threshold) for value in series]


def _seen(
    alarm: Mapping[str, Any], metrics: Metrics, *, begin: datetime, end: datetime, looks_back: int
) -> Series:
    """The value that the alarm evaluates at each minute; `looks_back` is in minutes."""
    period = _period(alarm)
    if "Metrics" not in alarm:
        points = metrics.get(Metric.of(alarm), ())
        return _series(points, alarm["Statistic"], period, begin=begin, end=end)
    *sources, result = alarm["Metrics"]
    series = {}
    for source in sources:
        stat = source["MetricStat"]
        points = metrics.get(Metric.of(stat["Metric"]), ())
        series[source["Id"]] = _series(points, stat["Stat"], period, begin=begin, end=end)
    return _evaluated(result["Expression"], series, looks_back=looks_back)


def _evaluated(expression: str, series: Mapping[str, Series], *, looks_back: int) -> Series:
    if expression in series:
        return series[expression]
    if filled := FILL.fullmatch(expression):
        return _filled(series[filled["metric"]], float(filled["value"]), looks_back=looks_back)
    if summed := SUM.fullmatch(expression):
        terms = (
            _evaluated(term, series, looks_back=looks_back)
            for term in re.findall(TERM, summed["terms"])
        )
        return [_total(points) for points in zip(*terms, strict=True)]
    raise ValueError(f"only FILL and SUM are supported, not {expression}")


def _total(points: Iterable[float | None]) -> float | None:
    """The sum of the points that have data; None if none has."""
    present = [point for point in points if point is not None]
    return sum(present) if present else None


def _filled(plain: Series, value: float, *, looks_back: int) -> Series:
    """Fill gaps with `value`. FILL fills nothing if the metric has no data at all in that time."""
    count = [0, *accumulate(0 if point is None else 1 for point in plain)]
    return [
        value
        if point is None and count[minute + 1] > count[max(0, minute + 1 - looks_back)]
        else point
        for minute, point in enumerate(plain)
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
    arriving: dict[int, list[float]] = defaultdict(list)
    for at, value in points:
        # A point belongs to the periods that end after it.
        if 0 <= (ending := (at - begin) // MINUTE + 1) < minutes:
            arriving[ending].append(value)
    recent: deque[tuple[int, float]] = deque()
    series: Series = []
    result: float | None = None
    for minute in sorted({*arriving, *(minute + width for minute in arriving)}):
        series += [result] * (min(minute, minutes) - len(series))
        recent.extend((minute, value) for value in arriving.get(minute, ()))
        while recent and recent[0][0] <= minute - width:
            recent.popleft()
        result = _statistic(statistic, [value for _, value in recent])
    return series + [result] * (minutes - len(series))


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
        case "SampleCount":
            return len(values)
        case _:
            raise ValueError(f"the statistic {name} is not supported")


def _actions(alarm: Mapping[str, Any], state: str) -> tuple[str, ...]:
    if not alarm.get("ActionsEnabled", True):
        return ()
    keys = {OK: "OKActions", ALARM: "AlarmActions", NO_DATA: "InsufficientDataActions"}
    return tuple(alarm.get(keys[state], ()))
