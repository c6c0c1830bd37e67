"""Prints what is stored, as a table or as JSON, while it is read."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from admin.listing.details import Details
from admin.listing.rows import Row
from chalicelib.policy.policy import Policy
from chalicelib.watching.slots import Backup


def marks_of(backup: Backup) -> list[str]:
    """What is wrong with a stored backup, in words."""
    marks = []
    if backup.size is None:
        marks.append("removed: only a delete marker is left")
    elif backup.hidden:
        marks.append(f"deleted {backup.hidden:%Y-%m-%d}: it lies under a delete marker")
    if backup.versions > 1:
        marks.append(f"overwritten: {backup.versions} versions, this is the first")
    return marks


class Table:
    """Prints a table for each upload key."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._is_empty = False

    def begin(self, key: str) -> None:
        self._note_empty()
        rule, _ = self._policy.server_keys[key]
        click.echo(f"{key} (times in {rule.timezone.key})")
        self._is_empty = True

    def row(self, _key: str, row: Row, details: Details | None) -> None:
        self._is_empty = False
        first, last = row.slots[0], row.slots[-1]
        if row.backup is None:
            span = f"{first.name} to {last.name}" if first is not last else first.name
            click.echo(f"  missing: {span}")
            return
        backup = row.backup
        stored = backup.begun.astimezone(first.rule.timezone)
        size = "-" if backup.size is None else f"{backup.size:,}"
        words = [f"  {backup.name}  {size:>15}  {stored:%Y-%m-%d %H:%M}  {backup.storage_class}"]
        click.echo("  ".join([*words, *_in_words(details), *marks_of(backup)]))

    def end(self) -> None:
        self._note_empty()

    def _note_empty(self) -> None:
        if self._is_empty:
            click.echo("  no backup in this time")


def _in_words(details: Details | None) -> Iterator[str]:
    if details is None:
        return
    lock = f"locked until {details.locked_until:%Y-%m-%d}" if details.locked_until else "not locked"
    yield "lock not checked" if "lock" in details.denied else lock
    checksum = str(details.checksum) if details.checksum else "no checksum"
    yield "checksum not checked" if "checksum" in details.denied else checksum


class JsonList:
    """Prints one JSON list of backups and gaps, while they are read."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._separator = "[\n"

    def begin(self, key: str) -> None:
        """An entry names its key."""

    def row(self, key: str, row: Row, details: Details | None) -> None:
        click.echo(self._separator + json.dumps(self._entry(key, row, details)), nl=False)
        self._separator = ",\n"

    def end(self) -> None:
        click.echo("[]" if self._separator.startswith("[") else "\n]")

    def _entry(self, key: str, row: Row, details: Details | None) -> dict[str, Any]:
        rule, server = self._policy.server_keys[key]
        of = {"upload": key, "rule": rule.upload, "server": server}
        if (backup := row.backup) is None:
            return {**of, "missing": [slot.name for slot in row.slots]}
        entry: dict[str, Any] = {
            **of,
            "slot": backup.name,
            "stored": backup.begun.isoformat(),
            "size": backup.size,
            "storage_class": backup.storage_class,
            "version_id": backup.version_id,
            "versions": backup.versions,
            "overwritten": _iso(backup.overwritten),
            "deleted": _iso(backup.hidden),
        }
        if details:
            entry |= {
                "checksum": details.checksum and str(details.checksum),
                "locked_until": _iso(details.locked_until),
                "not_checked": list(details.denied),
            }
        return entry


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
