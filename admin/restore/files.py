"""The file that a backup is restored to. It gets its name only when it is complete and verified.

    2026-11-20.tar.gz.gpg.3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY-MTRCxf3vjVBH40.partial

Until then the name of the stored backup and its version are in the file's name, so that the same
command can continue it, and never with the bytes of another version.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from admin.exit_status import Refused
from admin.restore.ranges import RANGE

_ENDING = ".partial"


@dataclass(frozen=True, kw_only=True)
class Partial:
    """The incomplete file of one stored version, which becomes `final`."""

    final: Path
    name: str
    version_id: str | None

    @property
    def path(self) -> Path:
        """Where its bytes are until it is complete."""
        words = (quote(self.name, safe=""), quote(self.version_id or "null", safe=""))
        return self.final.with_name(".".join(words) + _ENDING)

    @property
    def size(self) -> int:
        """How many bytes an earlier try has written: they are the first ones, in order."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self) -> Iterator[bytes]:
        """What an earlier try has written."""
        if self.path.exists():
            with self.path.open("rb") as file:
                while chunk := file.read(RANGE):
                    yield chunk

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """Open it to write behind what is there; what was written is then on the disk.

        Raises Refused if another restore is writing it.
        """
        with self.path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"Another restore is writing {self.path}; wait for its end") from None
            yield file
            file.flush()
            os.fsync(file.fileno())

    def keep(self, *, force: bool) -> None:
        """Give the complete file its name. Raises Refused if a file has it, unless `force`."""
        if force:
            self.path.replace(self.final)
            return
        try:
            # Unlike a rename, this fails if another file has taken the name meanwhile.
            os.link(self.path, self.final)
        except FileExistsError:
            raise Refused(_exists(self.final, f"; the backup is in {self.path}")) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self.path.rename(self.final)
        else:
            self.path.unlink()

    def remove(self) -> None:
        """Remove it: its bytes are wrong."""
        self.path.unlink()


# File systems without hard links, such as FAT.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def refuse_file(final: Path, *, force: bool) -> None:
    """Raise Refused for a name that cannot become the restored file."""
    if not final.parent.is_dir():
        raise Refused(f"There is no directory {final.parent}; create it first")
    if final.is_dir():
        raise Refused(f"{final} is a directory; name a file in it with -o")
    if final.exists() and not force:
        raise Refused(_exists(final))


def _exists(final: Path, more: str = "") -> str:
    return f"{final} exists; name another file with -o, or overwrite it with --force{more}"


def refuse_full_disk(partial: Partial, size: int) -> None:
    """Raise Refused if the rest of the file does not fit onto its disk."""
    free = shutil.disk_usage(partial.final.parent).free
    if (needed := size - partial.size) > free:
        raise Refused(
            f"The disk of {partial.final.parent.resolve()} has {free:,} bytes free, but the backup "
            f"needs {needed:,} more; free some, or name a file on another disk with -o"
        )


def partials_in(directory: Path) -> Iterator[tuple[str, str]]:
    """The stored names and versions whose restores into this directory are incomplete."""
    for path in sorted(directory.glob(f"*{_ENDING}")):
        name, _, version_id = path.name.removesuffix(_ENDING).rpartition(".")
        if name:
            yield unquote(name), unquote(version_id)
