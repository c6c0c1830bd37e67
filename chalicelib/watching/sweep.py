"""Finds the uploads that are still in incoming, and hands them over to `promote`.

Events make promotion fast, and the sweep makes it certain: an event can be late, lost or refused,
but an upload in a bucket can always be found. The sweep itself changes nothing. It reads both
buckets, decides as `promote` would, and invokes it with an event in S3's format.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.policy.decision import (
    Decision,
    DeleteMarker,
    Outcome,
    Refusal,
    Stored,
    Upload,
    decide,
    objection,
)
from chalicelib.policy.policy import Policy, Slot
from chalicelib.policy.rules import DRILL, DRILL_UPLOAD
from chalicelib.promotion.buckets import MOST_LOOKS, Incoming, Vault
from chalicelib.promotion.copy_plan import largest_copy, unlimited
from chalicelib.promotion.leftovers import unfinished_copies
from chalicelib.record import Swept

INTERVAL = timedelta(minutes=15)
# A younger upload is left to its event, which usually takes seconds.
LEFT_TO_EVENTS = timedelta(minutes=5)
# No run lasts longer: a copy that was begun earlier has ended or was killed.
LONGEST_RUN = timedelta(minutes=30)
# How many uploads of one key a pass hands over, for each of three reasons: their slot is free, they
# only need to be removed, or someone should be notified of them.
MOST_OF_A_KEY = 10
# Seconds that a run keeps for its end.
RESERVE = 60.0


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """Searches incoming for uploads. `invoke` starts `promote` with an event, without waiting."""

    incoming: Incoming
    vault: Vault
    policy: Policy
    invoke: Callable[[dict[str, Any]], None]

    def sweep(
        self,
        *,
        now: datetime,
        scheduled: datetime,
        seconds_left: Callable[[], float] = unlimited,
    ) -> Swept:
        """Look at every upload once, key by key, and hand over those that `promote` should settle.

        `scheduled` is when the pass was due. Uploads that became contested or rejected in the
        previous 15 minutes are handed over only in this pass. Raises an ExceptionGroup of the
        errors after looking at all keys, and then writes no metrics, so that nothing unknown counts
        as zero.
        """
        reserve = min(RESERVE, seconds_left() / 10)
        # promote has the same lambda_timeout.
        largest = largest_copy(seconds_left())
        one_pass = _Pass(
            **vars(self),
            refusal=partial(objection, self.policy, now=now, largest=largest),
            decide=partial(decide, self.policy, now=now, largest=largest),
            now=now,
            scheduled=scheduled,
        )
        # A drill's upload is handed over too, but sets off no alarm.
        uncounted = replace(one_pass, swept=Swept())
        turns = deque(
            [
                *map(one_pass.look_through, self.policy.server_keys),
                uncounted.look_through(DRILL_UPLOAD),
                one_pass.count_others(),
            ]
        )
        while turns and seconds_left() > reserve:
            turn = turns.popleft()
            try:
                next(turn)
            except StopIteration:
                pass
            except (ClientError, BotoCoreError) as error:
                one_pass.fail(error)
            else:
                turns.append(turn)
        one_pass.swept.complete = not turns
        if one_pass.failures:
            raise ExceptionGroup("the sweep could not check everything", one_pass.failures)
        record.write_sweep(one_pass.swept)
        return one_pass.swept


@dataclass(kw_only=True)
class _SeenSlot:
    """A slot, what it holds, how many uploads are waiting for it, and since when.

    `oldest` are the oldest of them in S3's order, which is newest first.
    """

    slot: Slot
    stored: Stored | DeleteMarker | None
    since: datetime
    waiting: int = 0
    oldest: deque[Upload] = field(default_factory=lambda: deque(maxlen=MOST_LOOKS))


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """One pass through incoming. Its memory use grows with the number of slots, not of uploads."""

    incoming: Incoming
    vault: Vault
    policy: Policy
    invoke: Callable[[dict[str, Any]], None]
    refusal: Refusal
    decide: Callable[..., Decision]
    now: datetime
    scheduled: datetime
    swept: Swept = field(default_factory=Swept)
    failures: list[Exception] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """Log an error and continue: it stops nothing else."""
        record.write_failure("sweep failed", error)
        self.failures.append(error)

    def look_through(self, key: str) -> Iterator[None]:
        """Look at every version of `key`, then hand over. Yields so that other keys get a turn."""
        slots: dict[str, _SeenSlot] = {}
        # Only the oldest are kept, which S3 lists last.
        to_remove: deque[Upload] = deque(maxlen=MOST_OF_A_KEY)
        to_tell: deque[Upload] = deque(maxlen=MOST_OF_A_KEY)
        for page in self.incoming.versions(key):
            for upload in page:
                self._count(upload.size)
                slot, moment = self.policy.slot_of(key, upload.last_modified), upload.last_modified
                if slot.name not in slots:
                    stored = self.vault.head(slot.name)
                    slots[slot.name] = _SeenSlot(slot=slot, stored=stored, since=moment)
                seen = slots[slot.name]
                match self.decide(key=key, upload=upload, stored=seen.stored).outcome:
                    case Outcome.PROMOTED:
                        seen.waiting += 1
                        seen.oldest.append(upload)
                        seen.since = moment
                    case Outcome.ALREADY_PROMOTED if self._is_due(upload):
                        to_remove.append(upload)
                    case Outcome.CONTESTED:
                        self.swept.contested += 1
                        if self._is_news(max(completion(upload), completion(seen.stored))):
                            to_tell.append(upload)
                    case Outcome.REJECTED:
                        self._reject(upload, to_tell)
            yield
        free = [seen for seen in slots.values() if seen.waiting]
        yield from self._fill(sorted(free, key=lambda seen: seen.slot.start), to_tell)
        for upload in (*to_remove, *to_tell):
            self._hand_over(upload)

    def count_others(self) -> Iterator[None]:
        """Count the objects that no rule names, page by page: they cost storage too."""
        known = self.policy.promotable_keys
        marker: dict[str, Any] = {}
        while True:
            page: Any = self.incoming.s3.list_object_versions(**self.incoming.args, **marker)
            for version in page.get("Versions", []):
                if version["Key"] not in known and not version["Key"].startswith(f"{DRILL}/"):
                    self._count(version["Size"])
            yield
            if not page["IsTruncated"]:
                return
            marker = {"KeyMarker": page["NextKeyMarker"]}
            # Without this marker S3 continues after the key and skips its other versions.
            if page["NextKeyMarker"] not in known:
                marker["VersionIdMarker"] = page["NextVersionIdMarker"]

    def _count(self, size: int) -> None:
        self.swept.versions += 1
        self.swept.size += size

    def _fill(self, slots: list[_SeenSlot], to_tell: deque[Upload]) -> Iterator[None]:
        """Hand over the first eligible upload of each slot, for the slots that a pass can fill."""
        copies = unfinished_copies(self.vault) if slots else []
        being_copied = {copy.key for copy in copies if self.now - copy.begun < LONGEST_RUN}
        tried = 0
        for free in slots:
            if free.slot.name in being_copied:
                # A copy is under way, perhaps for the tenth time: only the age is reported.
                free.waiting = 0
            elif tried < MOST_OF_A_KEY and self._is_due(free.oldest[-1]):
                try:
                    tried += self._hand_over_first(free, to_tell)
                except (ClientError, BotoCoreError) as error:
                    self.fail(error)
                    tried += 1
                yield
            if free.waiting or free.slot.name in being_copied:
                waits = (self.now - free.since).total_seconds()
                self.swept.oldest_waiting_seconds = max(waits, self.swept.oldest_waiting_seconds)
            self.swept.waiting += free.waiting

    def _hand_over_first(self, free: _SeenSlot, to_tell: deque[Upload]) -> bool:
        """Hand over the first upload that can be promoted; True if there is one.

        A list does not show every reason why an upload can never be promoted.
        """
        while free.oldest:
            first = free.oldest[-1]
            free.since = first.last_modified
            upload = self.incoming.head(first.key, first.version_id)
            if isinstance(upload, Upload) and not self.refusal(upload):
                self._hand_over(first)
                return True
            free.waiting -= 1
            free.oldest.pop()
            if upload is not None:
                self._reject(first, to_tell)
        return False

    def _is_due(self, upload: Upload) -> bool:
        return self.now - upload.last_modified >= LEFT_TO_EVENTS

    def _reject(self, upload: Upload, to_tell: deque[Upload]) -> None:
        self.swept.rejected += 1
        too_late = upload.last_modified + self.policy.accept_within
        if self._is_news(too_late if too_late < self.now else completion(upload)):
            to_tell.append(upload)

    def _is_news(self, moment: datetime) -> bool:
        """True if a change at that moment is reported by this pass, and by no other."""
        quarter = datetime.min.replace(tzinfo=UTC)
        until = self.scheduled - (self.scheduled - quarter) % INTERVAL - LEFT_TO_EVENTS
        return until - INTERVAL <= moment < until

    def _hand_over(self, upload: Upload) -> None:
        """Let `promote` settle this upload, as if S3 had sent its event."""
        item = {"key": quote_plus(upload.key), "versionId": upload.version_id}
        bucket = {"name": self.incoming.name}
        self.invoke({"Records": [{"s3": {"bucket": bucket, "object": item}}]})
        self.swept.handed_over += 1


def completion(item: Upload | Stored | DeleteMarker | None) -> datetime:
    """When the version was complete. S3 does not report when a delete marker was added."""
    if not isinstance(item, Upload | Stored):
        return datetime.min.replace(tzinfo=UTC)
    return completed_at(item.last_modified, item.etag)


def completed_at(last_modified: datetime, etag: str) -> datetime:
    """When an object was complete; for a multipart upload S3 shows only when it was initiated.

    Our own multipart copies end within a run. A server's upload can take longer: then only its
    event reports it.
    """
    return last_modified + LONGEST_RUN if "-" in etag else last_modified
