"""Waiting for what can be observed: again and again, more and more slowly, and not for ever."""

import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import ClientError

Answer = TypeVar("Answer")

# Seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """For how many seconds to wait at most, and who hears of it meanwhile."""

    seconds: float
    tell: Callable[[str], None]

    def tries(self, what: str) -> Iterator[None]:
        """Yields for each try to see `what`; ends when patience does."""
        began, pause, told = time.monotonic(), SHORTEST_PAUSE, 0.0
        while (waited := time.monotonic() - began) < self.seconds:
            if waited > told + LONGEST_PAUSE:
                self.tell(f"waiting for {what}: {waited:.0f} s")
                told = waited * 2
            yield
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def outlast(
        self, what: str, call: Callable[[], Answer], *, codes: AbstractSet[str]
    ) -> Answer | None:
        """What the call answers, once AWS refuses it with none of these codes; None: it still does.

        Raises ClientError for any other code.
        """
        for _ in self.tries(what):
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] not in codes:
                    raise
        return None
