"""Unpacks a stored backup without keeping it, and reports what is in it."""

import subprocess
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.next_step import endings_of
from admin.restore.ranges import MIB, Tuning
from admin.restore.stored import Retrieval, StoredVersion
from admin.verify.pipeline import Pipeline, Program, piped

GPG = ("gpg", "--batch", "--quiet", "--status-fd", "2", "--decrypt")
TAR = ("tar", "-t", "-f", "-")
# An archive ends with two empty blocks.
ARCHIVE_END = bytes(2 * 512)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a backup contains after decryption and decompression.

    For anything but a tar archive, `files` is 1 and `newest` is None.
    """

    name: str
    files: int
    bytes: int
    newest: datetime | None = None

    def __str__(self) -> str:
        """A sentence for the user."""
        files = f"{self.files:,} file" + "s" * (self.files != 1)
        newest = ""
        if self.newest:
            newest = f"; the newest file is from {self.newest:%Y-%m-%d %H:%M} UTC"
        return f"{self.name} can be unpacked: {files}, {self.bytes:,} bytes{newest}"


def unpack(version: StoredVersion, tuning: Tuning) -> Contents:
    """Decrypt and unpack all of it. Raises NotRestoredError if it is damaged.

    Raises NotFoundOutError if it cannot be read or decrypted here.
    """
    if version.retrieval is not Retrieval.READABLE:
        raise NotFoundOutError(
            f"{version.name} is archived in {version.storage_class}; `backups restore` retrieves it"
        )
    endings = endings_of(version.name)
    commands: list[tuple[str, ...]] = [GPG] if endings.is_encrypted else []
    if endings.reader:
        commands.append((endings.reader,))
    if not version.checksum and not commands:
        raise NotFoundOutError(
            f"{version.name} has no checksum to verify: neither from S3, nor as an encrypted or "
            "compressed file"
        )
    with piped(version, tuning, commands or [("cat",)]) as pipeline:
        if endings.is_archive:
            return _archive(pipeline)
        size = 0
        while piece := pipeline.output.read(MIB):
            size += len(piece)
        pipeline.end()
    return Contents(name=version.name, files=1, bytes=size)


def _archive(pipeline: Pipeline) -> Contents:
    name, failure = pipeline.version.name, None
    files = size = newest = 0
    tar = Program(TAR, source=subprocess.PIPE, sink=subprocess.DEVNULL)
    pipeline.programs.append(tar)
    tee: Any = _Tee(pipeline.output, tar)
    archive: Any
    try:
        with tarfile.open(fileobj=tee, mode="r|", bufsize=MIB) as archive:
            while member := archive.next():
                # tarfile would keep all members in memory.
                archive.members.clear()
                if member.isreg():
                    files, size = files + 1, size + member.size
                    newest = max(newest, int(member.mtime))
    except tarfile.TarError as error:
        failure = str(error)
    while tee.read(MIB):
        pass
    tee.close()
    pipeline.end()
    if failure or tee.tail != ARCHIVE_END:
        why = failure or "its end is missing"
        raise NotRestoredError(f"{name} cannot be unpacked: the tar archive is cut off ({why})")
    latest = datetime.fromtimestamp(newest, UTC) if files else None
    return Contents(name=name, files=files, bytes=size, newest=latest)


class _Tee:
    """Reads from a pipe, and passes the same bytes on to tar."""

    def __init__(self, source: IO[bytes], tar: Program) -> None:
        self._source, self._sink = source, tar.input
        self.tail = b""

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.tail = (self.tail + data)[-len(ARCHIVE_END) :]
        try:
            if self._sink:
                self._sink.write(data)
        except BrokenPipeError:
            # tar need not read past the archive's end; otherwise its exit status explains why.
            self._sink = None
        return data

    def close(self) -> None:
        """Let tar end."""
        if self._sink:
            with suppress(BrokenPipeError):
                self._sink.close()
