"""CloudWatch alarms that notify the topic for alerts when they go off and when they end."""

from typing import Any

from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage
from chalicelib.record import NAMESPACE

AN_HOUR = 3_600  # seconds


def alarm(
    stage: Stage,
    topic: str,
    *,
    name: str,
    summary: str,
    why: str,
    needs_deployment: str | None = None,
    **desired: Any,
) -> Requirement:
    return Requirement(
        kind=Kind.ALARM,
        resource=f"{stage.topic}-{name}",
        desired={
            "AlarmDescription": why,  # which the mail quotes
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            **desired,
            "AlarmActions": [topic],
            "OKActions": [topic],
            "ActionsEnabled": True,
        },
        summary=summary,
        why=why,
        needs_deployment=needs_deployment,
    )


def sum_alarm(
    stage: Stage,
    topic: str,
    *,
    name: str,
    at_least: int,
    to_alarm: int,
    within: int,
    summary: str,
    why: str,
    period: int = AN_HOUR,
    **metric: Any,
) -> Requirement:
    """An alarm on a sum per hour, or per `period` in seconds; `within` is a number of periods.

    No data means that nothing was counted: no alarm.
    """
    return alarm(
        stage,
        topic,
        name=name,
        summary=summary,
        why=why,
        **metric,
        Statistic="Sum",
        Period=period,
        EvaluationPeriods=within,
        DatapointsToAlarm=to_alarm,
        Threshold=float(at_least),
        TreatMissingData="notBreaching",
    )


def removed_alarm(stage: Stage, name: str, *, why: str) -> Requirement:
    """An alarm created by an earlier version or other settings, which should no longer exist."""
    return Requirement(
        kind=Kind.ALARM,
        resource=f"{stage.topic}-{name}",
        desired=None,
        summary=f"former alarm {stage.topic}-{name}",
        why=why,
    )


def own_metric(stage: Stage, name: str) -> dict[str, Any]:
    """A metric that this stage's functions write."""
    return {
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Dimensions": [{"Name": "service", "Value": stage.service}],
    }
