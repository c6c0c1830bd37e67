"""Judges when a backup was stored, its lock and its encryption. Pure: no AWS, no clock."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from admin.check.report import Finding
from admin.stored.heads import S3_KEY
from admin.target import Target
from chalicelib.ages import age_in_words
from chalicelib.lock import Lock
from chalicelib.policy.policy import Slot
from chalicelib.watching.slots import Backup

# No change of a rule's time zone explains a backup that was stored this long before its slot.
EARLIEST = timedelta(days=2)


def judge_time(backup: Backup, slot: Slot) -> Iterator[Finding]:
    """A finding if a backup was stored long before its slot began."""
    if slot.start - backup.begun > EARLIEST:
        early = age_in_words(slot.start - backup.begun)
        yield Finding(
            what=f"{backup.name} was stored {early} before its slot begins",
            why="No upload gets this name before then: somebody had the rights of the "
            "promoter. The real backup of this slot will be contested.",
            remedy="find out who stored it, and keep the real backup in another place: a slot "
            "is filled only once",
        )


def judge_lock(
    target: Target, name: str, head: dict[str, Any], *, lock: Lock, actual: datetime | None
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
        remedy=target.fix_setup("--lock-existing"),
    )


def judge_encryption(target: Target, name: str, encryption: str) -> Iterator[Finding]:
    """A finding if a backup is encrypted with anything but S3's own key."""
    if encryption != S3_KEY:
        download = target.fix_aws("s3api", "get-object", bucket=target.vault, key=name)
        yield Finding(
            what=f"{name} is encrypted with {encryption}, not with S3's own key ({S3_KEY})",
            why="Whoever controls that key can make the backup unreadable.",
            remedy="find out who stored it, and copy it while the key still works: "
            f"{download} backup",
        )
