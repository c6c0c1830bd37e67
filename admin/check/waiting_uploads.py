"""Checks how long uploads have waited in incoming for their slots."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from admin.check.report import Finding, Status
from admin.check.upload_key import UploadKey
from admin.periods import age_in_words
from chalicelib.policy.decision import objection
from chalicelib.watching.sweep import LEFT_TO_EVENTS

# The alarm on waiting uploads goes off then, too.
LONGEST_WAIT = timedelta(hours=1)


def check_waiting(key: UploadKey, *, now: datetime) -> Iterator[Finding | Status]:
    """Say how long uploads for free slots have waited; a finding if that is more than an hour.

    An upload that a HEAD alone shows to be unfit for promotion counts as well: a HEAD needs the
    right to read uploads, and incoming's bucket policy denies such uploads.
    """
    is_free: dict[str, bool] = {}
    count, oldest = 0, now
    for page in key.incoming.versions(key.upload):
        for upload in page:
            if now - upload.last_modified < LEFT_TO_EVENTS or objection(
                key.policy, upload, now=now
            ):
                continue
            slot = key.policy.slot_of(key.upload, upload.last_modified)
            if slot.name not in is_free:
                is_free[slot.name] = _is_free(key, slot.name)
            if is_free[slot.name]:
                count += 1
                oldest = min(oldest, upload.last_modified)
    if not count:
        return
    slot = key.policy.slot_of(key.upload, oldest)
    uploads = "1 upload has" if count == 1 else f"{count:,} uploads have"
    waits = f"{uploads} waited in {key.incoming.name} for up to {age_in_words(now - oldest)}"
    yield Status(f"{key.upload}: {waits}")
    if now - oldest > LONGEST_WAIT:
        stage = key.target.stage.name
        yield Finding(
            what=f"{key.upload}: {waits}, the oldest for {slot.name}",
            why="A waiting backup is not safe yet, and is lost when it expires.",
            remedy="if another finding says that a function is not in order, fix that first, and "
            "the sweep will promote them. Otherwise the log says what fails: "
            f".venv/bin/chalice logs --stage {stage} --name promote",
        )


def _is_free(key: UploadKey, name: str) -> bool:
    """Whether the vault has neither a version nor a delete marker of this name."""
    page = key.vault.s3.list_object_versions(**key.vault.args, Prefix=name, MaxKeys=1)
    # The list is sorted: the name itself comes before all others that start with it.
    return not any(
        entry["Key"] == name
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    )
