"""Restores a version to stdout, in order."""

import fcntl
import os
import sys
from contextlib import closing, nullcontext, suppress

import click

from admin.restore.checksums import RunningChecksum
from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.progress import progress
from admin.restore.ranges import MIB, Tuning, chunks
from admin.restore.stored import StoredVersion
from admin.restore.to_file import size_only


def to_stdout(
    version: StoredVersion, tuning: Tuning, *, verify_first: bool, unverified: bool
) -> None:
    """Print the bytes; with `verify_first`, only after all of them were read and verified.

    Raises NotRestoredError if the bytes are wrong, NotFoundOutError if they cannot be verified.
    """
    if verify_first:
        if not version.checksum and not unverified:
            raise NotFoundOutError(
                f"{size_only(version)} Nothing was printed; leave out --verify-first, or add "
                "--unverified."
            )
        click.echo("Verifying it before it is printed", err=True)
        if not _pass(version, tuning, is_printed=False):
            raise NotRestoredError(f"The checksum of {version.name} is wrong; nothing was printed")
    _widen_pipe()
    try:
        is_right = _pass(version, tuning, is_printed=True)
        sys.stdout.flush()
    except BrokenPipeError:
        # Redirect stdout, because Python would otherwise try to print the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise NotFoundOutError(
            "The program that reads the backup ended before it had read all of it"
        ) from None
    if not is_right:
        raise NotRestoredError(
            f"The checksum of {version.name} is wrong: do not use what was printed"
        )
    if not version.checksum:
        raise NotFoundOutError(f"Size only: {size_only(version)}")


def _widen_pipe() -> None:
    """If stdout is a pipe, enlarge it, so that reader and writer alternate less often."""
    # Linux's pipes have 64 KiB, and macOS has no such setting.
    if sys.platform == "linux":
        # This fails if stdout is not a pipe, or if this user's pipes have reached their limit.
        with suppress(OSError):
            fcntl.fcntl(sys.stdout.fileno(), fcntl.F_SETPIPE_SZ, MIB)


def _pass(version: StoredVersion, tuning: Tuning, *, is_printed: bool) -> bool:
    """Read all bytes; False if their checksum is wrong."""
    checksum = RunningChecksum(version.checksum) if version.checksum else None
    # A progress bar would overwrite the next program's prompt for a passphrase.
    bar = nullcontext(lambda _: None) if is_printed else progress(version.size)
    with closing(chunks(version, tuning)) as rest, bar as advance:
        for chunk in rest:
            if checksum:
                checksum.update(chunk)
            if is_printed:
                sys.stdout.buffer.write(chunk)
            advance(len(chunk))
    return checksum is None or checksum.matches()
