"""EventBridge's rules with event patterns: which events they forward, and to which targets."""

import json

import pytest

from localcloud.eventbridge.bus import EventBus
from localcloud.eventbridge.targets import Targets
from localcloud.sns.topics import Topics
from tests.localcloud.small_functions import ANSWERS, create
from tests.localcloud.test_topics import allow, client, published, topic

__all__ = ["topic"]

RULE = "arn:aws:events:us-east-1:123456789012:rule/sirens"
DETAIL = {"eventName": "UpdateFunctionCode20150331v2", "requestParameters": {"functionName": "f"}}


def put_event(cloud, detail=DETAIL):
    """An event on the cloud's bus, as CloudTrail sends it."""
    tell = cloud.functions.tell_log
    topics = Topics(tell=tell, on_message=lambda _: None)
    bus = EventBus(Targets(deliver=cloud.functions.deliver, topics=topics, tell=tell))
    bus.put(source="aws.lambda", detail_type="AWS API Call via CloudTrail", detail=detail)


def put_rule(cloud, *targets, **pattern):
    events = client(cloud, "events")
    events.put_rule(
        Name="sirens", EventPattern=json.dumps({"source": ["aws.lambda"], "detail": pattern})
    )
    events.put_targets(
        Rule="sirens",
        Targets=[{"Id": str(number), "Arn": arn} for number, arn in enumerate(targets)],
    )


def allow_events(cloud, topic, *, rule=RULE, account="123456789012"):
    allow(
        cloud,
        topic,
        {"Service": "events.amazonaws.com"},
        ArnEquals={"aws:SourceArn": rule},
        StringEquals={"aws:SourceAccount": account},
    )


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        pytest.param({"eventName": [{"prefix": "UpdateFunctionCode"}]}, True, id="prefix"),
        pytest.param({"eventName": ["UpdateFunctionCode20150331v2"]}, True, id="the whole name"),
        pytest.param({"eventName": ["UpdateFunctionCode"]}, False, id="without its version"),
        pytest.param({"eventName": [{"prefix": "Delete"}, {"prefix": "Up"}]}, True, id="either"),
        pytest.param({"requestParameters": {"functionName": ["f"]}}, True, id="a parameter"),
        pytest.param({"requestParameters": {"functionName": ["g"]}}, False, id="another value"),
        pytest.param({"requestParameters": {"name": [{"prefix": ""}]}}, False, id="not in it"),
        pytest.param({"errorCode": [{"exists": False}]}, True, id="exists"),
        pytest.param(
            {"$or": [{"eventName": ["x"]}, {"requestParameters": {"functionName": ["f"]}}]},
            True,
            id="$or",
        ),
    ],
)
def test_a_rule_passes_on_the_events_that_match_its_pattern(patient, topic, pattern, matches):
    allow_events(patient, topic)
    put_rule(patient, topic, **pattern)
    put_event(patient)
    assert len(published(topic)) == matches


def test_a_topic_receives_the_whole_event_without_a_subject(patient, topic):
    allow_events(patient, topic)
    put_rule(patient, topic, eventName=[{"prefix": "Update"}])
    put_event(patient)
    [(subject, event)] = published(topic)
    assert len(event.pop("id")) == 36
    assert subject is None
    assert event == {
        "version": "0",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.lambda",
        "account": "123456789012",
        "time": "2026-11-25T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": DETAIL,
    }


def test_a_function_that_allows_the_rule_receives_the_event(patient):
    put_rule(patient, create(patient, ANSWERS), eventName=[{"prefix": "Update"}])
    put_event(patient)
    assert patient.functions.logs[-1].startswith("sirens: event not delivered: ")
    client(patient, "lambda").add_permission(
        FunctionName="function",
        StatementId="sirens",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=RULE,
    )
    put_event(patient)
    patient.functions.wait_until_quiet(timeout=60)
    [result] = patient.functions.results
    assert result.payload["detail"] == DETAIL


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(None, id="SNS's default policy"),
        pytest.param({"rule": f"{RULE}2"}, id="for another rule"),
        pytest.param({"account": "999999999999"}, id="for another account"),
    ],
)
def test_only_a_rule_that_the_topic_allows_publishes_to_it(patient, topic, allowed):
    if allowed is not None:
        allow_events(patient, topic, **allowed)
    put_rule(patient, topic, eventName=[{"prefix": "Update"}])
    put_event(patient)
    assert published(topic) == []
    denial = f"{topic} does not allow events.amazonaws.com to publish to it for {RULE}"
    assert patient.functions.logs == [f"rule/sirens: message not delivered: {denial}"]


def test_a_disabled_rule_passes_nothing_on(patient, topic):
    allow_events(patient, topic)
    put_rule(patient, topic, eventName=[{"prefix": "Update"}])
    client(patient, "events").disable_rule(Name="sirens")
    put_event(patient)
    client(patient, "events").enable_rule(Name="sirens")
    assert published(topic) == []
    put_event(patient)
    assert len(published(topic)) == 1


def test_a_target_that_the_local_cloud_does_not_have_is_logged(patient):
    put_rule(
        patient,
        "arn:aws:sqs:us-east-1:123456789012:queue",
        eventName=[{"prefix": "Update"}],
    )
    put_event(patient)
    [line] = patient.functions.logs
    assert line == "sirens: event not delivered: the local cloud has no targets of sqs"
