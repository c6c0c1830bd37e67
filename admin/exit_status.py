"""Exit statuses of the command `backups`, which cron jobs and monitoring rely on."""

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from io import TextIOWrapper
from typing import Any

import click

from admin.account import AccountError, translated_errors
from admin.stage import StageError
from chalicelib.policy.rules import PolicyError

READ_ONLY_ERRORS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
FULL_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})

# What a command has completed after Ctrl-C or with a full disk, and what the next run does.
_INTERRUPTED = {
    "setup": "the changes listed after the question are made, except perhaps the last; run the "
    "same command again to make the others.",
    "deploy": "the app is perhaps not deployed, or only some of its parts are; run the same "
    "command again to complete it.",
    "audit": "not everything was audited, and nothing was changed; run it again for a result.",
    "status": "not everything was checked, and nothing was changed; run it again for a result.",
    "check": "not everything was checked, and nothing was changed; run it again for a result.",
    "credentials": "the keys are perhaps only partly changed; run the same command again to "
    "complete it or to learn how.",
    "restore": "run the same command again; a restore to a file continues where it stopped.",
    "list": "not everything was listed; run it again.",
    "verify": "not everything was verified, and nothing was changed; run it again for a result.",
    "drill": "not every promise was tested; the drill removed what it had made, and the next one "
    "removes anything that is left.",
}


class ExitStatus(IntEnum):
    """Exit statuses other than 0, which means that all is fine."""

    SOMETHING_IS_WRONG = 1
    USED_WRONGLY = 2
    COULD_NOT_FIND_OUT = 3
    # The status that shells give to a program that Ctrl-C ended.
    INTERRUPTED = 130


class Refused(Exception):
    """The command refuses; the message explains why, and what to do."""


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turn errors into one sentence on stderr and the exit status that belongs to them."""
    try:
        with translated_errors():
            yield
    except (PolicyError, StageError, Refused) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitStatus.USED_WRONGLY)
    except AccountError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


class Commands(click.Group):
    """The commands, each of which ends with the exit status of its outcome."""

    def invoke(self, ctx: click.Context) -> Any:
        """Give interruptions and crashes a status of their own: Python's 1 means a finding here."""
        for stream in (sys.stdout, sys.stderr):
            # A terminal without UTF-8 shows a question mark for a character that it lacks.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort) as stopped:
            # click raises Abort for Ctrl-C at a question, and if nobody can answer it.
            if isinstance(stopped.__context__, EOFError):
                click.echo(
                    "\nError: The question got no answer, so its changes were not made; run the "
                    "command in a terminal, or confirm with --yes.",
                    err=True,
                )
                sys.exit(ExitStatus.USED_WRONGLY)
            click.echo(f"\nInterrupted: {_consequence(ctx)}", err=True)
            sys.exit(ExitStatus.INTERRUPTED)
        except OSError as error:
            if error.errno in FULL_DISK_ERRORS:
                click.echo(
                    f"Error: {error.strerror} (free some first): {_consequence(ctx)}", err=True
                )
                sys.exit(ExitStatus.COULD_NOT_FIND_OUT)
            if error.errno not in READ_ONLY_ERRORS or error.filename is None:
                traceback.print_exc()
                sys.exit(ExitStatus.COULD_NOT_FIND_OUT)
            click.echo(
                f"Error: {error.filename} cannot be written ({error.strerror}); run the command in "
                "a clone of your own",
                err=True,
            )
            sys.exit(ExitStatus.USED_WRONGLY)
        # The last resort at the entry point.
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def _consequence(ctx: click.Context) -> str:
    return _INTERRUPTED.get(ctx.invoked_subcommand or "", "run it again.")
