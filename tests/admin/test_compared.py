"""Every value that `check` does not compare is listed with a reason, and still exists in AWS."""

import boto3
import pytest

from admin.check import configuration
from admin.check.alerts import readers
from admin.setup import alert_resources


def members(service: str, shape: str) -> set[str]:
    model = boto3.client(service, region_name="us-east-1").meta.service_model
    return {*model.shape_for(shape).members}


@pytest.mark.parametrize(
    "reasons",
    [alert_resources.ALARM_MAY_DIFFER, configuration.MAY_DIFFER, readers.MAY_DIFFER],
    ids=["alarms", "functions", "subscriptions"],
)
def test_everything_that_can_differ_has_a_reason(reasons: dict[str, str]) -> None:
    assert all(len(reason.split()) >= 3 for reason in reasons.values())


def test_aws_accepts_the_names() -> None:
    assert alert_resources.ALARM_MAY_DIFFER.keys() <= members("cloudwatch", "MetricAlarm")
    assert alert_resources.ALARM_DEFAULTS.keys() <= members("cloudwatch", "MetricAlarm")
    known = members("lambda", "FunctionConfiguration")
    assert configuration.MAY_DIFFER.keys() | configuration.COMPARED <= known
    assert configuration.MAY_DIFFER.keys().isdisjoint(configuration.COMPARED)
