"""Simulated time: scheduled actions, soonest first, and a Lambda that runs on it. No threads."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.promotion.multipart import OutOfTimeError
from localcloud.clock import clock
from localcloud.functions.event_queue import LAMBDA_RETRY_DELAYS
from localcloud.functions.queued_event import LONGEST_AGE
from tests.support.faults import Killed

# Errors that a run can have although nothing is wrong with the code.
FAILURES = (ClientError, BotoCoreError, OutOfTimeError)


class Timeline:
    """The cloud's clock is stopped, and jumps from one action to the next."""

    def __init__(self, begin: datetime) -> None:
        clock.stand_at(begin)
        self._plans: list[tuple[datetime, int, Callable[[], object]]] = []
        self._numbers = count()
        self._broken: list[BaseException] = []

    @property
    def now(self) -> datetime:
        return clock.now()

    def at(self, moment: datetime, happens: Callable[[], object]) -> None:
        """Schedule this action for that time; if that is past, it runs at once."""
        heapq.heappush(self._plans, (moment, next(self._numbers), happens))

    def after(self, delay: timedelta, happens: Callable[[], object]) -> None:
        self.at(self.now + delay, happens)

    def run_until(self, end: datetime) -> None:
        """Run everything that is due until `end`. An action can call this, too."""
        while self._plans and self._plans[0][0] <= end:
            moment, _, happens = heapq.heappop(self._plans)
            clock.stand_at(max(moment, self.now))
            try:
                happens()
            except BaseException as error:
                # If a run waited for this, it would treat an error here as a failure of S3, and
                # hide it.
                self._broken.append(error)
                raise
            if self._broken:
                raise self._broken[0]
        clock.stand_at(max(end, self.now))


@dataclass(frozen=True, kw_only=True)
class Queued:
    """An event for a function, before one of its attempts."""

    function: str
    event: Any
    accepted: datetime
    attempt: int = 1


@dataclass(kw_only=True)
class Lambda:
    """Lambda's asynchronous invocations: three attempts, and six hours in the queue at most.

    `runs_again` returns when a function that cannot run now can run again (None: it can run now).
    """

    timeline: Timeline
    functions: Mapping[str, Callable[[Any], None]]
    runs_again: Callable[[datetime], datetime | None]
    dropped: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)

    def invoke(self, function: str, event: Any, *, delay: timedelta = timedelta()) -> None:
        queued = Queued(function=function, event=event, accepted=self.timeline.now + delay)
        self.timeline.at(queued.accepted, partial(self._attempt, queued))

    def _attempt(self, queued: Queued) -> None:
        now = self.timeline.now
        if (now - queued.accepted).total_seconds() >= LONGEST_AGE:
            self.dropped += 1
            return
        if again := self.runs_again(now):
            self.timeline.at(again, partial(self._attempt, queued))
            return
        try:
            self.functions[queued.function](queued.event)
        except Killed:
            self._retry(queued)
        except ExceptionGroup as group:
            _, unexpected = group.split(FAILURES)
            if unexpected:
                raise
            self._retry(queued)

    def _retry(self, queued: Queued) -> None:
        self.failed += 1
        if queued.attempt > len(LAMBDA_RETRY_DELAYS):
            self.dropped += 1
            return
        delay = timedelta(seconds=LAMBDA_RETRY_DELAYS[queued.attempt - 1])
        again = replace(queued, attempt=queued.attempt + 1)
        self.timeline.after(delay, partial(self._attempt, again))
