"""Checks how long uploads have waited in incoming for their slots."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain, islice

from admin.check.report import Finding, Status
from admin.target import Target
from chalicelib.ages import age_in_words
from chalicelib.policy.decision import objection
from chalicelib.watching.audit import Auditor
from chalicelib.watching.sweep import LEFT_TO_EVENTS

# The alarm on waiting uploads goes off then, too.
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How many uploads of a key wait for their slots, and when the oldest one was uploaded."""

    count: int
    oldest: datetime

    def in_words(self, incoming: str, *, now: datetime) -> str:
        """How long they have waited in the bucket `incoming`."""
        uploads = "1 upload has" if self.count == 1 else f"{self.count:,} uploads have"
        return f"{uploads} waited in {incoming} for up to {age_in_words(now - self.oldest)}"

    def is_too_long(self, now: datetime) -> bool:
        """Whether the alarm goes off, too."""
        return now - self.oldest > LONGEST_WAIT


def waiting_uploads(
    auditor: Auditor, upload_key: str, *, now: datetime, most_pages: int | None = None
) -> Waiting | None:
    """The waiting uploads for free slots, if there are any.

    With `most_pages`, only so many pages of the newest uploads are listed. An upload counts even if
    a HEAD would show that it can never be promoted: a HEAD needs the right to read uploads, and
    incoming's bucket policy denies such uploads.
    """
    policy, incoming, head = auditor.policy, auditor.incoming, cache(auditor.vault.head)
    count, oldest = 0, now
    for upload in chain.from_iterable(islice(incoming.versions(upload_key), most_pages)):
        if now - upload.last_modified < LEFT_TO_EVENTS or objection(policy, upload, now=now):
            continue
        if head(policy.slot_of(upload_key, upload.last_modified).name) is None:
            count += 1
            oldest = min(oldest, upload.last_modified)
    return Waiting(count=count, oldest=oldest) if count else None


def check_waiting(
    target: Target, auditor: Auditor, upload_key: str, *, now: datetime
) -> Iterator[Finding | Status]:
    """Report how long uploads for free slots have waited; more than an hour is a finding."""
    waiting = waiting_uploads(auditor, upload_key, now=now)
    if waiting is None:
        return
    slot = auditor.policy.slot_of(upload_key, waiting.oldest)
    waits = waiting.in_words(auditor.incoming.name, now=now)
    yield Status(f"{upload_key}: {waits}")
    if waiting.is_too_long(now):
        stage = target.stage.name
        yield Finding(
            what=f"{upload_key}: {waits}, the oldest for {slot.name}",
            why="A waiting backup is not safe yet, and is lost when it expires.",
            remedy="if another finding reports a problem with a function, fix that first, and "
            "the sweep will promote them. Otherwise the log says what fails: "
            f".venv/bin/chalice logs --stage {stage} --name promote",
        )
