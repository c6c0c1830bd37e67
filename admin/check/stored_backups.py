"""Judges stored backups by what S3 lists and by a HEAD: their age, versions, locks and keys.

Everything in this module is pure: no AWS, no clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from heapq import heappush, heappushpop
from itertools import islice
from typing import Any

from admin.check.report import Finding, Status
from admin.check.upload_key import UploadKey
from admin.choices import Lock
from admin.periods import age_in_words
from chalicelib.policy.policy import Slot

# How many of the backups that were stored last get a HEAD, unless all of them do.
NEWEST = 14
# How many slots are looked at to find the newest stored backup: 41 days of hours, three years of
# days. If all of them are free, it does not matter which earlier slot was the last.
RECENT_SLOTS = 1000
# S3 expires objects some days late, and removes the last delete marker some days after that.
EXPIRY_DELAY = timedelta(days=14)
# No change of a rule's time zone explains that a backup was stored earlier before its slot.
EARLIEST = timedelta(days=2)
# What S3 calls encryption with its own key.
S3_KEY = "AES256"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version in the vault, or a delete marker. `made` is when, by S3's clock."""

    id: str
    made: datetime


@dataclass(frozen=True, kw_only=True)
class StoredName:
    """A name in the vault with its versions and delete markers, each from newest to oldest.

    `is_hidden`: the latest of them is a delete marker, so the name seems to be absent.
    """

    name: str
    versions: tuple[Version, ...]
    markers: tuple[Version, ...]
    is_hidden: bool


@dataclass(kw_only=True)
class Summary:
    """What a listing of all names of a key shows, in memory that does not grow with it.

    The newest backup is found by its slot. Names need not sort by time (a pattern can write the day
    before the year), so the listing's order is not used: the names of the recent slots are computed
    from the policy, and each listed name is looked up among them. A name of a slot that has not
    begun yet is none of them.
    """

    recent: dict[str, Slot]
    count: int = 0
    newest: Slot | None = None
    last_stored: datetime | None = None
    stored_last: list[tuple[datetime, str]] = field(default_factory=list)

    def add(self, item: StoredName) -> None:
        """Count a name that holds a backup."""
        self.count += 1
        made = item.versions[0].made
        self.last_stored = max(made, self.last_stored or made)
        put = heappush if len(self.stored_last) < NEWEST else heappushpop
        put(self.stored_last, (made, item.name))
        slot = self.recent.get(item.name)
        if slot and (self.newest is None or slot.start > self.newest.start):
            self.newest = slot


def judge_age(key: UploadKey, summary: Summary, *, now: datetime) -> Iterator[Finding | Status]:
    """Say when the newest backup is from; a finding if it is older than two of its periods."""
    if summary.last_stored is None:
        yield Status(f"{key.upload}: no backup yet")
        return
    # Not a number of hours: months differ, and so do days on which clocks change.
    _, previous = islice(key.slots_before(now), 2)
    newest, unit = summary.newest, previous.rule.store_as.unit
    if newest is None:
        state = f"none from the last {len(summary.recent):,} {unit}s (the last one was stored on "
        state += f"{summary.last_stored:%Y-%m-%d})"
    else:
        state = f"the newest is {newest.name}, from {newest.start:%Y-%m-%d %H:%M} UTC "
        state += f"({age_in_words(now - newest.start)} ago)"
    yield Status(f"{key.upload}: {summary.count:,} stored, {state}")
    if newest is None or newest.start < previous.start:
        yield Finding(
            what=f"{key.upload} has no stored backup from the last two {unit}s: {state}",
            why="No alarm reports that a server has stopped uploading.",
            remedy="see whether the server's cron job still runs, and what it prints (`backups "
            "credentials` printed the job); if its uploads wait in incoming, that is another "
            "finding",
        )


