"""Reads and writes each kind of setting in an account.

Reading returns a value to compare with `Requirement.desired`, or Shared if others could have added
entries. None means that the setting is missing, and nothing else: every denied request raises an
error.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from admin.account import Account, none_if
from admin.desired.functions import LONGEST_EVENT_AGE, RETRIES
from admin.desired.permissions import SERVER_POLICY_NAME
from admin.desired.requirement import Kind, Requirement
from admin.setup import alert_resources as alerts
from admin.setup import bucket_resources as buckets
from admin.setup import policy_resources as policies
from admin.setup import siren_resources as sirens
from admin.setup import trail_resources as trails

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


def reader(
    account: Account, requirements: Iterable[Requirement]
) -> Callable[[Requirement], Actual]:
    """A function that reads the actual value of each of these settings, and all alarms at once."""
    of_alarms = [each for each in requirements if each.kind is Kind.ALARM]
    alarms = cache(partial(alerts.read_alarms, account, of_alarms))

    def read_each(requirement: Requirement) -> Actual:
        if requirement.kind is Kind.ALARM:
            return Actual(value=alarms().get(requirement.resource))
        return read(account, requirement)

    return read_each


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


HANDLERS = {
    Kind.BUCKET: Handler(buckets.read_bucket, buckets.make_bucket),
    Kind.PUBLIC_ACCESS: Handler(buckets.read_public_access, buckets.write_public_access),
    Kind.OWNERSHIP: Handler(buckets.read_ownership, buckets.write_ownership),
    Kind.ENCRYPTION: Handler(buckets.read_encryption, buckets.write_encryption),
    Kind.VERSIONING: Handler(buckets.read_versioning, buckets.write_versioning),
    Kind.OBJECT_LOCK: Handler(buckets.read_lock, buckets.write_lock),
    Kind.LIFECYCLE: Handler(buckets.read_lifecycle, buckets.write_lifecycle),
    Kind.BUCKET_POLICY: Handler(buckets.read_policy, buckets.write_policy),
    Kind.NOTIFICATION: Handler(sirens.read_notification, sirens.write_notification),
    Kind.USER: Handler(_read_user, _write_user),
    Kind.MANAGED_POLICY: Handler(policies.read_managed_policy, policies.write_managed_policy),
    Kind.TOPIC: Handler(alerts.read_topic, alerts.write_topic),
    Kind.SUBSCRIPTION: Handler(alerts.read_subscription, alerts.subscribe),
    Kind.ASYNCHRONOUS: Handler(_read_asynchronous, _reset_asynchronous),
    Kind.RECURSION: Handler(_read_recursion, _write_recursion),
    Kind.ALARM: Handler(alerts.read_alarm, alerts.write_alarm),
    Kind.EVENT_RULE: Handler(sirens.read_rule, sirens.write_rule),
    Kind.TRAIL: Handler(trails.read_trail, trails.write_trail),
}
