"""What CloudWatch publishes when an alarm's state changes.

CloudWatch user guide, "Notifying users on alarm changes". The datapoints are left out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm
from moto.core.models import DEFAULT_ACCOUNT_ID

from localcloud.alarms import NO_DATA, Transition

_REGIONS = {"us-east-1": "US East (N. Virginia)"}
_TRIGGER = (
    "MetricName",
    "Namespace",
    "Statistic",
    "Period",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "ComparisonOperator",
    "Threshold",
    "TreatMissingData",
)


def subject(alarm: Alarm, change: Transition) -> str:
    return f'{change.state}: "{alarm.name}" in {_REGIONS[alarm.region_name]}'


def reason(alarm: Alarm, change: Transition) -> str:
    if change.state == NO_DATA:
        return "Insufficient Data: no datapoints were received."
    return (
        f"Threshold Crossed: the datapoints until {change.at:%d/%m/%y %H:%M:%S} were compared with"
        f" the threshold ({alarm.threshold})."
    )


def body(
    alarm: Alarm, change: Transition, *, definition: Mapping[str, Any], before: str
) -> dict[str, Any]:
    """The message; `before` is the alarm's previous state."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": DEFAULT_ACCOUNT_ID,
        "AlarmConfigurationUpdatedTimestamp": _time(alarm.configuration_updated_timestamp),
        "NewStateValue": change.state,
        "NewStateReason": reason(alarm, change),
        "StateChangeTime": _time(change.at),
        "Region": _REGIONS[alarm.region_name],
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": {name: definition[name] for name in _TRIGGER if name in definition},
    }


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}+0000"
