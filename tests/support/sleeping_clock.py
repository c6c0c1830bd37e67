"""A clock for waiters that moves only while they sleep."""


class SleepingClock:
    """Its `monotonic` and `sleep` replace those of the module `time`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
