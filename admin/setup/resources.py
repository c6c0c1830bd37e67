"""Reads and writes each kind of setting in an account.

Reading returns a value to compare with `Requirement.desired`, or Shared if others could have added
entries. None means that the setting is missing, and nothing else: every denied request raises.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from admin.account import Account, none_if
from admin.desired.functions import LONGEST_EVENT_AGE, RETRIES
from admin.desired.permissions import SERVER_POLICY_NAME
from admin.desired.requirement import Kind, Requirement
from admin.setup import bucket_resources as buckets

Read = Callable[[Account, Requirement], Any]
Write = Callable[[Account, Requirement], None]


@dataclass(frozen=True)
class Handler:
    """How to read and write one kind of setting."""

    read: Read
    write: Write


@dataclass(frozen=True, kw_only=True)
class Actual:
    """A setting's actual value, and the entries that others added.

    `value` has the format of the `desired` value; None: missing.
    """

    value: Any = None
    others: tuple[buckets.Entry, ...] = ()


def read(account: Account, requirement: Requirement) -> Actual:
    """The actual value of this setting, read once."""
    answer = HANDLERS[requirement.kind].read(account, requirement)
    if isinstance(answer, buckets.Shared):
        return Actual(value=answer.ours, others=tuple(answer.others))
    return Actual(value=answer)


def write(account: Account, requirement: Requirement) -> None:
    """Write the setting to the account. Repeating it changes nothing."""
    HANDLERS[requirement.kind].write(account, requirement)


def function_exists(account: Account, name: str) -> bool:
    """Whether `chalice deploy` has created this function."""
    configuration = none_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_configuration(FunctionName=name),
    )
    return configuration is not None


def _read_user(account: Account, requirement: Requirement) -> Any:
    answer = none_if(
        "NoSuchEntity",
        lambda: account.client("iam").get_user_policy(
            UserName=requirement.resource, PolicyName=SERVER_POLICY_NAME
        ),
    )
    return answer and answer["PolicyDocument"]


def _write_user(account: Account, requirement: Requirement) -> None:
    iam = account.client("iam")
    if none_if("NoSuchEntity", lambda: iam.get_user(UserName=requirement.resource)) is None:
        iam.create_user(UserName=requirement.resource)
    iam.put_user_policy(
        UserName=requirement.resource,
        PolicyName=SERVER_POLICY_NAME,
        PolicyDocument=json.dumps(requirement.desired),
    )


def _read_topic(account: Account, requirement: Requirement) -> Any:
    attributes = none_if(
        "NotFound",
        lambda: account.client("sns").get_topic_attributes(TopicArn=requirement.resource),
    )
    return None if attributes is None else {}


def _make_topic(account: Account, requirement: Requirement) -> None:
    account.client("sns").create_topic(Name=requirement.resource.rsplit(":", 1)[1])


def _read_subscription(account: Account, requirement: Requirement) -> Any:
    sns = account.client("sns")
    if _read_topic(account, requirement) is None:
        return None
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=requirement.resource)
    subscribed = {
        subscription["Endpoint"] for page in pages for subscription in page["Subscriptions"]
    }
    return requirement.desired if requirement.desired in subscribed else None


def _subscribe(account: Account, requirement: Requirement) -> None:
    account.client("sns").subscribe(
        TopicArn=requirement.resource, Protocol="email", Endpoint=requirement.desired
    )


def _read_asynchronous(account: Account, requirement: Requirement) -> Any:
    answer = none_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_event_invoke_config(
            FunctionName=requirement.resource
        ),
    )
    config: dict[str, Any] = answer or {}  # what is missing has Lambda's default
    destinations = config.get("DestinationConfig", {})
    return {
        "retries": config.get("MaximumRetryAttempts", RETRIES),
        "give_up_after_seconds": config.get("MaximumEventAgeInSeconds", LONGEST_EVENT_AGE),
        "on_success": destinations.get("OnSuccess", {}).get("Destination"),
        "on_failure": destinations.get("OnFailure", {}).get("Destination"),
    }


def _reset_asynchronous(account: Account, requirement: Requirement) -> None:
    account.client("lambda").delete_function_event_invoke_config(FunctionName=requirement.resource)


def _read_recursion(account: Account, requirement: Requirement) -> Any:
    answer = account.client("lambda").get_function_recursion_config(
        FunctionName=requirement.resource
    )
    return answer["RecursiveLoop"]


def _write_recursion(account: Account, requirement: Requirement) -> None:
    account.client("lambda").put_function_recursion_config(
        FunctionName=requirement.resource, RecursiveLoop=requirement.desired
    )


def _read_alarm(account: Account, requirement: Requirement) -> Any:
    answer = account.client("cloudwatch").describe_alarms(AlarmNames=[requirement.resource])
    for alarm in answer["MetricAlarms"]:
        return _same_members(requirement.desired, alarm)
    return None


def _same_members(desired: Any, actual: Any) -> Any:
    """The actual values of the members in `desired`: CloudWatch adds others."""
    if isinstance(desired, dict) and isinstance(actual, dict):
        return {name: _same_members(value, actual.get(name)) for name, value in desired.items()}
    if isinstance(desired, list) and isinstance(actual, list) and len(desired) == len(actual):
        return [_same_members(*pair) for pair in zip(desired, actual, strict=True)]
    return actual


def _write_alarm(account: Account, requirement: Requirement) -> None:
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=requirement.resource, **requirement.desired
    )


HANDLERS = {
    Kind.BUCKET: Handler(buckets.read_bucket, buckets.make_bucket),
    Kind.PUBLIC_ACCESS: Handler(buckets.read_public_access, buckets.write_public_access),
    Kind.OWNERSHIP: Handler(buckets.read_ownership, buckets.write_ownership),
    Kind.ENCRYPTION: Handler(buckets.read_encryption, buckets.write_encryption),
    Kind.VERSIONING: Handler(buckets.read_versioning, buckets.write_versioning),
    Kind.OBJECT_LOCK: Handler(buckets.read_lock, buckets.write_lock),
    Kind.LIFECYCLE: Handler(buckets.read_lifecycle, buckets.write_lifecycle),
    Kind.BUCKET_POLICY: Handler(buckets.read_policy, buckets.write_policy),
    Kind.USER: Handler(_read_user, _write_user),
    Kind.TOPIC: Handler(_read_topic, _make_topic),
    Kind.SUBSCRIPTION: Handler(_read_subscription, _subscribe),
    Kind.ASYNCHRONOUS: Handler(_read_asynchronous, _reset_asynchronous),
    Kind.RECURSION: Handler(_read_recursion, _write_recursion),
    Kind.ALARM: Handler(_read_alarm, _write_alarm),
}
