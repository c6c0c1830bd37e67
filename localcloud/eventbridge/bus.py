"""EventBridge's default bus: rules with event patterns."""

import uuid
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.models import Rule, events_backends

from localcloud.clock import clock
from localcloud.eventbridge.targets import Targets
from localcloud.functions.lambda_functions import REGION


class EventBus:
    """Sends each event to the targets of the enabled rules whose patterns it matches."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def put(self, *, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        """Send an event of this account, dated by the cloud's clock."""
        event = envelope(
            source=source, detail_type=detail_type, time=f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
        )
        event["detail"] = detail
        for rule in rules():
            if rule.event_pattern.dump() and rule.event_pattern.matches_event(event):  # type: ignore[arg-type]
                self._targets.send(rule, event)


def envelope(
    *, source: str, detail_type: str, time: str, resources: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An event without detail."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": DEFAULT_ACCOUNT_ID,
        "time": time,
        "region": REGION,
        "resources": list(resources),
        "detail": {},
    }


def rules() -> list[Rule]:
    """The rules of the default bus."""
    return list(events_backends[DEFAULT_ACCOUNT_ID][REGION].event_buses["default"].rules.values())
