"""Judges whether a stored backup can come from an upload with its name. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from admin.check.report import Finding
from chalicelib.policy.policy import Policy

# S3 writes both times by its own clock, to the second.
TOLERANCE = timedelta(minutes=1)
# Clocks of two time zones are up to 26 hours apart, in quarters of an hour.
QUARTER, MOST_QUARTERS = timedelta(minutes=15), 4 * 26


def judge_source(policy: Policy, key: str, name: str, head: Any) -> Iterator[Finding]:
    """A finding if the source that a backup names contradicts its own name."""
    source, text = (head["Metadata"].get(each) for each in ("source-key", "source-last-modified"))
    moment = _moment(text)
    if source is None or moment is None:
        yield Finding(
            what=f"{name} does not say which upload it was copied from",
            why="The promoter records this for each backup, so something else stored this one.",
            remedy="find out who stored it; restore and inspect it before you rely on it",
        )
        return
    if source != key:
        yield Finding(
            what=f"{name} was copied from the upload {source}, but should be from {key}",
            why="Under a wrong name, a backup is not the one that a restore expects.",
            remedy="if the rule's upload had another key before, this is harmless; otherwise "
            "find out who stored it",
        )
    if moment > head["LastModified"] + TOLERANCE:
        yield Finding(
            what=f"{name} was stored {_at(head['LastModified'])}, but names an upload of "
            f"{_at(moment)} as its source",
            why="No backup is stored before it is uploaded: somebody had the rights of the "
            "promoter.",
            remedy="find out who stored it, and keep the real backup of this slot somewhere else",
        )
    if not _could_have(policy, key, name, moment):
        yield Finding(
            what=f"{name} was copied from an upload of {_at(moment)}, which belongs in "
            f"{policy.slot_of(key, moment).name}",
            why="Under a wrong name, a backup is not the one that a restore expects.",
            remedy="restore it and check how old its files are; find out who stored it",
        )


def _could_have(policy: Policy, key: str, name: str, moment: datetime) -> bool:
    """Whether an upload at this moment gets the name, in the rule's time zone or an earlier one."""
    return policy.slot_of(key, moment).name == name or any(
        policy.slot_of(key, moment + quarters * QUARTER).name == name
        for quarters in range(-MOST_QUARTERS, MOST_QUARTERS + 1)
    )


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
