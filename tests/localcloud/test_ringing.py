"""Alarms are evaluated by the cloud's clock and reported to their topics."""

from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

import pytest

from localcloud.clock import clock
from localcloud.cloud import running
from tests.localcloud.test_topics import allow, client, published, topic

__all__ = ["topic"]

ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:late"
REGION = "US East (N. Virginia)"
DIMENSIONS = [{"Name": "service", "Value": "s"}]


def put_alarm(cloud, topic, **changes):
    client(cloud, "cloudwatch").put_metric_alarm(
        **{
            "AlarmName": "late",
            "AlarmDescription": "A backup is late.",
            "Namespace": "N",
            "MetricName": "Late",
            "Dimensions": DIMENSIONS,
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [topic],
            "OKActions": [topic],
            **changes,
        }
    )


def measure(cloud, value, name="Late"):
    cloud.metrics.add("N", name, value, service="s")


def pass_minutes(cloud, minutes):
    clock.advance(timedelta(minutes=minutes))
    cloud.evaluate_alarms()


def state(cloud):
    [alarm] = client(cloud, "cloudwatch").describe_alarms()["MetricAlarms"]
    return alarm["StateValue"]


def told(topic):
    """The time and the new state of each change that the topic was notified of."""
    return [
        (subject.partition(":")[0], body["StateChangeTime"][11:16])
        for subject, body in published(topic)
    ]


@pytest.fixture
def alarmed(patient, topic):
    """A cloud with an alarm on late backups, which has been OK since 12:01."""
    allow(patient, topic, {"Service": "cloudwatch.amazonaws.com"})
    put_alarm(patient, topic)
    pass_minutes(patient, 1)
    return patient


def test_a_new_alarm_has_no_data_and_reports_when_it_is_ok(patient, topic):
    allow(patient, topic, {"Service": "cloudwatch.amazonaws.com"})
    put_alarm(patient, topic)
    assert state(patient) == "INSUFFICIENT_DATA"
    pass_minutes(patient, 1)
    assert state(patient) == "OK"
    assert told(topic) == [("OK", "12:01")]


def test_an_alarm_reports_when_it_goes_off_and_when_it_ends(alarmed, topic):
    measure(alarmed, 1)
    pass_minutes(alarmed, 1)
    assert state(alarmed) == "ALARM"
    pass_minutes(alarmed, 30)
    assert state(alarmed) == "OK"
    assert told(topic) == [("OK", "12:01"), ("ALARM", "12:02"), ("OK", "12:17")]


def test_the_message_has_the_format_of_cloudwatch(alarmed, topic):
    measure(alarmed, 1)
    pass_minutes(alarmed, 1)
    subject, body = published(topic)[-1]
    assert subject == f'ALARM: "late" in {REGION}'
    assert body == {
        "AlarmName": "late",
        "AlarmDescription": "A backup is late.",
        "AWSAccountId": "123456789012",
        "AlarmConfigurationUpdatedTimestamp": "2026-11-25T12:00:00.000+0000",
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed: the datapoints until 25/11/26 12:02:00 were compared"
        " with the threshold (1.0).",
        "StateChangeTime": "2026-11-25T12:02:00.000+0000",
        "Region": REGION,
        "AlarmArn": ALARM,
        "OldStateValue": "OK",
        "OKActions": [topic],
        "AlarmActions": [topic],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "Late",
            "Namespace": "N",
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Threshold": 1.0,
            "TreatMissingData": "notBreaching",
        },
    }


def test_changes_of_a_clock_that_jumps_are_reported_in_order(alarmed, topic):
    put_alarm(alarmed, topic, AlarmName="other", MetricName="Other")
    for hours, name in ((2, "Late"), (4, "Other"), (5, "Late")):
        at = datetime(2026, 11, 25, 12 + hours, tzinfo=UTC)
        alarmed.metrics.add("N", name, 1, at=at, service="s")
    pass_minutes(alarmed, 12 * 60)
    changes = [
        (body["AlarmName"], body["NewStateValue"], body["StateChangeTime"][11:16])
        for _, body in published(topic)[2:]
    ]
    assert changes == [
        ("late", "ALARM", "14:01"),
        ("late", "OK", "14:16"),
        ("other", "ALARM", "16:01"),
        ("other", "OK", "16:16"),
        ("late", "ALARM", "17:01"),
        ("late", "OK", "17:16"),
    ]


