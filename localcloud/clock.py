"""The one clock of the local cloud. It runs with this machine's clock until somebody moves it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """Tells the time to everything in the cloud; `advance` and `stand_at` move it for all."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        """How far a running clock is ahead of this machine's."""
        self.standing: datetime | None = None
        """Where it stands; None while it runs."""
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.standing or datetime.now(UTC) + self.ahead

    def seconds_until(self, moment: datetime) -> float | None:
        """Seconds until the clock shows `moment`, at least 0; None if it stands before that."""
        left = max(0.0, (moment - self.now()).total_seconds())
        return None if self.standing and left else left

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
        """Run with this machine's clock again."""
        self.ahead, self.standing = timedelta(), None
        self._tell_listeners()

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` each time the clock is moved, for as long as the block runs."""
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
    """The time as moto wants it: UTC, and naive."""
    return clock.now().replace(tzinfo=None)
