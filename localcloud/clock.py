"""The local cloud's only clock: it follows this machine's clock until it is moved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """The time of everything in the cloud; `advance` and `stand_at` move it."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        """How far a running clock is ahead of this machine's."""
        self.standing: datetime | None = None
        """The time at which it stands still; None while it runs."""
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.standing or datetime.now(UTC) + self.ahead

    def seconds_until(self, moment: datetime) -> float | None:
        """Seconds until the clock shows `moment`, at least 0; None if it stands still before."""
        seconds = max(0.0, (moment - self.now()).total_seconds())
        return None if self.standing and seconds else seconds

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

    def reset(self) -> None:
        """Follow this machine's clock again."""
        self.ahead, self.standing = timedelta(), None
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


def utcnow() -> datetime:
    """The time in UTC as moto expects it: naive."""
    return clock.now().replace(tzinfo=None)
