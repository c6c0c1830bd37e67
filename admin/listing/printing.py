"""Prints the stored backups while they are read, as a table or as JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from admin.listing.details import Details
from admin.listing.rows import Missing, Row
from admin.stored.heads import S3_KEY
from chalicelib.policy.policy import Policy
from chalicelib.watching.slots import Backup

Detailed = tuple[Row, Details | None]


class Table:
    """Prints a table for each upload key."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._is_empty = False

    def begin(self, key: str) -> None:
        """Begin with another upload key."""
        rule, _ = self._policy.server_keys[key]
        click.echo(f"{key} (times in {rule.timezone.key})")
        self._is_empty = True

    def rows(self, _key: str, rows: Sequence[Detailed]) -> None:
        """Print some rows of the key."""
        self._is_empty = False
        click.echo("\n".join(_line(row, details) for row, details in rows))

    def not_checked(self, _key: str, why: str) -> None:
        """Print that the rest of the key cannot be read."""
        self._is_empty = False
        click.echo(f"  not checked: {why}")

    def end_key(self) -> None:
        """End the table of a key."""
        if self._is_empty:
            click.echo("  no backup in this time")

    def end(self) -> None:
        """End the output."""


def _line(row: Row, details: Details | None) -> str:
    if isinstance(row, Missing):
        span = row.first.name if row.number == 1 else f"{row.first.name} to {row.last.name}"
        return f"  {span}  missing"
    backup = row.backup
    stored = backup.begun.astimezone(row.slot.rule.timezone)
    size = "-" if backup.size is None else f"{backup.size:,}"
    words = [f"  {backup.name}  {size:>15}  {stored:%Y-%m-%d %H:%M}"]
    if backup.size is not None:
        words.append(backup.storage_class)
    return "  ".join([*words, *_in_words(details), *_marks(backup)])


def _marks(backup: Backup) -> Iterator[str]:
    """What is wrong with a stored backup."""
    if backup.size is None:
        yield "DELETED: only a delete marker is left"
    elif backup.hidden:
        yield f"DELETED on {backup.hidden:%Y-%m-%d}: it is under a delete marker"
    if backup.versions > 1:
        yield f"OVERWRITTEN: {backup.versions} versions, this is the first"


def _in_words(details: Details | None) -> Iterator[str]:
    if details is None:
        return
    lock = f"locked until {details.locked_until:%Y-%m-%d}" if details.locked_until else "not locked"
    yield "lock not checked" if "lock" in details.not_checked else lock
    checksum = str(details.checksum) if details.checksum else "no checksum"
    yield "checksum not checked" if "checksum" in details.not_checked else checksum
    if details.encryption not in {None, S3_KEY}:
        yield f"ENCRYPTED with {details.encryption}"


class JsonList:
    """Prints one JSON list of backups and gaps."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._separator = "[\n"

    def begin(self, key: str) -> None:
        """Each entry contains its key."""

    def rows(self, key: str, rows: Sequence[Detailed]) -> None:
        """Print some rows of the key."""
        self._print(key, (_entry(row, details) for row, details in rows))

    def not_checked(self, key: str, why: str) -> None:
        """Print that the rest of the key cannot be read."""
        self._print(key, [{"kind": "not checked", "why": why}])

    def end_key(self) -> None:
        """A key without a backup has no entry."""

    def end(self) -> None:
        """End the list."""
        click.echo("[]" if self._separator.startswith("[") else "\n]")

    def _print(self, key: str, entries: Iterable[dict[str, Any]]) -> None:
        rule, server = self._policy.server_keys[key]
        of = {"upload": key, "rule": rule.upload, "server": server}
        lines = ",\n".join(json.dumps(of | entry) for entry in entries)
        click.echo(self._separator + lines, nl=False)
        self._separator = ",\n"


def _entry(row: Row, details: Details | None) -> dict[str, Any]:
    if isinstance(row, Missing):
        span = {"first": row.first.name, "last": row.last.name, "slots": row.number}
        return {"kind": "missing", **span}
    backup = row.backup
    entry: dict[str, Any] = {
        "kind": "backup",
        "slot": backup.name,
        "stored": backup.begun.isoformat(),
        "size": backup.size,
        "storage_class": backup.storage_class if backup.size is not None else None,
        "version_id": backup.version_id,
        "versions": backup.versions,
        "overwritten": _iso(backup.overwritten),
        "deleted": _iso(backup.hidden),
    }
    if details:
        entry |= {
            "checksum": details.checksum and str(details.checksum),
            "locked_until": _iso(details.locked_until),
            "encryption": details.encryption,
            "not_checked": details.not_checked,
        }
    return entry


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
