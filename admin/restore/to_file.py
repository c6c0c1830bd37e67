"""Restores a version to a file, which gets its name only if its bytes are right."""

import os
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

import click

from admin.restore.checksums import RunningChecksum
from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.next_step import next_step
from admin.restore.partial import Partial
from admin.restore.progress import progress
from admin.restore.ranges import Tuning, chunks
from admin.restore.stored import StoredVersion


def to_file(
    version: StoredVersion, partial: Partial, tuning: Tuning, *, force: bool, unverified: bool
) -> None:
    """Complete the file, verify it, and print its name.

    Raises NotRestoredError if the bytes are wrong, NotFoundOutError if they cannot be verified.
    """
    with partial.opened() as file:
        checksum = RunningChecksum(version.checksum) if version.checksum else None
        _complete(version, partial, file, checksum, tuning)
        if partial.size != version.size or (checksum and not checksum.matches()):
            partial.path.unlink()
            raise NotRestoredError(
                f"What was downloaded is not {version.name}: its size or checksum is wrong, and "
                "it was removed. Run the same command again. If that ends in the same way, the "
                "stored backup is damaged."
            )
        if not checksum and not unverified:
            raise NotFoundOutError(
                f"Size only: {size_only(version)} It stays in {partial.path}; the same command "
                f"with --unverified names it {partial.final}."
            )
        partial.keep(force=force)
    click.echo(partial.final)
    if version.checksum:
        click.echo(f"Size and checksum ({version.checksum}) are right.", err=True)
    if command := next_step(str(partial.final)):
        click.echo(f"To unpack it:\n\n  {command}\n", err=True)
    if not checksum:
        raise NotFoundOutError(f"Size only: {size_only(version)}")


def size_only(version: StoredVersion) -> str:
    """The sentence that explains why the bytes are not verified."""
    return f"S3 has no checksum over all of {version.name}, so its bytes are not verified."


def _complete(
    version: StoredVersion,
    partial: Partial,
    file: BinaryIO,
    checksum: RunningChecksum | None,
    tuning: Tuning,
) -> None:
    """Append what is missing. The bytes that are already there are read again for the checksum."""
    there = partial.size
    if there > version.size:
        return
    with progress(version.size) as advance:
        for is_new, chunk in _bytes(version, partial, there, tuning):
            if is_new:
                file.write(chunk)
            if checksum:
                checksum.update(chunk)
            advance(len(chunk))
    file.flush()
    os.fsync(file.fileno())


def _bytes(
    version: StoredVersion, partial: Partial, there: int, tuning: Tuning
) -> Iterator[tuple[bool, memoryview]]:
    """All bytes of the version, each chunk with whether it has to be written."""
    for chunk in partial.read(tuning.range):
        yield False, chunk
    with closing(chunks(version, tuning, first=there)) as rest:
        for chunk in rest:
            yield True, chunk
