"""The `backups` command: what an administrator asks and does. Data on stdout, chatter on stderr."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from admin import plain_english
from admin.stage import StageError, read_stage
from chalicelib.policy import PolicyError
from chalicelib.policy_file import read_policy


class _Moment(click.ParamType[datetime]):
    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """An aware moment from ISO 8601."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write it like 2026-10-25T00:30:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail(
                f"{value!r} does not say its time zone; end it with Z (UTC) or +01:00", param, ctx
            )
        return moment


@click.group()
def cli() -> None:
    """Example: backups policy

    Backups that nobody can destroy: see README.md.

    Exit status: 0 fine, 1 something is wrong with the backups, 2 used wrongly, 3 could not find
    out.
    """


@cli.command()
@click.option(
    "--stage", default="dev", show_default=True, help="The stage of .chalice/config.json."
)
@click.option("--at", type=_Moment(), help="Show what uploads of that moment would be called.")
@click.option("--json", "as_json", is_flag=True, help="Print data for a program.")
def policy(stage: str, at: datetime | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Example: backups policy --at 2026-10-25T00:30:00Z

    Say the policy in plain English, with the slots that are next.
    """
    try:
        rules, place = read_policy(), read_stage(stage)
    except (PolicyError, StageError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    told = plain_english.describe(rules, place.settings, moment=at or datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(plain_english.say(told, asked=at is not None))
