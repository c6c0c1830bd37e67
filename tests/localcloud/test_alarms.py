"""Alarms are evaluated as CloudWatch's user guide specifies; its tables are among the cases."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.alarms import ALARM, NO_DATA, OK, Metric, next_state, transitions

RETAINED = "as it was"
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
# "Configuring how CloudWatch alarms treat missing data": datapoints from oldest to newest, where X
# is breaching, 0 is not, and - is missing; then the state under each treatment.
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
    newest_first = [meaning[point] for point in reversed(datapoints.split())]
    state = next_state(newest_first, RETAINED, to_alarm=to_alarm, within=3, missing=treatment)
    assert state == states[TREATMENTS.index(treatment)]


def changes(points: dict[int, float], *, until: int, **alarm: Any) -> list[tuple[int, str]]:
    """Minute and state of each change; `points` has the values by minute."""
    definition = {
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
    each = transitions(
        definition,
        {Metric.of(METRIC): list(minutes.items())},
        begin=MIDNIGHT,
        end=MIDNIGHT + timedelta(minutes=until),
    )
    return [((change.at - MIDNIGHT) // timedelta(minutes=1), change.state) for change in each]


def test_a_sum_alarms_when_it_is_reached_and_until_it_is_too_far_back() -> None:
    assert changes({3: 1, 4: 1, 5: 1}, until=60)[0] == (6, ALARM)
    assert changes({3: 3}, until=60) == [(4, ALARM), (19, OK)]


def test_a_sum_that_no_period_reaches_does_not_alarm() -> None:
    assert changes({3: 2, 9: 2}, until=60) == []


def test_m_of_n_ends_only_when_all_periods_are_quiet() -> None:
    every_ten = dict.fromkeys(range(0, 60, 10), 3.0) | dict.fromkeys(range(60, 100, 5), 0.0)
    assert changes(every_ten, until=100, EvaluationPeriods=3, DatapointsToAlarm=1) == [
        (1, ALARM),
        (71, OK),  # a period without data, so an earlier one counts
    ]


def test_other_dimensions_make_another_metric() -> None:
    others = [{"Name": "d", "Value": "another"}]
    assert changes({3: 9}, until=30, Dimensions=others) == []


@pytest.mark.parametrize(
    ("fill", "rings_after"),
    [pytest.param(True, 30, id="FILL"), pytest.param(False, 60, id="a plain alarm is late")],
)
def test_missing_data_alarms(*, fill: bool, rings_after: int) -> None:
    """Data until minute 0, then none; the alarm needs two of two periods of 15 minutes."""
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
    assert changes(before, until=120, **alarm) == [(rings_after + 1, ALARM)]


def test_disabled_actions_send_nothing() -> None:
    assert changes({3: 3}, until=30)
    alarm = {**METRIC, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    [change] = transitions(
        {
            **alarm,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "ignore",
            "AlarmActions": ["topic"],
            "ActionsEnabled": False,
        },
        {Metric.of(METRIC): [(MIDNIGHT, 2.0)]},
        begin=MIDNIGHT,
        end=MIDNIGHT + timedelta(minutes=9),
    )
    assert (change.state, change.actions) == (ALARM, ())


OTHER = {**METRIC, "MetricName": "O"}


@pytest.mark.parametrize(
    ("expression", "points", "others", "rings"),
    [
        pytest.param("SUM([m, o])", {3: 1}, {3: 2}, True, id="both together reach it"),
        pytest.param("SUM([m, o])", {3: 1}, {3: 1}, False, id="both together do not"),
        pytest.param("SUM([m, o])", {3: 3}, {}, True, id="one without data counts as nothing"),
        pytest.param("SUM([FILL(m, 0), o])", {3: 0}, {9: 3}, True, id="a gap that is filled"),
        pytest.param("SUM([m, o])", {}, {}, False, id="nothing has data"),
    ],
)
def test_a_sum_of_metrics(
    expression: str, points: dict[int, float], others: dict[int, float], *, rings: bool
) -> None:
    stats = {
        name: {"Metric": metric, "Period": 300, "Stat": "Sum"}
        for name, metric in (("m", METRIC), ("o", OTHER))
    }
    alarm = {
        "Metrics": [
            *({"Id": name, "MetricStat": stat} for name, stat in stats.items()),
            {"Id": "sum", "Expression": expression},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 3.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    values = {
        Metric.of(metric): [(MIDNIGHT + timedelta(minutes=at), value) for at, value in of.items()]
        for metric, of in ((METRIC, points), (OTHER, others))
    }
    end = MIDNIGHT + timedelta(minutes=30)
    sent = [each.state for each in transitions(alarm, values, begin=MIDNIGHT, end=end)]
    assert sent == ([ALARM, OK] if rings else [])


def test_samples_are_counted_whatever_their_value() -> None:
    counted = {"Statistic": "SampleCount", "Threshold": 2.0}
    assert changes({3: 0, 4: 0}, until=60, **counted)[0] == (5, ALARM)
    assert changes({3: 9}, until=60, **counted) == []


def test_an_expression_that_is_not_known_is_refused() -> None:
    stat = {"Metric": METRIC, "Period": 300, "Stat": "Sum"}
    metrics = [{"Id": "m", "MetricStat": stat}, {"Id": "r", "Expression": "RATE(m)"}]
    with pytest.raises(ValueError, match="not RATE"):
        changes({3: 9}, until=9, Metrics=metrics)
