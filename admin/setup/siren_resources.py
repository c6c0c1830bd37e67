"""Reads and writes the vault's notification and the EventBridge rule of the sirens."""

import json
from collections.abc import Iterator
from typing import Any

from admin.account import Account, AccountError, none_if
from admin.desired.requirement import Requirement
from admin.desired.sirens import OUR_NOTIFICATION
from admin.setup.bucket_resources import Entry, Shared
from admin.waiting import Waiter

# Seconds. S3 checks whether the topic allows it to publish, and a topic's new policy can take a
# moment.
WAIT_FOR_TOPIC = 60.0
# What DescribeRule returns but is not compared, each with the reason.
RULE_MAY_DIFFER = {
    "ResponseMetadata": "it is part of every response",
    "Name": "it is the name in the request",
    "Arn": "it follows from the name",
    "EventBusName": "it is the default, which the request does not name",
    "CreatedBy": "it is the account",
    "Description": "nothing reads it",
}


def read_notification(account: Account, requirement: Requirement) -> Shared:
    """Our notification, and the bucket's other notifications; EventBridge's has no name."""
    s3 = account.account_of(requirement.resource).client("s3")
    answer = none_if(
        "NoSuchBucket",
        lambda: s3.get_bucket_notification_configuration(Bucket=requirement.resource),
    )
    entries = [*_entries(answer or {})]
    ours = [
        _in_our_order(entry, requirement.desired)
        for entry in entries
        if entry["Id"] == OUR_NOTIFICATION
    ]
    others = [entry for entry in entries if entry["Id"] != OUR_NOTIFICATION]
    return Shared(ours=ours or None, others=others)


def write_notification(account: Account, requirement: Requirement) -> None:
    """Write our notification together with the others, all of which S3 replaces at once."""
    configuration: dict[str, Any] = {}
    for entry in [*read_notification(account, requirement).others, *requirement.desired]:
        if "EventBridgeConfiguration" in entry:
            configuration["EventBridgeConfiguration"] = {}
            continue
        [target] = (name for name in entry if name.endswith("Arn"))
        kind = f"{target.removesuffix('Arn')}Configurations"
        configuration.setdefault(kind, []).append(entry)

    def put() -> object:
        s3 = account.account_of(requirement.resource).client("s3")
        return s3.put_bucket_notification_configuration(
            Bucket=requirement.resource, NotificationConfiguration=configuration
        )

    waiter = Waiter(seconds=WAIT_FOR_TOPIC, tell=lambda _: None)
    if waiter.retry_while({"InvalidArgument"}, "the topic's policy to take effect", put) is None:
        put()  # which raises S3's reason


def _entries(answer: dict[str, Any]) -> Iterator[Entry]:
    for kind, value in answer.items():
        if kind == "EventBridgeConfiguration":
            yield {"Id": "EventBridge", kind: value}
        elif kind.endswith("Configurations"):
            yield from value


def _in_our_order(actual: Entry, desired: list[Entry]) -> Entry:
    """The notification, with its events in our order if they are the same."""
    [ours] = desired
    same = sorted(actual["Events"]) == sorted(ours["Events"])
    return {**actual, "Events": ours["Events"]} if same else actual


def read_rule(account: Account, requirement: Requirement) -> Any:
    """State, event pattern, targets and anything else the rule has; None if there is no rule."""
    events = account.client("events")
    rule = none_if(
        "ResourceNotFoundException", lambda: events.describe_rule(Name=requirement.resource)
    )
    if rule is None:
        return None
    actual = {name: value for name, value in rule.items() if name not in RULE_MAY_DIFFER and value}
    if pattern := actual.get("EventPattern"):
        actual["EventPattern"] = json.loads(pattern)
    actual["Targets"] = events.list_targets_by_rule(Rule=requirement.resource)["Targets"]
    return actual


def write_rule(account: Account, requirement: Requirement) -> None:
    """Write the rule and its targets; remove all other targets, and unset what is not listed."""
    events, name = account.client("events"), requirement.resource
    targets = requirement.desired["Targets"]
    events.put_rule(
        Name=name,
        EventPattern=json.dumps(requirement.desired["EventPattern"], separators=(",", ":")),
        State=requirement.desired["State"],
    )
    _refuse_failures(name, events.put_targets(Rule=name, Targets=targets))
    actual = {target["Id"] for target in events.list_targets_by_rule(Rule=name)["Targets"]}
    if others := actual - {target["Id"] for target in targets}:
        _refuse_failures(name, events.remove_targets(Rule=name, Ids=sorted(others)))


def _refuse_failures(rule: str, answer: dict[str, Any]) -> None:
    """EventBridge responds with 200 even if it changed nothing. Raises AccountError."""
    for failure in answer.get("FailedEntries", ()):
        raise AccountError(
            f"EventBridge did not change the targets of the rule {rule}: "
            f"{failure.get('ErrorCode')} ({failure.get('ErrorMessage')})"
        )
