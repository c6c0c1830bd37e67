"""How CloudWatch's user guide says that alarms are evaluated, its own tables among it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.alarms import ALARM, NO_DATA, OK, Metric, next_state, transitions

RETAINED = "as it was"
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
# "Configuring how CloudWatch alarms treat missing data": from the oldest datapoint to the newest,
# X breaches, 0 does not, - is missing; and the state under each treatment.
THREE_OF_THREE = {
    "0 - X - X": (OK, OK, OK, OK),
    "0 - - - -": (OK, OK, OK, OK),
    "- - - - -": (NO_DATA, RETAINED, ALARM, OK),
    "0 X X - X": (ALARM, ALARM, ALARM, ALARM),
    "- - X - -": (ALARM, RETAINED, ALARM, OK),
}
TWO_OF_THREE = {
    "0 - X - X": (ALARM, ALARM, ALARM, ALARM),
    "0 0 X 0 X": (ALARM, ALARM, ALARM, ALARM),
    "0 - X - -": (OK, OK, ALARM, OK),
    "- - - - 0": (OK, OK, ALARM, OK),
    "- - - X -": (ALARM, RETAINED, ALARM, OK),
}
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
METRIC = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "d", "Value": "v"}]}


@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize(
    ("to_alarm", "datapoints", "states"),
    [
        *(pytest.param(3, row, then, id=f"3 of 3: {row}") for row, then in THREE_OF_THREE.items()),
        *(pytest.param(2, row, then, id=f"2 of 3: {row}") for row, then in TWO_OF_THREE.items()),
    ],
)
def test_the_tables_of_the_guide(
    to_alarm: int, datapoints: str, states: Sequence[str], treatment: str
) -> None:
    meaning = {"X": True, "0": False, "-": None}
    seen = [meaning[one] for one in reversed(datapoints.split())]
    state = next_state(seen, RETAINED, to_alarm=to_alarm, within=3, missing=treatment)
    assert state == states[TREATMENTS.index(treatment)]


def of(points: dict[int, float], *, until: int, **alarm: Any) -> list[tuple[int, str]]:
    """Minute and state of each change, from values by the minute."""
    given = {
        **METRIC,
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 3.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "OKActions": ["topic"],
        "AlarmActions": ["topic"],
        **alarm,
    }
    minutes = {MIDNIGHT + timedelta(minutes=at): value for at, value in points.items()}
    found = transitions(
        given,
        {Metric.of(METRIC): list(minutes.items())},
        begin=MIDNIGHT,
        end=MIDNIGHT + timedelta(minutes=until),
    )
    return [((one.at - MIDNIGHT) // timedelta(minutes=1), one.state) for one in found]


def test_a_sum_rings_as_soon_as_it_is_reached_and_is_seen_until_it_is_too_far_back() -> None:
    assert of({3: 1, 4: 1, 5: 1}, until=60)[0] == (6, ALARM)
    assert of({3: 3}, until=60) == [(4, ALARM), (19, OK)]


def test_a_sum_that_no_period_reaches_does_not_ring() -> None:
    assert of({3: 2, 9: 2}, until=60) == []


def test_m_of_n_is_over_only_when_all_periods_are_quiet() -> None:
    every_ten = dict.fromkeys(range(0, 60, 10), 3.0) | dict.fromkeys(range(60, 100, 5), 0.0)
    assert of(every_ten, until=100, EvaluationPeriods=3, DatapointsToAlarm=1) == [
        (1, ALARM),
        (71, OK),  # one period without data, and so one further back is looked at
    ]


def test_dimensions_tell_metrics_apart() -> None:
    others = [{"Name": "d", "Value": "another"}]
    assert of({3: 9}, until=30, Dimensions=others) == []


@pytest.mark.parametrize(
    ("fill", "rings_after"),
    [pytest.param(True, 30, id="FILL"), pytest.param(False, 60, id="a plain alarm is late")],
)
def test_silence_rings(*, fill: bool, rings_after: int) -> None:
    """Data until minute 0, then none: two of two periods of a quarter of an hour."""
    stat = {"Metric": METRIC, "Period": 900, "Stat": "Maximum"}
    alarm: dict[str, Any] = {
        "Statistic": "Maximum",
        "Period": 900,
        "EvaluationPeriods": 2,
        "DatapointsToAlarm": 2,
        "TreatMissingData": "breaching",
    }
    if fill:
        alarm["Metrics"] = [
            {"Id": "m", "MetricStat": stat, "ReturnData": False},
            {"Id": "f", "Expression": "FILL(m, 3)", "ReturnData": True},
        ]
    before = dict.fromkeys(range(-90, 1, 15), 0.0)
    assert of(before, until=120, **alarm) == [(rings_after + 1, ALARM)]


def test_actions_that_are_off_send_nothing() -> None:
    assert of({3: 3}, until=30)
    given = {**METRIC, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    [rung] = transitions(
        {
            **given,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "ignore",
            "AlarmActions": ["topic"],
            "ActionsEnabled": False,
        },
        {Metric.of(METRIC): [(MIDNIGHT, 2.0)]},
        begin=MIDNIGHT,
        end=MIDNIGHT + timedelta(minutes=9),
    )
    assert (rung.state, rung.actions) == (ALARM, ())
