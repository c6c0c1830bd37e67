"""Simulates the metrics of five servers, promoter, sweep and audit for weeks, in minutes.

The model covers what alarms can observe: uploads that arrive and wait, runs of the functions as
Lambda queues and retries them, the metrics of both, and the audits' findings. It uses neither S3
nor Lambda.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from itertools import count
from typing import NamedTuple

from localcloud.alarms import Metric
from tests.support.project import STAGE

SERVERS = ("web1", "web2", "db1", "db2", "mail1")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SWEPT_FROM, SLOTS_A_PASS = 5 * MINUTE, 10
RETRIES_AFTER = (MINUTE, 2 * MINUTE)
LAMBDA_KEEPS = 6 * HOUR
# Concurrent runs in a new account.
CONCURRENCY = 10
MB, GB = 1024**2, 1024**3


class Trouble(StrEnum):
    """What fails during an outage."""

    COPIES = "S3 answers copies with 503"
    S3 = "S3 answers nothing but uploads"
    NETWORK = "no function reaches S3, and hangs"
    THROTTLED = "Lambda runs nothing, and says so"
    SILENT = "Lambda runs nothing, and says nothing"
    STOPPED = "the concurrency of promote is 0"
    NO_SWEEP = "the sweep is not invoked"
    NO_AUDIT = "the audit is not invoked"
    NO_EVENTS = "no event of S3 arrives"
    NO_UPLOADS = "no server reaches S3"
    FLAKY = "every third run fails"


NOTHING_RUNS = frozenset({Trouble.THROTTLED, Trouble.SILENT})


@dataclass(frozen=True, kw_only=True)
class Outage:
    """An outage: what fails, and when."""

    trouble: Trouble
    begin: datetime
    end: datetime


class Waiting(NamedTuple):
    """An upload in incoming. (There are many, and tuples compare fast.)"""

    at: datetime
    key: str
    size: int


@dataclass
class Weeks:
    """What happens from `begin` until `end`.

    `metrics` contains what CloudWatch receives, `waiting` what is left in incoming, `settled` when
    each upload was promoted, and `audits` the hours whose audits succeeded. `audited` returns when
    the audits of an hour begin, because an audit can be late or run twice.
    """

    begin: datetime
    end: datetime
    outage: Outage | None = None
    seed: int = 1
    metrics: dict[Metric, list[tuple[datetime, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    waiting: set[Waiting] = field(default_factory=set)
    settled: dict[Waiting, datetime] = field(default_factory=dict)
    audits: list[datetime] = field(default_factory=list)
    audited: Callable[[datetime], Sequence[datetime]] = lambda hour: [hour]

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._queue: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._order = count()
        self._running: list[datetime] = []
        for upload in self._uploads():
            self._at(upload.at, partial(self._arrive, upload))
        at = self.begin + 7 * MINUTE
        while at < self.end:
            # EventBridge is a few seconds late, by a different amount each time.
            late = timedelta(seconds=self._random.uniform(0, 59))
            self._at(at + late, self._begin_sweep)
            at += 15 * MINUTE
        for hours in range((self.end - self.begin) // HOUR):
            hour = self.begin + hours * HOUR
            for audit in self.audited(hour):
                self._at(audit + self._seconds(59), partial(self._begin_audit, hour))
        while self._queue:
            now, _, happen = heapq.heappop(self._queue)
            if now < self.end:
                happen(now)

    def first_stuck(self) -> datetime:
        """The time of the first upload that was promoted only after the outage."""
        assert self.outage
        return min(
            upload.at
            for upload, then in self.settled.items()
            if upload.at < self.outage.end <= then
        )

    def longest_wait(self) -> timedelta:
        """The time between an upload and its promotion."""
        return max(then - upload.at for upload, then in self.settled.items())

    def _uploads(self) -> Iterator[Waiting]:
        for number, server in enumerate(SERVERS):
            at = self.begin + number * MINUTE
            while at < self.end:
                yield Waiting(at + self._seconds(40), f"{server}/sql.gz.gpg", 200 * MB)
                if at.hour == 23:
                    late = 30 * MINUTE + self._seconds(600)
                    yield Waiting(at + late, f"{server}/backup.tar.gz.gpg", 20 * GB)
                at += HOUR

    def _seconds(self, most: float) -> timedelta:
        return timedelta(seconds=self._random.uniform(0, most))

    def _at(self, moment: datetime, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._order), happen))

    def _trouble(self, now: datetime) -> Trouble | None:
        there = self.outage and self.outage.begin <= now < self.outage.end
        return self.outage.trouble if self.outage and there else None

    def _arrive(self, upload: Waiting, now: datetime) -> None:
        trouble = self._trouble(now)
        if trouble is Trouble.NO_UPLOADS:
            return
        self.waiting.add(upload)
        if trouble is not Trouble.NO_EVENTS:
            self._invoke("promote", partial(self._promote, upload), now)

    def _begin_sweep(self, now: datetime) -> None:
        if self._trouble(now) is not Trouble.NO_SWEEP:
            self._invoke("sweep", self._sweep, now)

    def _begin_audit(self, hour: datetime, now: datetime) -> None:
        if self._trouble(now) is not Trouble.NO_AUDIT:
            self._invoke("audit", partial(self._audit, hour), now)

    def _invoke(
        self,
        function: str,
        work: Callable[[datetime], None],
        now: datetime,
        *,
        since: datetime | None = None,
        tried: int = 0,
        throttled: int = 0,
    ) -> None:
        """Run an asynchronous event as Lambda does: retry, throttle, and finally drop it."""
        since, trouble = since or now, self._trouble(now)
        while self._running and self._running[0] <= now:
            heapq.heappop(self._running)
        if trouble is Trouble.STOPPED and function == "promote":
            self._count(function, "AsyncEventsDropped", now)
        elif trouble in NOTHING_RUNS or len(self._running) == CONCURRENCY:
            says = trouble is not Trouble.SILENT
            if says:
                self._count(function, "Throttles", now)
            pause = timedelta(seconds=min(300, 2**throttled))
            if now + pause - since < LAMBDA_KEEPS:
                self._at(
                    now + pause,
                    lambda then: self._invoke(
                        function, work, then, since=since, tried=tried, throttled=throttled + 1
                    ),
                )
            elif says:
                self._count(function, "AsyncEventsDropped", now)
        elif self._fails(function, trouble):
            ends = now + (15 * MINUTE if trouble is Trouble.NETWORK else self._seconds(20))
            heapq.heappush(self._running, ends)
            self._count(function, "Errors", now)
            if tried == len(RETRIES_AFTER):
                self._count(function, "AsyncEventsDropped", ends)
                return
            self._at(
                ends + RETRIES_AFTER[tried],
                lambda then: self._invoke(function, work, then, since=since, tried=tried + 1),
            )
        else:
            for name in ("Errors", "Throttles"):
                self._count(function, name, now, 0)
            ends = now + self._seconds(20)
            heapq.heappush(self._running, ends)
            self._at(ends, work)

    def _fails(self, function: str, trouble: Trouble | None) -> bool:
        match trouble:
            case Trouble.S3 | Trouble.NETWORK:
                return True
            case Trouble.COPIES:
                return function == "promote"
            case Trouble.FLAKY:
                return self._random.random() < 1 / 3
            case _:
                return False

    def _promote(self, upload: Waiting, now: datetime) -> None:
        if upload in self.waiting:
            self.waiting.remove(upload)
            self.settled[upload] = now

    def _sweep(self, now: datetime) -> None:
        oldest = min((upload.at for upload in self.waiting), default=now)
        for name, value in {
            "WaitingUploads": len(self.waiting),
            "OldestWaitingSeconds": (now - oldest).total_seconds(),
            "ContestedUploads": 0,
            "RejectedUploads": 0,
            "IncomingBytes": sum(upload.size for upload in self.waiting),
            "IncomingVersions": len(self.waiting),
        }.items():
            self._own(name, now, value)
        handed: dict[str, int] = defaultdict(int)
        for upload in sorted(self.waiting):
            if now - upload.at >= SWEPT_FROM and handed[upload.key] < SLOTS_A_PASS:
                handed[upload.key] += 1
                self._invoke("promote", partial(self._promote, upload), now)

    def _audit(self, hour: datetime, now: datetime) -> None:
        self.audits.append(hour)
        stored = {upload.key for upload, then in self.settled.items() if then <= hour}
        for name, value in {
            "AuditSeconds": 20,
            "SettingsFindings": 0,
            "UnlockedFindings": 0,
            "KeysWithoutBackup": 2 * len(SERVERS) - len(stored),
        }.items():
            self._own(name, now, value)

    def _own(self, name: str, now: datetime, value: float) -> None:
        self.metrics[own(name)].append((now, value))

    def _count(self, function: str, name: str, now: datetime, value: float = 1) -> None:
        self.metrics[of_function(function, name)].append((now, value))


@cache
def of_function(function: str, name: str) -> Metric:
    """A metric of Lambda."""
    return Metric("AWS/Lambda", name, (("FunctionName", STAGE.function_name(function)),))


def own(name: str, service: str = "immutable-backups-dev") -> Metric:
    """A metric that the functions write themselves."""
    return Metric("ImmutableBackups", name, (("service", service),))


BEGIN = datetime(2026, 11, 2, tzinfo=UTC)
