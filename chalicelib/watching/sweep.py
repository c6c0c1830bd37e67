"""Finds what still lies in incoming, and hands over to `promote` what can be settled.

Events make promotion fast, and the sweep makes it certain: an event may be late, lost or refused,
but what lies in a bucket can be found. The sweep itself changes nothing. It reads both buckets,
decides as `promote` would, and invokes it with an event of S3's shape.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.policy.policy import (
    DeleteMarker,
    Outcome,
    Policy,
    Slot,
    Stored,
    Upload,
    decide,
    objection,
)
from chalicelib.promotion.buckets import MOST_LOOKS, Incoming, Vault, is_eligible, open_buckets
from chalicelib.record import Swept
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INTERVAL = timedelta(minutes=15)
# Until then an upload is left to its event, which usually takes seconds.
LEFT_TO_EVENTS = timedelta(minutes=5)
# No run of a function lives longer: a copy that was begun earlier has ended or was killed, and what
# S3 stored in parts, and dates back to its beginning, was complete by then.
LONGEST_RUN = timedelta(minutes=30)
# How many uploads of one key a pass hands over, for each reason: slots that are free, uploads that
# only need to be removed, and what somebody should hear of.
MOST_OF_A_KEY = 10
# Pages of one key before another key has its turn: a flood of one delays that key alone.
PAGES_A_TURN = 10
# Seconds that a run keeps for its end.
RESERVE = 60.0


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """Looks through incoming; `invoke` lets `promote` run with an event, and waits for nothing."""

    s3: "S3Client"
    settings: Settings
    policy: Policy
    invoke: Callable[[dict[str, Any]], None]

    def sweep(
        self,
        *,
        now: datetime,
        scheduled: datetime,
        seconds_left: Callable[[], float] | None = None,
    ) -> Swept:
        """Look at every upload once, key by key, and hand over what `promote` should settle.

        `scheduled` is the time of the pass, by its schedule: what came to its end in the quarter of
        an hour that belongs to it is recorded in this pass and in no other.
        Raises ExceptionGroup of what failed, after all keys were looked at. Then no metric is
        written, so that nothing unknown counts as zero.
        """
        time_left = seconds_left or (lambda: math.inf)
        reserve = min(RESERVE, time_left() / 10)
        incoming, vault = open_buckets(self.s3, self.settings)
        this = _Pass(incoming, vault, self.policy, self.invoke, now, scheduled)
        turns = deque([*map(this.look_through, self.policy.claims), this.count_unknown_keys()])
        failures: list[Exception] = []
        while turns and time_left() > reserve:
            turn = turns.popleft()
            try:
                next(turn)
            except StopIteration:
                continue
            except (ClientError, BotoCoreError) as error:
                record.write_failed_sweep(error)
                failures.append(error)
                continue
            turns.append(turn)
        this.swept.complete = not turns
        if failures:
            raise ExceptionGroup("the sweep could not look at everything", failures)
        record.write_sweep(this.swept)
        return this.swept


@dataclass(kw_only=True)
class _FreeSlot:
    """A slot that holds nothing: its eligible uploads, and the oldest of them in S3's order."""

    slot: Slot
    waiting: int = 0
    oldest: deque[Upload] = field(default_factory=lambda: deque(maxlen=MOST_LOOKS))

    def add(self, upload: Upload) -> None:
        """Add an upload that S3 lists as older than all before it."""
        self.waiting += 1
        self.oldest.append(upload)


