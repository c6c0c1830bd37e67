"""What the policies of SNS's topics allow."""

from collections.abc import Mapping
from typing import Any

from moto.sns.models import Topic, sns_backends

from localcloud.iam.evaluation import Policy, listed
from localcloud.iam.operators import UnsupportedPolicy
from localcloud.iam.service_principals import ServiceCall, allows_on

CLOUDWATCH = "cloudwatch.amazonaws.com"
_ANYONE: tuple[Any, ...] = ("*", {"AWS": "*"}, {"AWS": ["*"]})


def find_topic(arn: str) -> Topic | None:
    """The topic with this ARN, or None."""
    match arn.split(":"):
        case ["arn", _, "sns", region, account, _]:
            return sns_backends[account][region].topics.get(arn)
    return None


def topic_policy(arn: str) -> Policy | None:
    """The topic's policy, as it is evaluated for users and roles; None if there is no topic.

    IAM has the same meaning for the version of SNS's default policy, 2008-10-17.
    """
    topic = find_topic(arn)
    return None if topic is None else {**topic._policy_json, "Version": "2012-10-17"}


def denial(topic_arn: str, *, service: str, source: str, account: str) -> str | None:
    """Why the service cannot publish to the topic for the source, an ARN; None if it can."""
    topic = find_topic(topic_arn)
    if topic is None:
        return f"Topic does not exist: {topic_arn}"
    context = {
        "aws:SecureTransport": "true",
        "aws:SourceAccount": account,
        "aws:SourceArn": source,
    }
    # The default policy of a topic, which names this key, is enough for alarms but not for others:
    # AWS re:Post, "Why didn't I receive an SNS notification for my CloudWatch alarm trigger?"
    if service == CLOUDWATCH:
        context["aws:SourceOwner"] = account
    call = ServiceCall(service=service, action="sns:Publish", context=context)
    statements = [_naming(service, each) for each in listed(topic._policy_json["Statement"])]
    try:
        if allows_on(topic_arn, statements, call):
            return None
    except UnsupportedPolicy as error:
        return f"{topic_arn} has a policy that the local cloud cannot evaluate: {error}"
    return f"{topic_arn} does not allow {service} to publish to it for {source}"


def _naming(service: str, statement: Mapping[str, Any]) -> Policy:
    """The statement; if it is for everyone, with the service as its principal."""
    if statement.get("Principal") in _ANYONE:
        return {**statement, "Principal": {"Service": service}}
    return statement
