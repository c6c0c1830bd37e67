"""Faults of S3's notifications, which may come twice, late, in another order, or never.

events.plan(at(2, EventFault.TWICE))                              # the second one
events.plan(by_chance(Random(7), 0.1, list(EventFault)))          # one in ten, always the same ones
"""

import threading
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from localcloud.s3.events import Deliver
from tests.support.faults import Plan


class EventFault(Enum):
    """What can happen to an event on its way."""

    TWICE = "it comes twice"
    SWAPPED = "it comes after the next one"
    DELAYED = "it comes when all faults have ended"
    LOST = "it never comes"


class EventFaults:
    """Passes events on to `deliver`, with the planned faults."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._plans: list[Plan[EventFault]] = []
        self._swapped: list[Callable[[], None]] = []
        self._delayed: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def plan(self, plan: Plan[EventFault]) -> None:
        """Also consult `plan` for every event from now on, with its name (`ObjectCreated:Put`)."""
        self._plans.append(plan)

    def mend(self) -> None:
        """End all faults. Deliver the delayed events, the last one first."""
        with self._lock:
            self._plans.clear()
            arriving = [*self._swapped, *self._delayed]
            self._swapped, self._delayed = [], []
        for hand_on in reversed(arriving):
            hand_on()

    def __call__(self, function_arn: str, event: dict[str, Any]) -> None:
        """Take an event, as `Functions.deliver` does."""
        hand_on: Callable[[], None] = partial(self._deliver, function_arn, event)
        with self._lock:
            planned = [plan(event["Records"][0]["eventName"]) for plan in self._plans]
            fault = next(filter(None, planned), None)
            arriving, self._swapped = [hand_on, *self._swapped], []
            match fault:
                case EventFault.TWICE:
                    arriving.insert(0, hand_on)
                case EventFault.SWAPPED:
                    self._swapped.append(arriving.pop(0))
                case EventFault.DELAYED:
                    self._delayed.append(arriving.pop(0))
                case EventFault.LOST:
                    arriving.pop(0)
        for hand_on in arriving:
            hand_on()
