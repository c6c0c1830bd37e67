"""The model's clocks: one really waits, one jumps while the client waits, one only adds."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

# Seconds without a request, and without a thread of the client that runs or wants to, after which
# the client can only be waiting for the model. (rclone sleeps for 10 ms between its requests.)
QUIET = 0.015
# Where nothing tells what a client's threads do, as on macOS.
QUIET_UNSEEN = 0.150
_PROC = Path("/proc")


class Clock(Protocol):
    """The time of the model, in seconds, from the first request on."""

    now: float

    async def wait(self, seconds: float) -> None:
        """Return when so many seconds of the model have passed."""


class WallClock:
    """Really waits."""

    def __init__(self) -> None:
        self._began: float | None = None

    @property
    def now(self) -> float:
        """Seconds since the first request."""
        return time.monotonic() - self._began if self._began else 0.0

    async def wait(self, seconds: float) -> None:
        """Wait, and the client's own work goes on meanwhile."""
        self._began = self._began or time.monotonic()
        await asyncio.sleep(seconds)


class SummingClock:
    """Answers at once and adds up: the right time only for clients that do one thing at a time."""

    def __init__(self) -> None:
        self.now = 0.0

    async def wait(self, seconds: float) -> None:
        """Add."""
        self.now += seconds


class JumpingClock:
    """Simulated time: jumps to the end of the next request whenever the whole client waits.

    So the client's own work takes no time, and a copy of 5 TB takes some seconds. `is_busy` says
    whether the client is at work; where None, silence alone is taken for waiting.
    """

    def __init__(self, is_busy: Callable[[], bool] | None) -> None:
        self.now = 0.0
        self._is_busy = is_busy or (lambda: False)
        self._quiet = QUIET if is_busy else QUIET_UNSEEN
        self._waiting: list[tuple[float, int, asyncio.Event]] = []
        self._last_sign = 0.0
        self._count = 0

    async def wait(self, seconds: float) -> None:
        """Wait until the clock has jumped so far."""
        self._count += 1
        self._last_sign = time.monotonic()
        passed = asyncio.Event()
        heapq.heappush(self._waiting, (self.now + seconds, self._count, passed))
        await passed.wait()

    async def run(self) -> None:
        """Jump, again and again, until cancelled."""
        while True:
            rest = self._last_sign + self._quiet - time.monotonic()
            count = self._count
            if rest > 0 or not self._waiting:
                await asyncio.sleep(max(rest, 0.001))
                continue
            if self._is_busy():
                await asyncio.sleep(0.001)
                continue
            # What was sent while we looked is read first: the request of a new connection takes the
            # loop some five turns.
            for _ in range(10):
                await asyncio.sleep(0)
            if count == self._count:
                self._jump()

    def _jump(self) -> None:
        self.now = self._waiting[0][0]
        # Rounding must not tear apart what ends together.
        while self._waiting and self._waiting[0][0] < self.now + 1e-6:
            heapq.heappop(self._waiting)[2].set()
        self._last_sign = time.monotonic()


def can_see_threads() -> bool:
    """Whether `is_busy` works on this system."""
    return (_PROC / "self" / "task").is_dir()


def is_busy(process_id: int) -> bool:
    """Whether any thread of the process, or of one that it started, runs or wants to run."""
    family, ready = [process_id], False
    before = _cpu(family)
    for one in family:
        try:
            for task in (_PROC / str(one) / "task").iterdir():
                ready = ready or (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD"
                children = task / "children"
                if children.exists():
                    started = list(map(int, children.read_text().split()))
                    before += _cpu(started)
                    family += started
        except (FileNotFoundError, ProcessLookupError):
            continue
    # While we looked at one thread after the other, one may have handed its turn to another:
    # only if none has run meanwhile did we see all of them at one moment.
    return ready or _cpu(family) != before


def _cpu(processes: Sequence[int]) -> list[int]:
    """The nanoseconds that each has run so far, by its own clock (clock_getcpuclockid(3))."""
    spent = []
    for process_id in processes:
        with suppress(OSError):
            spent.append(time.clock_gettime_ns(~process_id << 3 | 2))
    return spent
