"""The command `backups drill`: prints a line for each promise that was tested."""

import sys
import time
from contextlib import closing

import click
from botocore.exceptions import BotoCoreError, ClientError

from admin.account import AccountError
from admin.drill.attacks import NotAsPromisedError
from admin.drill.scenario import drill
from admin.exit_status import ExitStatus
from admin.target import Target
from admin.waiting import Waiter

# Seconds. A promotion takes a few seconds, including a cold start; a change in IAM about ten.
MAX_WAIT = 120.0


def run_drill(target: Target, *, assume: bool, quick: bool) -> None:
    """Run the drill and print each step with its seconds.

    Exits with 1 if a promise is broken, and with 3 if not all could be checked.
    """
    click.echo(target, err=True)
    began, not_checked = time.monotonic(), 0
    try:
        waiter = Waiter(seconds=MAX_WAIT, tell=_tell)
        with closing(drill(target, assume=assume, quick=quick, waiter=waiter)) as steps:
            for step in steps:
                click.echo(f"{step.seconds:6.1f} s  {step.sentence}")
                not_checked += not step.checked
    except NotAsPromisedError as broken:
        click.echo(f"Not as promised: {broken}.", err=True)
        _show_notes(broken)
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    except (AccountError, ClientError, BotoCoreError) as error:
        _show_notes(error)
        raise
    left = "A tiny object stays" if quick else "A tiny object and one of 35 MiB stay"
    left += f" in {target.vault} until the end of the lock."
    if not_checked:
        click.echo(
            f"Not checked: {not_checked} of the promises (see above). All others hold. {left}",
            err=True,
        )
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)
    click.echo(f"All as promised, in {time.monotonic() - began:.0f} seconds. {left}", err=True)


def _show_notes(error: Exception) -> None:
    for note in getattr(error, "__notes__", []):
        click.echo(f"{note}.", err=True)


def _tell(line: str) -> None:
    click.echo(f"          ... {line}", err=True)