@dataclass(frozen=True)
class _Pass:
    """One look through incoming. Its memory grows with the number of slots, not of uploads."""

    incoming: Incoming
    vault: Vault
    policy: Policy
    invoke: Callable[[dict[str, Any]], None]
    now: datetime
    scheduled: datetime
    swept: Swept = field(default_factory=Swept)

    @cached_property
    def being_copied(self) -> frozenset[str]:
        """The slots that a run of `promote` may be filling now."""
        unfinished = self.vault.unfinished()
        return frozenset(copy.key for copy in unfinished if self.now - copy.begun < LONGEST_RUN)

    def look_through(self, key: str) -> Iterator[None]:
        """See every version of `key`, then hand over. Yields whenever another key has its turn."""
        stored: dict[str, Stored | DeleteMarker | None] = {}
        free: dict[str, _FreeSlot] = {}
        # The oldest ones stay: S3 lists them last.
        to_remove: deque[Upload] = deque(maxlen=MOST_OF_A_KEY)
        to_tell: deque[Upload] = deque(maxlen=MOST_OF_A_KEY)
        for number, page in enumerate(self.incoming.versions(key), start=1):
            for upload in page:
                self.swept.versions += 1
                self.swept.size += upload.size
                slot = self.policy.slot_of(key, upload.last_modified)
                if slot.name not in stored:
                    stored[slot.name] = self.vault.head(slot.name)
                there = stored[slot.name]
                match self._decide(upload, there):
                    case Outcome.PROMOTED:
                        free.setdefault(slot.name, _FreeSlot(slot=slot)).add(upload)
                    case Outcome.ALREADY_PROMOTED:
                        to_remove.append(upload)
                    case Outcome.CONTESTED:
                        self.swept.contested += 1
                        if self._is_news(max(_complete(upload), _complete(there))):
                            to_tell.append(upload)
                    case _:
                        self._reject(upload, to_tell)
            if number % PAGES_A_TURN == 0:
                yield
        slots = sorted(free.values(), key=lambda waiting: waiting.slot.start)
        for upload in (*self._first_of(slots, to_tell), *to_remove, *to_tell):
            self._hand_over(upload)

    def count_unknown_keys(self) -> Iterator[None]:
        """Count what no rule names: it lies in incoming all the same."""
        pages = self.incoming.sizes_of_other_keys(self.policy.claims)
        for number, sizes in enumerate(pages, start=1):
            self.swept.versions += len(sizes)
            self.swept.size += sum(sizes)
            if number % PAGES_A_TURN == 0:
                yield

    def _decide(self, upload: Upload, there: Stored | DeleteMarker | None) -> Outcome:
        return decide(
            self.policy, key=upload.key, upload=upload, stored=there, now=self.now
        ).outcome

    def _first_of(self, slots: list[_FreeSlot], to_tell: deque[Upload]) -> list[Upload]:
        """The first eligible upload of each slot, for as many slots as one pass fills."""
        refusal = partial(objection, self.policy, now=self.now)
        first: list[Upload] = []
        for free in slots:
            if free.slot.name in self.being_copied:
                continue
            while free.oldest and len(first) < MOST_OF_A_KEY and self._is_due(free.oldest[-1]):
                if is_eligible(self.incoming, free.oldest[-1], refusal):
                    first.append(free.oldest[-1])
                    break
                # A list does not show every reason why an upload can never be promoted.
                free.waiting -= 1
                self._reject(free.oldest.pop(), to_tell)
            self.swept.waiting += free.waiting
            if free.oldest:
                waits = (self.now - free.oldest[-1].last_modified).total_seconds()
                self.swept.oldest_waiting_seconds = max(waits, self.swept.oldest_waiting_seconds)
        return first

    def _is_due(self, upload: Upload) -> bool:
        return self.now - upload.last_modified >= LEFT_TO_EVENTS

    def _reject(self, upload: Upload, to_tell: deque[Upload]) -> None:
        self.swept.rejected += 1
        too_late = upload.last_modified + self.policy.accept_within
        if self._is_news(too_late if too_late < self.now else _complete(upload)):
            to_tell.append(upload)

    def _is_news(self, moment: datetime) -> bool:
        """Whether what came to its end then is recorded in this pass, and in no other."""
        quarter = datetime.min.replace(tzinfo=UTC)
        until = self.scheduled - (self.scheduled - quarter) % INTERVAL - LEFT_TO_EVENTS
        return until - INTERVAL <= moment < until

    def _hand_over(self, upload: Upload) -> None:
        """Let `promote` settle this upload, as if S3 had told of it."""
        where = {"key": quote_plus(upload.key), "versionId": upload.version_id}
        bucket = {"name": self.incoming.name}
        self.invoke({"Records": [{"s3": {"bucket": bucket, "object": where}}]})
        self.swept.handed_over += 1


def _complete(what: Upload | Stored | DeleteMarker | None) -> datetime:
    """When it was complete, at the latest. (Of a delete marker S3 does not say.)"""
    if not isinstance(what, Upload | Stored):
        return datetime.min.replace(tzinfo=UTC)
    return what.last_modified + (LONGEST_RUN if "-" in what.etag else timedelta())
