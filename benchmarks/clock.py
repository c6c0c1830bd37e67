"""Three clocks for the model: one waits, one jumps while the client waits, and one only adds."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

# After this many seconds without a request, and without a running or ready thread of the client,
# the client must be waiting for the model. (rclone sleeps for 10 ms between its requests.)
QUIET = 0.015
# The same on systems that do not show the state of threads, such as macOS.
QUIET_WITHOUT_PROC = 0.150
_PROC = Path("/proc")


class Clock(Protocol):
    """The model's time, in seconds since the first request."""

    now: float

    async def wait(self, seconds: float) -> None:
        """Return after this many seconds of the model's time."""


class WallClock:
    """Waits in real time."""

    def __init__(self) -> None:
        self._began: float | None = None

    @property
    def now(self) -> float:
        """Seconds since the first request."""
        return time.monotonic() - self._began if self._began else 0.0

    async def wait(self, seconds: float) -> None:
        """Wait while the client's own work goes on."""
        self._began = self._began or time.monotonic()
        await asyncio.sleep(seconds)


class SummingClock:
    """Adds without waiting: right only for clients that send one request at a time."""

    def __init__(self) -> None:
        self.now = 0.0

    async def wait(self, seconds: float) -> None:
        """Add the seconds, without waiting."""
        self.now += seconds


class JumpingClock:
    """Simulates time: jumps to the end of the next request when the whole client is waiting.

    So the client's own work takes no time, and a copy of 5 TB takes a few seconds. `is_busy`
    returns True while the client works. If it is None, a client that sends nothing counts as
    waiting.
    """

    def __init__(self, is_busy: Callable[[], bool] | None) -> None:
        self.now = 0.0
        self._is_busy = is_busy or (lambda: False)
        self._quiet = QUIET if is_busy else QUIET_WITHOUT_PROC
        self._waiting: list[tuple[float, int, asyncio.Event]] = []
        self._last_activity = 0.0
        self._count = 0

    async def wait(self, seconds: float) -> None:
        """Wait until the clock has jumped this far."""
        self._count += 1
        self._last_activity = time.monotonic()
        passed = asyncio.Event()
        heapq.heappush(self._waiting, (self.now + seconds, self._count, passed))
        await passed.wait()

    async def run(self) -> None:
        """Jump again and again, until cancelled."""
        while True:
            remaining = self._last_activity + self._quiet - time.monotonic()
            count = self._count
            if remaining > 0 or not self._waiting:
                await asyncio.sleep(max(remaining, 0.001))
                continue
            if self._is_busy():
                await asyncio.sleep(0.001)
                continue
            # First read the requests that were sent during the check. The loop takes about five
            # iterations to read the request of a new connection.
            for _ in range(10):
                await asyncio.sleep(0)
            if count == self._count:
                self._jump()

    def _jump(self) -> None:
        self.now = self._waiting[0][0]
        # Rounding must not separate requests that end at the same time.
        while self._waiting and self._waiting[0][0] < self.now + 1e-6:
            heapq.heappop(self._waiting)[2].set()
        self._last_activity = time.monotonic()


def can_see_threads() -> bool:
    """True if `is_busy` works on this system."""
    return (_PROC / "self" / "task").is_dir()


def is_busy(process_id: int) -> bool:
    """True if a thread of the process, or of its child processes, is running or ready to run."""
    processes, is_ready = [process_id], False
    before = _cpu(processes)
    for process in processes:
        try:
            for task in (_PROC / str(process) / "task").iterdir():
                is_ready = (
                    is_ready or (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD"
                )
                children = task / "children"
                if children.exists():
                    child_ids = list(map(int, children.read_text().split()))
                    before += _cpu(child_ids)
                    processes += child_ids
        except (FileNotFoundError, ProcessLookupError):
            continue
    # The threads are checked one after another, and each can wake one that was already checked.
    # They all waited at the same moment only if none has used the CPU meanwhile.
    return is_ready or _cpu(processes) != before


def _cpu(processes: Sequence[int]) -> list[int]:
    """Return each process's CPU time in nanoseconds, by its own clock (clock_getcpuclockid(3))."""
    nanoseconds = []
    for process_id in processes:
        with suppress(OSError):
            nanoseconds.append(time.clock_gettime_ns(~process_id << 3 | 2))
    return nanoseconds
