"""Delivers EventBridge's events to the targets of a rule, if their policies allow it."""

from collections.abc import Callable
from typing import Any

from moto.events.models import Rule

from localcloud.functions.resource_policies import denial
from localcloud.s3.events import Deliver
from localcloud.sns.topics import Topics

_SERVICE = "events.amazonaws.com"


class Targets:
    """`deliver` takes events for functions; `tell` gets a line for each that is not delivered."""

    def __init__(self, *, deliver: Deliver, topics: Topics, tell: Callable[[str], None]) -> None:
        self._deliver = deliver
        self._topics = topics
        self._tell = tell

    def send(self, rule: Rule, event: dict[str, Any]) -> None:
        """Send the event to all targets of an enabled rule."""
        if rule.state != "ENABLED":
            return
        for target in list(rule.targets):
            arn = target["Arn"]
            match arn.split(":")[2]:
                case "lambda":
                    self._invoke(rule, arn, event)
                case "sns":
                    self._topics.publish(
                        arn, event, service=_SERVICE, source=rule.arn, account=rule.account_id
                    )
                case service:
                    self._tell(
                        f"{rule.name}: event not delivered: the local cloud has no targets of"
                        f" {service}"
                    )

    def _invoke(self, rule: Rule, function_arn: str, event: dict[str, Any]) -> None:
        problem = denial(function_arn, service=_SERVICE, source=rule.arn, account=rule.account_id)
        if problem:
            self._tell(f"{rule.name}: event not delivered: {problem}")
        else:
            self._deliver(function_arn, event)
