"""The command `backups status`: the state of the backups, on one screen."""

import json
import sys
from datetime import datetime

import click

from admin.exit_status import ExitStatus, Refused
from admin.status.data import as_data
from admin.status.overview import look
from admin.status.screen import screen
from admin.stored.keys import keys_named, server_remark
from admin.target import Target


def show_status(
    target: Target, *, rule: str | None, server: str | None, now: datetime, as_json: bool
) -> None:
    """Print the status; exits with 1 if something is wrong, or 3 if something was not checked."""
    if remark := server_remark(target.policy, server):
        raise Refused(remark)
    keys = keys_named(target.policy, rule=rule, server=server)
    click.echo(target, err=True)
    overview = look(target, keys, now=now)
    if as_json:
        click.echo(json.dumps(as_data(target, overview), indent=2))
    else:
        # click removes the colors unless it prints to a terminal.
        click.echo("\n".join(screen(target, overview)))
    if overview.is_wrong:
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    if overview.audited.failures:
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)
