"""The local cloud's only clock, which follows this machine's until it is moved, and its workers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """The time of everything in the cloud; `advance`, `stand_at` and `run_at` change it."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        """How far a running clock was ahead of this machine's, at `since`."""
        self.speed = 1.0
        """Seconds that pass here in a second of this machine's clock."""
        self.since = datetime.now(UTC)
        """When, by this machine's clock, the clock began to run at this speed."""
        self.standing: datetime | None = None
        """The time at which it stands still; None while it runs."""
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """The time, in UTC."""
        if self.standing:
            return self.standing
        machine = datetime.now(UTC)
        return machine + self.ahead + (machine - self.since) * (self.speed - 1)

    def seconds_until(self, moment: datetime) -> float | None:
        """This machine's seconds until the clock shows `moment`, at least 0.

        None if the clock stands still before that.
        """
        seconds = max(0.0, (moment - self.now()).total_seconds())
        return None if self.standing and seconds else seconds / self.speed

    def advance(self, by: timedelta) -> None:
        """Move the clock forward; a running clock keeps running."""
        if self.standing:
            self.standing += by
        else:
            self.ahead += by
        self._tell_listeners()

    def stand_at(self, moment: datetime) -> None:
        """Stop the clock at `moment` (aware) until it is moved again."""
        self.standing = moment.astimezone(UTC)
        self._tell_listeners()

    def run_at(self, speed: float) -> None:
        """Continue from the time that it shows, `speed` times as fast as this machine's clock."""
        now, self.since = self.now(), datetime.now(UTC)
        self.ahead, self.speed, self.standing = now - self.since, speed, None
        self._tell_listeners()

    def reset(self) -> None:
        """Follow this machine's clock again."""
        self.ahead, self.speed, self.standing = timedelta(), 1.0, None
        self._tell_listeners()

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` each time the clock is moved, until the block ends."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _tell_listeners(self) -> None:
        for listener in list(self._listeners):
            listener()


clock = Clock()


class Worker:
    """Calls `work` in a thread: on start, on `wake`, and whenever the clock is moved.

    `work` returns the number of real seconds until its next call (None: wait for `wake`). It holds
    `changed`, which protects the data that it shares with other threads.
    """

    def __init__(self, name: str, work: Callable[[], float | None]) -> None:
        self.changed = threading.Condition()
        self._name = name
        self._work = work
        self._closing = False

    def wake(self) -> None:
        """Call `work` now."""
        with self.changed:
            self.changed.notify_all()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work until the block ends."""
        thread = threading.Thread(target=self._work_until_closing, name=self._name)
        with clock.telling(self.wake):
            thread.start()
            try:
                yield
            finally:
                self._closing = True
                self.wake()
                thread.join()

    def _work_until_closing(self) -> None:
        with self.changed:
            while not self._closing:
                self.changed.wait(self._work())


def utcnow() -> datetime:
    """The time in UTC as moto expects it: naive."""
    return clock.now().replace(tzinfo=None)
