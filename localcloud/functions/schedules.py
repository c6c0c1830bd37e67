"""EventBridge's schedules: rules that invoke functions at a rate, by the cloud's clock."""

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.exceptions import ValidationException
from moto.events.models import EventsBackend, Rule, events_backends

from localcloud.clock import clock
from localcloud.functions.lambda_functions import REGION
from localcloud.functions.resource_policies import denial
from localcloud.s3.events import Deliver

# The only supported cron expression: at every full hour.
_HOURLY = "cron(0 * * * ? *)"
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_SERVICE = "events.amazonaws.com"


class Schedules:
    """Delivers the events of moto's scheduled rules when they are due.

    A rule is first due one period after it was put or its schedule was changed. `tell` gets a line
    for each event that is not delivered because the function's policy does not allow it.
    """

    def __init__(self, *, deliver: Deliver, tell: Callable[[str], None]) -> None:
        self._deliver = deliver
        self._tell = tell
        self._changed = threading.Condition()
        self._due: dict[str, datetime] = {}
        self._closing = False

    def run_due(self) -> None:
        """Deliver all events that have become due, in order, then return."""
        with self._changed:
            now = clock.now()
            moments = sorted(
                (
                    (moment, rule)
                    for rule in _scheduled_rules()
                    for moment in self._take_due_moments(rule, now=now)
                ),
                key=lambda due: due[0],
            )
            for moment, rule in moments:
                self._run(rule, moment)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Deliver events when they become due, even if the clock is moved, until the block ends."""
        put_rule = EventsBackend.put_rule

        def put_and_schedule(backend: EventsBackend, name: str, **arguments: Any) -> Rule:
            schedule = arguments.get("scheduled_expression")
            if schedule is None:
                return put_rule(backend, name, **arguments)
            first = _next(schedule, clock.now())
            with self._changed:
                before = {rule.name: rule.scheduled_expression for rule in _scheduled_rules()}
                rule = put_rule(backend, name, **arguments)
                if before.get(name) != schedule:
                    self._due[name] = first
                self._changed.notify_all()
            return rule

        # moto makes its backend on first use and reads AWS_PROFILE: here, not later in the thread.
        _scheduled_rules()
        thread = threading.Thread(target=self._run_until_closing)
        with (
            mock.patch.object(EventsBackend, "put_rule", put_and_schedule),
            clock.telling(self._wake),
        ):
            thread.start()
            try:
                yield
            finally:
                with self._changed:
                    self._closing = True
                    self._changed.notify_all()
                thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run_until_closing(self) -> None:
        with self._changed:
            while not self._closing:
                self.run_due()
                moments = [self._due[rule.name] for rule in _scheduled_rules()]
                self._changed.wait(clock.seconds_until(min(moments)) if moments else None)

    def _take_due_moments(self, rule: Rule, *, now: datetime) -> list[datetime]:
        schedule = rule.scheduled_expression or ""
        moment, period = self._due[rule.name], _period(schedule)
        moments = []
        while moment <= now:
            moments.append(moment)
            moment += period
        # At most one period away, even after the clock was moved back.
        self._due[rule.name] = min(moment, _next(schedule, now))
        return moments if rule.state == "ENABLED" else []

    def _run(self, rule: Rule, moment: datetime) -> None:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": rule.account_id,
            "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "region": rule.region_name,
            "resources": [rule.arn],
            "detail": {},
        }
        for target in rule.targets:
            problem = denial(
                target["Arn"], service=_SERVICE, source=rule.arn, account=rule.account_id
            )
            if problem:
                self._tell(f"{rule.name}: event not delivered: {problem}")
            else:
                self._deliver(target["Arn"], event)


def _scheduled_rules() -> list[Rule]:
    rules = events_backends[DEFAULT_ACCOUNT_ID][REGION].event_buses["default"].rules
    return [rule for rule in list(rules.values()) if rule.scheduled_expression]


def _next(schedule: str, now: datetime) -> datetime:
    if schedule == _HOURLY:
        now = now.replace(minute=0, second=0, microsecond=0)
    return now + _period(schedule)


def _period(schedule: str) -> timedelta:
    if schedule == _HOURLY:
        return timedelta(hours=1)
    rate = _RATE.fullmatch(schedule)
    if rate is None:
        raise ValidationException(
            f"The local cloud only supports schedules such as rate(15 minutes): {schedule}"
        )
    return timedelta(**{f"{rate[2]}s": int(rate[1])})
