"""Reads and writes the topic for alerts, its subscriptions, and the alarms, each as a whole."""

import json
from collections.abc import Iterable
from typing import Any

from admin.account import Account, none_if
from admin.desired.bucket_policies import canonical
from admin.desired.permissions import statements
from admin.desired.requirement import Requirement

# What DescribeAlarms returns but is not compared, each with the reason.
ALARM_MAY_DIFFER = {
    "AlarmName": "it is the name in the request",
    "AlarmArn": "it follows from the name",
    "AlarmConfigurationUpdatedTimestamp": "it says when the alarm was written, not what it does",
    "StateValue": "it is the present state, not a setting",
    "StateReason": "it explains the state",
    "StateReasonData": "it explains the state",
    "StateUpdatedTimestamp": "it says when the state began",
    "StateTransitionedTimestamp": "it says when the state began",
    "EvaluationState": "it describes the last evaluation",
    "EvaluationInterval": "it cannot be chosen for an alarm on metrics",
    "ActionConfiguration": "it changes the text of a mail, not whether it is sent",
}
# The defaults of an alarm; AWS does not document whether it returns them.
ALARM_DEFAULTS: dict[str, Any] = {"EvaluationWindow": {"SlidingWindow": {}}}


def read_topic(account: Account, requirement: Requirement) -> Any:
    """Who can use the topic, by its own policy, and the key that encrypts its messages."""
    answer = none_if(
        "NotFound",
        lambda: account.client("sns").get_topic_attributes(TopicArn=requirement.resource),
    )
    if answer is None:
        return None
    policy = statements(json.loads(answer["Attributes"]["Policy"]))
    ours = requirement.desired["policy"]
    is_ours = [*map(canonical, policy)] == [*map(canonical, ours)]
    return {
        "policy": ours if is_ours else policy,
        "key": answer["Attributes"].get("KmsMasterKeyId") or None,
    }


def write_topic(account: Account, requirement: Requirement) -> None:
    sns, topic = account.client("sns"), requirement.resource
    sns.create_topic(Name=topic.rsplit(":", 1)[1])  # which does not change an existing topic
    policy = {"Version": "2012-10-17", "Statement": requirement.desired["policy"]}
    values = {"Policy": json.dumps(policy)}
    if sns.get_topic_attributes(TopicArn=topic)["Attributes"].get("KmsMasterKeyId"):
        values["KmsMasterKeyId"] = ""  # which ends the encryption
    for name, value in values.items():
        sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)


def read_subscription(account: Account, requirement: Requirement) -> Any:
    subscribed = (each["Endpoint"] for each in subscriptions(account, requirement.resource))
    return requirement.desired if requirement.desired in subscribed else None


def subscribe(account: Account, requirement: Requirement) -> None:
    account.client("sns").subscribe(
        TopicArn=requirement.resource, Protocol="email", Endpoint=requirement.desired
    )


def subscriptions(account: Account, topic: str) -> list[dict[str, Any]]:
    """The subscriptions of a topic, as SNS lists them; none if there is no topic."""
    pages = account.client("sns").get_paginator("list_subscriptions_by_topic")
    listed = none_if("NotFound", lambda: list(pages.paginate(TopicArn=topic)))
    return [each for page in listed or () for each in page["Subscriptions"]]


def read_alarms(account: Account, requirements: Iterable[Requirement]) -> dict[str, Any]:
    """The actual alarms by their names, without those that are missing, in one request."""
    desired = {requirement.resource: requirement.desired for requirement in requirements}
    pages = account.client("cloudwatch").get_paginator("describe_alarms")
    return {
        alarm["AlarmName"]: _compared(alarm, desired[alarm["AlarmName"]], account.id)
        for page in pages.paginate(AlarmNames=[*desired])
        for alarm in page["MetricAlarms"]
    }


def read_alarm(account: Account, requirement: Requirement) -> Any:
    return read_alarms(account, [requirement]).get(requirement.resource)


def _compared(alarm: dict[str, Any], desired: Any, account_id: str) -> dict[str, Any]:
    """The part of an alarm that is compared with what is desired."""
    for query in alarm.get("Metrics", ()):
        if query.get("AccountId") == account_id:  # which CloudWatch adds
            del query["AccountId"]
    return {
        name: value
        for name, value in alarm.items()
        if name in (desired or ())
        or (name not in ALARM_MAY_DIFFER and value not in ([], ALARM_DEFAULTS.get(name)))
    }


def write_alarm(account: Account, requirement: Requirement) -> None:
    cloudwatch, name = account.client("cloudwatch"), requirement.resource
    if requirement.desired is None:
        cloudwatch.delete_alarms(AlarmNames=[name])
    else:
        cloudwatch.put_metric_alarm(AlarmName=name, **requirement.desired)