@dataclass(frozen=True, kw_only=True)
class NameJudge:
    """Judges what a listing shows of a name: a filled slot has one version and nothing else.

    `recent` has the recent slots by their names, from the newest on.
    """

    key: UploadKey
    now: datetime
    recent: dict[str, Slot]

    def findings(self, item: StoredName) -> Iterator[Finding]:
        if item.markers and not self._expired(item):
            yield Finding(
                what=f"A delete marker lies on {item.name}",
                why="Nobody has the right to delete a backup: somebody got around the vault's "
                "protection.",
                remedy=f"find out who put it there. {self._download(item)}",
            )
        if len(item.versions) > 1:
            yield Finding(
                what=f"{item.name} has {len(item.versions)} versions",
                why="A slot is filled only once: somebody has overwritten the backup.",
                remedy=f"find out who stored the later versions. {self._download(item)}",
            )

        if slot := self._slot_begun_later(item):
            early = age_in_words(slot.start - item.versions[-1].made)
            yield Finding(
                what=f"{item.name} was stored {early} before its slot begins",
                why="No upload has such a name before its time: somebody had the rights of the "
                "promoter. The real backup of this slot will be contested.",
                remedy="find out who stored it, and keep the real backup in another place: a slot "
                "is filled only once",
            )

    def _slot_begun_later(self, item: StoredName) -> Slot | None:
        """The slot of a backup that was stored long before it began."""
        if not item.versions:
            return None
        made, slot = item.versions[-1].made, self.recent.get(item.name)
        if slot is None and made > self._begin_of_recent:  # else the slot is long past, very likely
            slot = self._coming.get(item.name)
        return slot if slot and slot.start - made > EARLIEST else None

    @cached_property
    def _begin_of_recent(self) -> datetime:
        return min(slot.start for slot in self.recent.values())

    @cached_property
    def _coming(self) -> dict[str, Slot]:
        """The slots to come, by their names."""
        slots = islice(self.key.slots_after(self.now), RECENT_SLOTS)
        return {slot.name: slot for slot in slots}

    def _download(self, item: StoredName) -> str:
        """How to read the version that was promoted: the first."""
        if not item.versions:
            return "No version of the backup is left"
        target, first = self.key.target, item.versions[-1].id
        command = target.fix_aws(
            "s3api", "get-object", bucket=target.vault, key=item.name, version_id=first
        )
        return f"Download the first version: {command} backup"

    def _expired(self, item: StoredName) -> bool:
        """Whether S3 put the delete marker there, because of keep_days in the policy."""
        days = self.key.policy.keep_days
        if days is None:
            return False
        if item.versions:
            newest = item.versions[0].made
            return all(marker.made - newest >= timedelta(days=days) for marker in item.markers)
        return item.name in self._expired_names

    @cached_property
    def _expired_names(self) -> frozenset[str]:
        """The names of slots whose backups expired lately: only their markers are left."""
        policy = self.key.policy
        until = self.now - timedelta(days=policy.keep_days or 0)
        since = until - policy.accept_within - EXPIRY_DELAY
        names = []
        for slot in self.key.slots_before(until):
            if slot.end < since:
                break
            names.append(slot.name)
        return frozenset(names)


def judge_lock(
    key: UploadKey, name: str, head: dict[str, Any], *, lock: Lock, actual: datetime | None
) -> Iterator[Finding]:
    """A finding if a backup's lock ends before `lock` promises (None: it has no lock)."""
    stored = head["LastModified"]
    if lock.is_kept(stored=stored, until=actual):
        return
    promised = lock.promised_end(stored)
    state = f"locked until {actual:%Y-%m-%d %H:%M}" if actual else "not locked"
    yield Finding(
        what=f"{name} is {state}, but should be locked until {promised:%Y-%m-%d %H:%M} UTC",
        why="Without its lock, only the vault's bucket policy protects a backup.",
        remedy=key.target.fix_setup("--lock-existing"),
    )


def judge_encryption(key: UploadKey, name: str, encryption: str) -> Iterator[Finding]:
    """A finding if a backup is encrypted with anything but S3's own key."""
    if encryption != S3_KEY:
        target = key.target
        download = target.fix_aws("s3api", "get-object", bucket=target.vault, key=name)
        yield Finding(
            what=f"{name} is encrypted with {encryption}, not with S3's own key ({S3_KEY})",
            why="Whoever controls that key can make the backup unreadable.",
            remedy="find out who stored it, and copy it while the key still works: "
            f"{download} backup",
        )


def encryption_of(head: dict[str, Any]) -> str:
    """The algorithm, and the key if it is not S3's own."""
    return " ".join(
        [head.get("ServerSideEncryption", "nothing"), head.get("SSEKMSKeyId", "")]
    ).strip()
