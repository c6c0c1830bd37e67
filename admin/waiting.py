"""Polls with growing pauses, up to a time limit."""

import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeVar

from botocore.exceptions import ClientError

from chalicelib.s3_errors import error_code

Answer = TypeVar("Answer")

# Seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


@dataclass(frozen=True, kw_only=True)
class Waiter:
    """Waits at most `seconds`, by the clock `monotonic`; `tell` receives occasional progress."""

    seconds: float
    tell: Callable[[str], None]
    monotonic: Callable[[], float] = field(default_factory=lambda: time.monotonic)
    sleep: Callable[[float], None] = field(default_factory=lambda: time.sleep)

    def polls(self, what: str) -> Iterator[None]:
        """Yields before each poll for `what`; ends at the time limit."""
        began, pause, last_told = self.monotonic(), SHORTEST_PAUSE, 0.0
        while (waited := self.monotonic() - began) < self.seconds:
            if waited > last_told + LONGEST_PAUSE:
                self.tell(f"waiting for {what}: {waited:.0f} s")
                last_told = waited * 2
            yield
            self.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def retry_while(
        self, codes: AbstractSet[str], what: str, call: Callable[[], Answer]
    ) -> Answer | None:
        """Repeat the call while AWS returns one of `codes`; None if the time runs out.

        `what` describes what is being waited for. Raises ClientError for any other code.
        """
        for _ in self.polls(what):
            try:
                return call()
            except ClientError as error:
                if error_code(error) not in codes:
                    raise
        return None
