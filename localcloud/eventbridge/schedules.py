"""EventBridge's schedules: rules that are due by the cloud's clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

from moto.events.models import EventsBackend, Rule

from localcloud.clock import Worker, clock
from localcloud.eventbridge.bus import envelope, rules
from localcloud.eventbridge.expressions import schedule
from localcloud.eventbridge.targets import Targets


class Schedules:
    """Delivers the events of moto's scheduled rules when they are due.

    A rule with a rate is first due one period after it was put or its schedule was changed.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._worker = Worker("schedules", self._run_due)
        self._due: dict[str, datetime] = {}

    def run_due(self) -> None:
        """Deliver all events that have become due, in order, then return."""
        with self._worker.changed:
            self._run_due()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Deliver events when they become due, even if the clock is moved, until the block ends."""
        put_rule = EventsBackend.put_rule

        def put_and_schedule(backend: EventsBackend, name: str, **arguments: Any) -> Rule:
            expression = arguments.get("scheduled_expression")
            if expression is None:
                return put_rule(backend, name, **arguments)
            first = schedule(expression)(clock.now())
            with self._worker.changed:
                before = {rule.name: rule.scheduled_expression for rule in _scheduled_rules()}
                rule = put_rule(backend, name, **arguments)
                if before.get(name) != expression:
                    self._due[name] = first
                self._worker.wake()
            return rule

        # moto's backend reads AWS_PROFILE on first use, so it is used here, not later in the
        # thread.
        _scheduled_rules()
        with (
            mock.patch.object(EventsBackend, "put_rule", put_and_schedule),
            self._worker.running(),
        ):
            yield

    def _run_due(self) -> float | None:
        """Deliver all due events. Returns the seconds until the next one is due (None: never)."""
        now = clock.now()
        due = [
            (moment, rule)
            for rule in _scheduled_rules()
            for moment in self._take_due_moments(rule, now=now)
        ]
        for moment, rule in sorted(due, key=lambda each: each[0]):
            self._run(rule, moment)
        moments = [self._due[rule.name] for rule in _scheduled_rules()]
        return clock.seconds_until(min(moments)) if moments else None

    def _take_due_moments(self, rule: Rule, *, now: datetime) -> list[datetime]:
        moment, following = self._due[rule.name], schedule(rule.scheduled_expression or "")
        moments = []
        while moment <= now:
            moments.append(moment)
            moment = following(moment)
        # No later than the next due moment from now, even after the clock was moved back.
        self._due[rule.name] = min(moment, following(now))
        return moments

    def _run(self, rule: Rule, moment: datetime) -> None:
        event = envelope(
            source="aws.events",
            detail_type="Scheduled Event",
            time=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            resources=(rule.arn,),
        )
        self._targets.send(rule, event)


def _scheduled_rules() -> list[Rule]:
    return [rule for rule in rules() if rule.scheduled_expression]
