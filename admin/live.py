"""How each kind of setting is read from an account, and written to it.

Reading answers what `Setting.want` can be compared with, or Shared, where entries of others may
stand beside ours; None is "not there", and nothing else: whatever AWS refuses to tell raises.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from botocore.exceptions import ClientError

from admin import live_buckets as buckets
from admin.account import Account, absent_if
from admin.desired_alerts import LONGEST_EVENT_AGE
from admin.patience import Patience
from admin.setting import Kind, Setting

POLICY_NAME = "uploads"
# Seconds. What a new role may do is known everywhere in IAM after some of them.
IAM_PATIENCE = 60.0

Read = Callable[[Account, Setting], Any]
Write = Callable[[Account, Setting], None]


@dataclass(frozen=True)
class Handler:
    """The two halves of a kind."""

    read: Read
    write: Write


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an account has of a setting, and the entries of others that stand beside it.

    `actual` is in the shape of the setting's `want`; None: there is nothing.
    """

    actual: Any = None
    others: tuple[buckets.Entry, ...] = ()


def read(account: Account, setting: Setting) -> Found:
    """What the account has of this setting, from one look."""
    answer = HANDLERS[setting.kind].read(account, setting)
    if isinstance(answer, buckets.Shared):
        return Found(actual=answer.ours, others=tuple(answer.others))
    return Found(actual=answer)


def write(account: Account, setting: Setting) -> None:
    """Make the account have it. Repeating it changes nothing."""
    HANDLERS[setting.kind].write(account, setting)


def function_exists(account: Account, name: str) -> bool:
    """Whether `chalice deploy` has made this function."""
    found = absent_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_configuration(FunctionName=name),
    )
    return found is not None


def _read_user(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "NoSuchEntity",
        lambda: account.client("iam").get_user_policy(
            UserName=setting.target, PolicyName=POLICY_NAME
        ),
    )
    return answer and answer["PolicyDocument"]


def _write_user(account: Account, setting: Setting) -> None:
    iam = account.client("iam")
    if absent_if("NoSuchEntity", lambda: iam.get_user(UserName=setting.target)) is None:
        iam.create_user(UserName=setting.target)
    iam.put_user_policy(
        UserName=setting.target, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(setting.want)
    )


def _read_topic(account: Account, setting: Setting) -> Any:
    found = absent_if(
        "NotFound", lambda: account.client("sns").get_topic_attributes(TopicArn=setting.target)
    )
    return None if found is None else {}


def _make_topic(account: Account, setting: Setting) -> None:
    account.client("sns").create_topic(Name=setting.target.rsplit(":", 1)[1])


def _read_subscription(account: Account, setting: Setting) -> Any:
    sns = account.client("sns")
    if _read_topic(account, setting) is None:
        return None
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=setting.target)
    subscribed = {one["Endpoint"] for page in pages for one in page["Subscriptions"]}
    return setting.want if setting.want in subscribed else None


def _subscribe(account: Account, setting: Setting) -> None:
    account.client("sns").subscribe(
        TopicArn=setting.target, Protocol="email", Endpoint=setting.want
    )


def _read_asynchronous(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_event_invoke_config(
            FunctionName=setting.target
        ),
    )
    if answer is None:
        return None
    failure = answer.get("DestinationConfig", {}).get("OnFailure", {})
    return {
        "retries": answer.get("MaximumRetryAttempts", 2),
        "on_failure": failure.get("Destination"),
        "give_up_after_seconds": answer.get("MaximumEventAgeInSeconds", LONGEST_EVENT_AGE),
    }


def _write_asynchronous(account: Account, setting: Setting) -> None:
    """Lambda asks whether the function's role may reach the destination, and IAM is slow to say."""

    def put() -> None:
        account.client("lambda").put_function_event_invoke_config(
            FunctionName=setting.target,
            MaximumRetryAttempts=setting.want["retries"],
            MaximumEventAgeInSeconds=setting.want["give_up_after_seconds"],
            DestinationConfig={"OnFailure": {"Destination": setting.want["on_failure"]}},
        )

    patience = Patience(seconds=IAM_PATIENCE, tell=lambda line: click.echo(line, err=True))
    for _ in patience.tries(f"IAM to let the role of {setting.target} publish alerts"):
        try:
            put()
        except ClientError as error:
            if not _may_not_publish_yet(error):
                raise
        else:
            return
    put()  # the last word is Lambda's


def _may_not_publish_yet(error: ClientError) -> bool:
    """Whether this is Lambda's answer to a destination that the role may not publish to."""
    told = error.response["Error"]
    return (
        told["Code"] == "InvalidParameterValueException"
        and "execution role does not have permissions to call Publish" in told["Message"]
    )


def _read_recursion(account: Account, setting: Setting) -> Any:
    answer = account.client("lambda").get_function_recursion_config(FunctionName=setting.target)
    return answer["RecursiveLoop"]


def _write_recursion(account: Account, setting: Setting) -> None:
    account.client("lambda").put_function_recursion_config(
        FunctionName=setting.target, RecursiveLoop=setting.want
    )


def _read_alarm(account: Account, setting: Setting) -> Any:
    answer = account.client("cloudwatch").describe_alarms(AlarmNames=[setting.target])
    for alarm in answer["MetricAlarms"]:
        return {name: alarm.get(name) for name in setting.want}
    return None


def _write_alarm(account: Account, setting: Setting) -> None:
    account.client("cloudwatch").put_metric_alarm(AlarmName=setting.target, **setting.want)


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
    Kind.ASYNCHRONOUS: Handler(_read_asynchronous, _write_asynchronous),
    Kind.RECURSION: Handler(_read_recursion, _write_recursion),
    Kind.ALARM: Handler(_read_alarm, _write_alarm),
}