def test_missing_data_ring_through_fill(patient, topic):
    allow(patient, topic, {"Service": "cloudwatch.amazonaws.com"})
    stat = {
        "Metric": {"Namespace": "N", "MetricName": "Late", "Dimensions": DIMENSIONS},
        "Period": 900,
        "Stat": "Maximum",
    }
    client(patient, "cloudwatch").put_metric_alarm(
        AlarmName="late",
        Metrics=[
            {"Id": "m", "MetricStat": stat, "ReturnData": False},
            {"Id": "f", "Expression": "FILL(m, 3)", "ReturnData": True},
        ],
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
        Threshold=3.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="breaching",
        AlarmActions=[topic],
    )
    for _ in range(4):
        measure(patient, 0)
        pass_minutes(patient, 15)
    assert state(patient) == "OK"
    pass_minutes(patient, 40)
    assert told(topic)[-1] == ("ALARM", "13:16")


def test_an_alarm_whose_actions_are_disabled_notifies_nobody(alarmed, topic):
    client(alarmed, "cloudwatch").disable_alarm_actions(AlarmNames=["late"])
    measure(alarmed, 1)
    pass_minutes(alarmed, 1)
    assert state(alarmed) == "ALARM"
    assert told(topic) == [("OK", "12:01")]


def test_an_alarm_that_is_put_again_keeps_its_state(alarmed, topic):
    measure(alarmed, 1)
    pass_minutes(alarmed, 1)
    put_alarm(alarmed, topic, Threshold=2.0)
    assert state(alarmed) == "ALARM"
    pass_minutes(alarmed, 1)
    assert state(alarmed) == "OK"


@pytest.mark.parametrize(
    ("service", "source"),
    [
        pytest.param("cloudwatch", f"{ALARM}2", id="for another alarm"),
        pytest.param("events", ALARM, id="to another service"),
    ],
)
def test_only_an_alarm_that_the_topic_allows_publishes_to_it(alarmed, topic, service, source):
    allow(
        alarmed,
        topic,
        {"Service": f"{service}.amazonaws.com"},
        ArnLike={"aws:SourceArn": source},
    )
    measure(alarmed, 1)
    pass_minutes(alarmed, 1)
    assert state(alarmed) == "ALARM"
    assert told(topic) == [("OK", "12:01")]
    denial = f"{topic} does not allow cloudwatch.amazonaws.com to publish to it for {ALARM}"
    assert alarmed.functions.logs == [f"late: message not delivered: {denial}"]


def test_sns_s_default_policy_is_enough_for_an_alarm(patient, topic):
    put_alarm(patient, topic)
    pass_minutes(patient, 1)
    assert told(topic) == [("OK", "12:01")]


def test_an_alarm_on_the_messages_of_a_topic_goes_off_once_a_burst(alarmed, topic):
    alerts = client(alarmed, "sns").create_topic(Name="alerts")["TopicArn"]
    put_alarm(
        alarmed,
        alerts,
        AlarmName="sirens",
        Namespace="AWS/SNS",
        MetricName="NumberOfMessagesPublished",
        Dimensions=[{"Name": "TopicName", "Value": "sirens"}],
    )
    for _ in range(20):
        client(alarmed, "sns").publish(TopicArn=topic, Message="{}")
    pass_minutes(alarmed, 5)
    assert [subject.partition(":")[0] for subject, _ in published(alerts)] == ["ALARM"]


def test_an_alarm_that_cannot_be_evaluated_is_reported_once(patient, topic):
    put_alarm(patient, topic, Statistic="Average")
    measure(patient, 1)
    pass_minutes(patient, 1)
    pass_minutes(patient, 1)
    assert patient.functions.logs == [
        "late: alarm not evaluated: the statistic Average is not supported"
    ]
    assert state(patient) == "INSUFFICIENT_DATA"


def test_moving_the_clock_back_does_not_stop_alarms(alarmed, topic):
    clock.stand_at(datetime(2026, 11, 20, 6, tzinfo=UTC))
    alarmed.evaluate_alarms()
    measure(alarmed, 1)
    pass_minutes(alarmed, 1)
    assert told(topic)[-1] == ("ALARM", "06:01")


def test_alarms_ring_by_themselves_when_the_clock_is_moved():
    messages = SimpleQueue()
    with running(on_message=messages.put) as cloud:
        clock.stand_at(datetime(2026, 11, 25, 12, tzinfo=UTC))
        alerts = client(cloud, "sns").create_topic(Name="alerts")["TopicArn"]
        put_alarm(cloud, alerts)
        clock.advance(timedelta(minutes=1))
        assert messages.get(timeout=60).subject.startswith("OK: ")
        measure(cloud, 1)
        clock.advance(timedelta(minutes=1))
        assert messages.get(timeout=60).subject.startswith("ALARM: ")
