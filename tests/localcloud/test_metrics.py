"""The metrics that functions print, and those that Lambda and SNS count."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.config import Config

from localcloud.alarms import Metric
from localcloud.clock import clock
from localcloud.metrics import MOST_VALUES, Metrics
from tests.localcloud.authorized_moto import refusal
from tests.localcloud.small_functions import FAILS, configure_events, create, reserve
from tests.localcloud.test_topics import client

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def embedded(**values):
    """A line as aws-lambda-powertools prints it."""
    directive = {
        "Namespace": "N",
        "Dimensions": [["service"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
    }
    about = {"Timestamp": int(NOON.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": about, "service": "s", **values})


def test_the_metrics_in_a_line_of_a_log_are_read():
    metrics = Metrics()
    metrics.read_line(embedded(Late=[1.0, 2.0], Missing=0))
    assert metrics.snapshot() == {
        Metric("N", "Late", (("service", "s"),)): ((NOON, 1.0), (NOON, 2.0)),
        Metric("N", "Missing", (("service", "s"),)): ((NOON, 0),),
    }


@pytest.mark.parametrize("line", ["text", '{"_aws": {}}', '"_aws"', '{"_aws": ', "[]"])
def test_a_line_without_metrics_adds_none(line):
    metrics = Metrics()
    metrics.read_line(line)
    assert metrics.snapshot() == {}


def test_only_so_many_values_are_kept():
    metrics = Metrics()
    for value in range(MOST_VALUES + 2):
        metrics.add("N", "M", value, at=NOON)
    [points] = metrics.snapshot().values()
    assert (len(points), points[0]) == (MOST_VALUES, (NOON, 2))


PRINTS = "def handler(event, context): print(event['line'])"


def values(cloud, name):
    return [
        value
        for metric, points in cloud.metrics.snapshot().items()
        if metric.name == name
        for _, value in points
    ]


def test_a_function_s_embedded_metrics_arrive(patient):
    create(patient, PRINTS)
    line = json.dumps({"line": embedded(Late=3)}).encode()
    client(patient, "lambda").invoke(FunctionName="function", Payload=line)
    assert values(patient, "Late") == [3]


def test_lambda_counts_errors_and_dropped_events(patient):
    arn = create(patient, FAILS)
    configure_events(patient, MaximumRetryAttempts=0)
    patient.functions.deliver(arn, {})
    patient.functions.wait_until_quiet(timeout=60)
    snapshot = patient.metrics.snapshot()
    of_function = (("FunctionName", "function"),)
    assert snapshot[Metric("AWS/Lambda", "Errors", of_function)] == ((NOON, 1),)
    assert snapshot[Metric("AWS/Lambda", "AsyncEventsDropped", of_function)] == ((NOON, 1),)


def test_a_run_that_succeeds_counts_as_no_error(patient):
    create(patient, PRINTS)
    client(patient, "lambda").invoke(FunctionName="function", Payload=b'{"line": ""}')
    assert values(patient, "Errors") == [0]


def test_lambda_counts_throttles(patient):
    create(patient, PRINTS)
    reserve(patient, 0)
    once = Config(retries={"total_max_attempts": 1})
    invoke = patient.session(patient.administrator).client("lambda", config=once).invoke
    assert refusal(invoke, FunctionName="function")[1] == "TooManyRequestsException"
    assert values(patient, "Throttles") == [1]


def test_an_event_that_waits_for_concurrency_is_throttled_every_five_minutes(patient):
    client(patient, "cloudwatch").put_metric_alarm(
        AlarmName="a",
        Namespace="N",
        MetricName="M",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    arn = create(patient, PRINTS)
    reserve(patient, 0)
    for _ in range(2):
        patient.functions.deliver(arn, {})
    clock.advance(timedelta(minutes=59))
    patient.evaluate_alarms()
    assert values(patient, "Throttles") == [2] * 11


def test_sns_counts_messages_by_topic(patient):
    sns = client(patient, "sns")
    topic = sns.create_topic(Name="sirens")["TopicArn"]
    for _ in range(2):
        sns.publish(TopicArn=topic, Message="m")
    published = Metric("AWS/SNS", "NumberOfMessagesPublished", (("TopicName", "sirens"),))
    assert patient.metrics.snapshot()[published] == ((NOON, 1), (NOON, 1))
