"""Checks that everyone listed receives the alerts, and nobody else does."""

from collections.abc import Iterator
from typing import Any

from admin.check.report import Finding, Status
from admin.config.names import ALERT_SUBSCRIBERS
from admin.setup.alert_resources import subscriptions
from admin.target import Target

# The attributes of a subscription that are not compared, each with the reason.
MAY_DIFFER = {
    "SubscriptionArn": "it is the subscription in the request",
    "TopicArn": "it is the topic in the request",
    "Endpoint": "it is in the list of the stage",
    "Protocol": "it follows from the endpoint",
    "Owner": "it does not matter who made a subscription that is in the list",
    "ConfirmationWasAuthenticated": "it decides who can unsubscribe without signing in",
    "PendingConfirmation": "only confirmed subscriptions are compared",
    "RawMessageDelivery": "it changes the format of a message, not whether it arrives",
    "DeliveryPolicy": "it changes how often a delivery is retried",
    "EffectiveDeliveryPolicy": "it follows from the delivery policy",
    "FilterPolicyScope": "it means nothing without a filter policy, which is a finding",
    "SubscriptionRoleArn": "only Firehose needs it",
}
UNSET = frozenset({"", "{}"})


def check_readers(target: Target) -> Iterator[Finding | Status]:
    """Find missing subscribers, subscribers who miss some alerts, and those who are not listed."""
    actual = subscriptions(target.account, target.topic_arn)
    confirmed = [each for each in actual if each["SubscriptionArn"].startswith("arn:")]
    pending = [each["Endpoint"] for each in actual if each not in confirmed]
    # A local cloud sends no mail.
    if target.stage.name != "dev" and not confirmed:
        yield Finding(
            what="Nobody receives the alerts"
            + "".join(f"; {endpoint} has not confirmed yet" for endpoint in pending),
            why="An alarm that reaches nobody is useless.",
            remedy=target.fix_setup("--alert-email", "you@example.org"),
        )
    elif pending:
        yield Status(f"alerts: {', '.join(pending)} has not confirmed the subscription yet")
    for each in confirmed:
        if each["Endpoint"] in target.stage.alert_subscribers:
            yield from _check_subscription(target, each)
        else:
            yield _stranger(target, each)


def _stranger(target: Target, subscription: dict[str, Any]) -> Finding:
    endpoint = subscription["Endpoint"]
    return Finding(
        what=f"{endpoint} ({subscription['Protocol']}) also receives the alerts",
        why="Alerts tell an intruder what you know. If you know this subscriber, add "
        f'"{endpoint}" to the list "{ALERT_SUBSCRIBERS}" of stage {target.stage.name} in '
        ".chalice/config.json.",
        remedy=target.fix_aws(
            "sns", "unsubscribe", subscription_arn=subscription["SubscriptionArn"]
        ),
    )


def _check_subscription(target: Target, subscription: dict[str, Any]) -> Iterator[Finding]:
    arn = subscription["SubscriptionArn"]
    sns = target.account.client("sns")
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    for name, value in attributes.items():
        if name not in MAY_DIFFER and value not in UNSET:
            yield Finding(
                what=f"The subscription of {subscription['Endpoint']} has a {name}, {value}",
                why="It can keep alerts from the subscriber, or send them to somebody else.",
                remedy=target.fix_aws(
                    "sns",
                    "set-subscription-attributes",
                    subscription_arn=arn,
                    attribute_name=name,
                    attribute_value="{}",
                ),
            )
