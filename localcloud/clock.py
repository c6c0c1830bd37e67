"""The one clock of the local cloud. It runs with this machine's clock until somebody moves it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Tells the time to everything in the cloud; `advance` and `stand_at` move it for all."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._standing: datetime | None = None

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._standing or datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        """Move the clock forward; a running clock keeps running."""
        if self._standing:
            self._standing += by
        else:
            self._ahead += by

    def stand_at(self, moment: datetime) -> None:
        """Stop the clock at `moment` (aware) until it is moved again."""
        self._standing = moment.astimezone(UTC)

    def reset(self) -> None:
        """Run with this machine's clock again."""
        self._ahead, self._standing = timedelta(), None


clock = Clock()


def utcnow() -> datetime:
    """The time as moto wants it: UTC, and naive."""
    return clock.now().replace(tzinfo=None)
