"""Lambda's queue of asynchronous events, which are retried and finally dropped.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException

from localcloud.clock import clock
from localcloud.functions.lambda_functions import reserved_concurrency
from localcloud.functions.queued_event import QueuedEvent

LAMBDA_RETRY_DELAYS = (60.0, 120.0)
"""Seconds that Lambda waits before the second and before the third attempt of a failed event."""
NEW_ACCOUNT_CONCURRENCY = 10


Measure = Callable[[str, str, int], None]
"""Called with the names of a metric and of a function, and a value."""


def measure_nothing(_metric: str, _function: str, _value: int) -> None:
    """Measure nothing."""


class _Turn(Enum):
    RUN = "it is due, and concurrency is left"
    DROP = "it has waited too long"
    WAIT = "neither"


class Throttled(Exception):
    """No concurrency is left for the function."""


class EventQueue:
    """Calls `run` in a thread with each event that is due, if concurrency is left for its function.

    `run` returns whether the attempt succeeded. Events are due by the cloud's clock. `tell` gets a
    line for each dropped event; `dropped` counts them by function name. `measure` gets the values
    of CloudWatch's AsyncEventsDropped and Throttles, each with the function's name.
    """

    def __init__(
        self,
        *,
        run: Callable[[QueuedEvent], bool],
        tell: Callable[[str], None],
        retry_delays: tuple[float, ...],
        concurrency: int,
        measure: Measure = measure_nothing,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._run = run
        self._tell = tell
        self._retry_delays = retry_delays
        self._concurrency = concurrency
        self._measure = measure
        self._changed = threading.Condition()
        self._waiting: list[QueuedEvent] = []
        self._in_progress = 0
        self._running: Counter[str] = Counter()
        self._attempts: set[threading.Thread] = set()
        self._closing = False
        self._dispatcher = threading.Thread(target=self._dispatch)

    def start(self) -> None:
        """Start running events."""
        self._dispatcher.start()

    def put(self, function_arn: str, payload: Any) -> None:
        """Queue an event and return at once."""
        now = clock.now()
        event = QueuedEvent(function_arn=function_arn, payload=payload, accepted=now, due=now)
        with self._changed:
            if not self._closing:
                self._waiting.append(event)
                self._changed.notify_all()

    @contextmanager
    def concurrency_for(self, function_arn: str) -> Iterator[None]:
        """Count a synchronous run. Raises Throttled if no concurrency is left for it."""
        with self._changed:
            if not self._has_concurrency(function_arn):
                self._measure("Throttles", function_arn.rpartition(":")[2], 1)
                raise Throttled
            self._running[function_arn] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[function_arn] -= 1
                self._changed.notify_all()

    def wake(self) -> None:
        """Check waiting events again: the clock was moved, or a function's concurrency changed."""
        with self._changed:
            self._changed.notify_all()

    def wait_until_quiet(self, timeout: float) -> None:
        """Return when each event has succeeded or been dropped. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._unfinished, timeout):
                number = self._unfinished
                raise TimeoutError(f"{number} event(s) are not finished after {timeout} s")

    def wait_until_stalled(self, timeout: float) -> None:
        """Return when nothing runs, or can run until the clock or a concurrency changes.

        Raises TimeoutError.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_stalled, timeout):
                raise TimeoutError(f"Events are still being processed after {timeout} s")

    def throttled(self) -> Counter[str]:
        """How many events are due and wait for concurrency now, by function name."""
        with self._changed:
            now = clock.now()
            return Counter(
                event.function_name
                for event in self._waiting
                if event.due <= now and self._turn(event) is _Turn.WAIT
            )

    def close(self) -> None:
        """Discard waiting events and start no further attempt."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Return when every attempt has ended; `close` comes first."""
        self._dispatcher.join()
        with self._changed:
            attempts = set(self._attempts)
        for attempt in attempts:
            attempt.join()

    @property
    def _unfinished(self) -> int:
        return len(self._waiting) + self._in_progress

    def _is_stalled(self) -> bool:
        return not self._in_progress and all(self._turn(e) is _Turn.WAIT for e in self._waiting)

    def _dispatch(self) -> None:
        while next_turn := self._take():
            event, turn = next_turn
            if turn is _Turn.RUN:
                attempt = threading.Thread(target=self._attempt, args=(event,))
                with self._changed:
                    self._attempts.add(attempt)
                attempt.start()
            else:
                self._drop(event, f"after {clock.now() - event.accepted} in the queue")
                with self._changed:
                    self._in_progress -= 1
                    self._changed.notify_all()

    def _take(self) -> tuple[QueuedEvent, _Turn] | None:
        """Wait for the next event that is to be run or dropped; None when the queue closes."""
        with self._changed:
            while not self._closing:
                for event in self._waiting:
                    turn = self._turn(event)
                    if turn is not _Turn.WAIT:
                        self._waiting.remove(event)
                        self._in_progress += 1
                        if turn is _Turn.RUN:
                            self._running[event.function_arn] += 1
                        return event, turn
                self._changed.wait(self._seconds_until_next_turn())
            return None

    def _attempt(self, event: QueuedEvent) -> None:
        retry = None
        try:
            if not self._run(event):
                retry = self._retry_or_drop(event)
        except UnknownFunctionException as error:
            self._tell(f"event dropped: {error.message}")
        finally:
            with self._changed:
                self._attempts.remove(threading.current_thread())
                self._running[event.function_arn] -= 1
                self._in_progress -= 1
                if retry and not self._closing:
                    self._waiting.append(retry)
                self._changed.notify_all()

    def _retry_or_drop(self, event: QueuedEvent) -> QueuedEvent | None:
        retries = event.configuration.get("MaximumRetryAttempts", len(self._retry_delays))
        delays = self._retry_delays[:retries]
        if event.attempt > len(delays):
            self._drop(event, f"after {event.attempt} attempts")
            return None
        delay = timedelta(seconds=delays[event.attempt - 1])
        return replace(event, attempt=event.attempt + 1, due=clock.now() + delay)

    def _drop(self, event: QueuedEvent, when: str) -> None:
        name = event.function_name
        with self._changed:
            self.dropped[name] += 1
        self._measure("AsyncEventsDropped", name, 1)
        self._tell(f"{name}: event dropped {when}")

    def _turn(self, event: QueuedEvent) -> _Turn:
        now, expires = clock.now(), event.expires
        # If the clock was moved past both moments, the earlier of them counts.
        if event.due <= now and event.due < expires and self._has_concurrency(event.function_arn):
            return _Turn.RUN
        return _Turn.DROP if now >= expires else _Turn.WAIT

    def _has_concurrency(self, function_arn: str) -> bool:
        # AWS refuses reservations that leave too little for other functions, but moto accepts them,
        # so here reserved concurrency is added to the account's.
        reserved = reserved_concurrency()
        if function_arn in reserved:
            return self._running[function_arn] < reserved[function_arn]
        unreserved = sum(n for arn, n in self._running.items() if arn not in reserved)
        return unreserved < self._concurrency

    def _seconds_until_next_turn(self) -> float | None:
        now = clock.now()
        moments = [e.due if e.due > now else e.expires for e in self._waiting]
        return clock.seconds_until(min(moments)) if moments else None
