"""The file to which a backup is restored. It gets its name only when it is complete and verified.

    2026-11-20.tar.gz.gpg.3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY-MTRCxf3vjVBH40.partial

Until then its name contains the name and the version of the stored backup, so that the same command
can continue it, but never with the bytes of another version.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from admin.exit_status import Refused
from admin.restore.stored import NULL, StoredVersion

_ENDING = ".partial"
# The longest name that file systems accept, in bytes.
_LONGEST_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Begun:
    """An incomplete restore: the name of the stored backup and its `identity`."""

    path: Path
    name: str
    identity: str

    @property
    def version_id(self) -> str:
        """The version ID."""
        return NULL if self.identity.startswith(NULL) else self.identity


@dataclass(frozen=True, kw_only=True)
class Partial:
    """The incomplete file at `path`, which becomes `final`.

    Its bytes are always the first bytes of one version, in order.
    """

    path: Path
    final: Path

    @property
    def size(self) -> int:
        """How many bytes an earlier restore has written."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, piece: int) -> Iterator[memoryview]:
        """The bytes that an earlier restore has written."""
        with self.path.open("rb") as file:
            while chunk := file.read(piece):
                yield memoryview(chunk)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file for appending. Raises Refused while another restore is writing it."""
        with self.path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another restore can have completed the file before it was locked.
                is_same = os.path.samestat(os.fstat(file.fileno()), self.path.stat())
            except (BlockingIOError, FileNotFoundError):
                is_same = False
            if not is_same:
                raise Refused(f"Another restore is writing {self.path}; wait until it ends")
            yield file

    def keep(self, *, force: bool) -> None:
        """Give the complete file its name. Raises Refused if such a file exists, unless `force`."""
        if force:
            self.path.replace(self.final)
            return
        try:
            # Unlike a rename, this fails if another file has got the name meanwhile.
            os.link(self.path, self.final)
        except FileExistsError:
            raise Refused(f"{_exists(self.final)}. The backup is in {self.path}.") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self.path.rename(self.final)
        else:
            self.path.unlink()


# File systems without hard links, such as FAT.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def identity_of(version: StoredVersion) -> str:
    """What identifies the bytes of a version forever."""
    return f"{NULL}-{version.etag}" if version.version_id == NULL else version.version_id


def partial_of(version: StoredVersion, output: Path | None) -> Partial:
    """The file for a version; None: named like the stored backup, in the current directory."""
    version_id = quote(identity_of(version), safe="").replace(".", "%2E")
    name = f"{_prefix(output)}{quote(version.name, safe='')}.{version_id}{_ENDING}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest() + _ENDING
    final = output or Path(version.name.rpartition("/")[2])
    return Partial(path=final.with_name(name), final=final)


def begun(output: Path | None) -> Iterator[Begun]:
    """The incomplete restores to the file `output` (None: named like the stored backup)."""
    folder = output.parent if output else Path()
    for path in sorted(folder.glob(f"*{_ENDING}")):
        words = path.name.removesuffix(_ENDING)
        name, _, identity = words.removeprefix(_prefix(output)).rpartition(".")
        if words.startswith(_prefix(output)):
            yield Begun(path=path, name=unquote(name), identity=unquote(identity))


def _prefix(output: Path | None) -> str:
    """With -o, the name of the partial file also contains the name of the file."""
    return f"{output.name}." if output else ""


def refuse_file(final: Path, *, force: bool) -> None:
    """Raise Refused for a name that cannot become the restored file."""
    folder = final.parent
    if len(os.fsencode(final.name)) > _LONGEST_NAME:
        raise Refused(f"{final} is too long for the name of a file; choose another one with -o")
    if not folder.is_dir():
        raise Refused(f"There is no directory {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"You cannot write into the directory {folder}; choose a file with -o")
    if final.exists() and not final.is_file():
        raise Refused(f"{final} is not a regular file; choose another one with -o")
    if os.path.lexists(final) and not force:
        raise Refused(_exists(final))


def refuse_full_disk(partial: Partial, size: int) -> None:
    """Raise Refused if the rest of the file, of `size` bytes in all, does not fit on its disk."""
    folder = partial.final.parent
    free = shutil.disk_usage(folder).free
    needed = size - partial.size
    if needed > free:
        raise Refused(
            f"The disk of {folder.resolve()} has {free:,} bytes free, but the backup needs "
            f"{needed:,} more; free some, or choose a file on another disk with -o"
        )


def _exists(final: Path) -> str:
    return f"{final} exists; choose another file with -o, or overwrite it with --force"
