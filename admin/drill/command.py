"""`backups drill` as people meet it: a line for each promise, and what stays behind."""

import sys
import time
from contextlib import closing

import click
from botocore.exceptions import BotoCoreError, ClientError

from admin.account import Account, AccountError, place_of
from admin.drill.attacks import NotAsPromisedError
from admin.drill.scenario import drill
from admin.exit_status import ExitStatus
from admin.stage import Stage
from admin.waiting import Patience
from chalicelib.policy.policy import Policy

# Seconds: a promotion takes a few, a cold start included; what is new in IAM, some ten.
PATIENCE = 120.0


def rehearse(account: Account, stage: Stage, policy: Policy, *, assume: bool) -> None:
    """Run the drill and print each step with its seconds; exit status 1: a promise is broken."""
    click.echo(place_of(stage, account), err=True)
    began = time.monotonic()
    try:
        patience = Patience(seconds=PATIENCE, tell=_tell)
        with closing(drill(account, stage, policy, assume=assume, patience=patience)) as steps:
            for step in steps:
                click.echo(f"{step.seconds:6.1f} s  {step.says}")
    except NotAsPromisedError as broken:
        click.echo(f"Not as promised: {broken}.", err=True)
        _show_notes(broken)
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    except (AccountError, ClientError, BotoCoreError) as error:
        _show_notes(error)
        raise
    click.echo(
        f"All as promised, in {time.monotonic() - began:.0f} seconds. What stays in "
        f"{stage.settings.vault_bucket} is a tiny object, which S3 removes when its lock ends. The "
        "alarm for contested uploads may ring: that was this drill.",
        err=True,
    )


def _show_notes(error: Exception) -> None:
    for note in getattr(error, "__notes__", []):
        click.echo(f"{note}.", err=True)


def _tell(line: str) -> None:
    click.echo(f"          ... {line}", err=True)
