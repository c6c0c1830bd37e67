"""Checks how long uploads have waited in incoming for their slots."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from itertools import chain

from admin.check.report import Finding, Status
from admin.target import Target
from chalicelib.ages import age_in_words
from chalicelib.policy.decision import objection
from chalicelib.watching.audit import Auditor
from chalicelib.watching.sweep import LEFT_TO_EVENTS

# The alarm on waiting uploads goes off then, too.
LONGEST_WAIT = timedelta(hours=1)


def check_waiting(
    target: Target, auditor: Auditor, upload_key: str, *, now: datetime
) -> Iterator[Finding | Status]:
    """Say how long uploads for free slots have waited; a finding if that is more than an hour.

    An upload that a HEAD alone shows to be unfit for promotion counts as well: a HEAD needs the
    right to read uploads, and incoming's bucket policy denies such uploads.
    """
    policy, incoming, head = auditor.policy, auditor.incoming, cache(auditor.vault.head)
    count, oldest = 0, now
    for upload in chain.from_iterable(incoming.versions(upload_key)):
        if now - upload.last_modified < LEFT_TO_EVENTS or objection(policy, upload, now=now):
            continue
        if head(policy.slot_of(upload_key, upload.last_modified).name) is None:
            count += 1
            oldest = min(oldest, upload.last_modified)
    if not count:
        return
    slot = policy.slot_of(upload_key, oldest)
    uploads = "1 upload has" if count == 1 else f"{count:,} uploads have"
    waits = f"{uploads} waited in {incoming.name} for up to {age_in_words(now - oldest)}"
    yield Status(f"{upload_key}: {waits}")
    if now - oldest > LONGEST_WAIT:
        stage = target.stage.name
        yield Finding(
            what=f"{upload_key}: {waits}, the oldest for {slot.name}",
            why="A waiting backup is not safe yet, and is lost when it expires.",
            remedy="if another finding says that a function is not in order, fix that first, and "
            "the sweep will promote them. Otherwise the log says what fails: "
            f".venv/bin/chalice logs --stage {stage} --name promote",
        )
