"""Checks the backups themselves: how old the newest is, which uploads wait, what was done to them.

This covers every way of failing in silence: whatever is configured wrongly, it shows here.
"""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import groupby, islice
from typing import Any

import click
from botocore.exceptions import ClientError

from admin.account import none_if
from admin.check.report import Finding, Part, Result, Status
from admin.check.stored_backups import (
    RECENT_SLOTS,
    NameJudge,
    StoredName,
    Summary,
    Version,
    encryption_of,
    judge_age,
    judge_encryption,
    judge_lock,
)
from admin.check.upload_key import UploadKey
from admin.check.waiting_uploads import check_waiting
from admin.setup.locks import read_retention
from admin.target import Target
from chalicelib.s3_errors import error_code


class CustomerKeyError(Exception):
    """A backup is encrypted with a key that S3 does not have, so S3 cannot describe it."""


def check_backups(
    target: Target, upload: str, *, now: datetime, all_backups: bool
) -> Iterator[Part]:
    """The parts about the backups of one rule and server, by their upload key."""
    key = UploadKey(target=target, upload=upload)
    yield Part(
        f"the stored backups of {upload}",
        _unless_missing(check_stored(key, now=now, all_backups=all_backups)),
    )
    yield Part(f"the waiting uploads of {upload}", _unless_missing(check_waiting(key, now=now)))


def check_stored(
    key: UploadKey, *, now: datetime, all_backups: bool
) -> Iterator[Finding | Status | Part]:
    """Check the age of the newest backup, then the versions, locks and encryption of backups."""
    recent = {slot.name: slot for slot in islice(key.slots_before(now), RECENT_SLOTS)}
    summary = Summary(recent=recent)
    judge = NameJudge(key=key, now=now, recent=recent)
    for item in _listed(key):
        yield from judge.findings(item)
        if not item.is_hidden:
            summary.add(item)
    yield from judge_age(key, summary, now=now)
    names = [name for _, name in sorted(summary.stored_last, reverse=True)]
    yield Part(
        f"the locks and the encryption of the stored backups of {key.upload}",
        _check_all_heads(key, summary.count, now=now)
        if all_backups
        else _check_heads(key, names, now=now),
    )


def _listed(key: UploadKey) -> Iterator[StoredName]:
    """Every name of the key's backups in the vault, page by page."""
    pages = key.vault.s3.get_paginator("list_object_versions").paginate(
        **key.vault.args, Prefix=key.prefix
    )
    # Versions and delete markers are two lists of each page; the pages are in the order of names.
    entries = (
        entry
        for page in pages
        for entry in sorted(
            [*page.get("Versions", []), *page.get("DeleteMarkers", [])],
            key=lambda entry: entry["Key"],
        )
    )
    for name, group in groupby(entries, key=lambda entry: entry["Key"]):
        if key.names.fullmatch(name):
            yield _as_name(name, group)


def _as_name(name: str, entries: Iterable[Any]) -> StoredName:
    versions: list[Version] = []
    markers: list[Version] = []
    is_hidden = False
    for entry in entries:
        is_marker = "Size" not in entry
        kind = markers if is_marker else versions
        kind.append(Version(id=entry["VersionId"], made=entry["LastModified"]))
        is_hidden |= is_marker and entry["IsLatest"]
    return StoredName(
        name=name, versions=tuple(versions), markers=tuple(markers), is_hidden=is_hidden
    )


def _check_all_heads(key: UploadKey, count: int, *, now: datetime) -> Iterator[Finding]:
    """Check every backup, with a progress bar: this is a request for each."""
    names = (item.name for item in _listed(key) if not item.is_hidden)
    with click.progressbar(names, length=count, label=key.upload, file=sys.stderr) as progress:
        yield from _check_heads(key, progress, now=now)


def _check_heads(key: UploadKey, names: Iterable[str], *, now: datetime) -> Iterator[Finding]:
    lock = key.target.stage.lock
    for name in names:
        try:
            head = _head(key, name)
        except CustomerKeyError:
            yield from judge_encryption(key, name, "a key that its writer kept (SSE-C)")
            continue
        if head is None:  # it has expired since it was listed
            continue
        # A lock that should have ended by now is not needed any more.
        if lock and lock.promised_end(head["LastModified"]) > now:
            actual = head.get("ObjectLockRetainUntilDate") or _lock_end(key, name)
            yield from judge_lock(key, name, head, lock=lock, actual=actual)
        yield from judge_encryption(key, name, encryption_of(head))


def _head(key: UploadKey, name: str) -> Any:
    """The HEAD of a stored backup; None if it is absent. Raises CustomerKeyError."""
    s3, args = key.vault.s3, {**key.vault.args, "Key": name}
    try:
        return none_if("404", partial(s3.head_object, **args))
    except ClientError as error:
        # This error of a HEAD has no body. Bad credentials cause it, too: a GET tells them apart.
        if error_code(error) == "400":
            first_byte = partial(s3.get_object, **args, Range="bytes=0-0")
            if none_if("InvalidRequest", first_byte) is None:
                raise CustomerKeyError from None
        raise


def _lock_end(key: UploadKey, name: str) -> datetime | None:
    """When the lock ends (None: no lock). HEAD hides it from callers who cannot read locks."""
    retention = read_retention(key.vault.s3, **key.vault.args, Key=name)
    # With an event hold, a lock can have no end yet.
    return retention.get("RetainUntilDate") if retention else None


def _unless_missing(results: Iterator[Result]) -> Iterator[Result]:
    """The results, up to a request to a bucket that does not exist, which is another finding."""
    try:
        yield from results
    except ClientError as error:
        if error_code(error) != "NoSuchBucket":
            raise
