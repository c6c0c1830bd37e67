"""The `backups` command: what an administrator asks and does. Data on stdout, chatter on stderr."""

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from admin import describe
from admin.account import Account, AccountError, one_sentence_each, open_account, with_vault
from admin.check.command import show_check
from admin.choices import Wishes
from admin.credentials.command import end_access, remove_old_key, show_new_key
from admin.credentials.keys import CredentialsError
from admin.drill.command import rehearse
from admin.exit_status import ExitStatus
from admin.options import (
    Moment,
    incoming_alarm_wished,
    lock_wished,
    of_a_lock,
    of_a_stage,
    of_a_vault,
    of_an_account,
    of_an_incoming_alarm,
)
from admin.setup.command import SetupRefused, set_up
from admin.stage import Stage, StageError, read_stage
from chalicelib.policy.file import read_policy
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import PolicyError


@contextmanager
def _exit_statuses() -> Iterator[None]:
    """What was used wrongly, and what could not be found out, as a sentence and a status."""
    try:
        with one_sentence_each():
            yield
    except (PolicyError, StageError, CredentialsError, SetupRefused) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitStatus.USED_WRONGLY)
    except AccountError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


@contextmanager
def _opened(
    *, stage: str, region: str | None, profile: str | None, **vault: str | None
) -> Iterator[tuple[Account, Stage, Policy]]:
    """What a command line names with the options of an account, for as long as they are used.

    With `vault_profile` among them, which not every command has, the account knows the vault's.
    """
    with _exit_statuses():
        place = read_stage(stage)
        account = open_account(place, region=region, profile=profile)
        if "vault_profile" in vault:
            account = with_vault(account, place, profile=vault["vault_profile"])
        yield account, place, read_policy()


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """A crash found nothing out; that something is wrong with the backups has a status, too."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        # The door's last resort: Python's own status of a crash is 1.
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


@click.group(cls=_Group)
def cli() -> None:
    """Example: backups policy

    Backups that nobody can destroy: see README.md.

    Exit status: 0 fine, 1 something is wrong with the backups, 2 used wrongly, 3 could not find
    out.
    """


@cli.command(short_help="What is backed up, under which names, in plain English.")
@of_a_stage
@click.option("--at", type=Moment(), help="Show what uploads of that moment would be called.")
@click.option("--json", "as_json", is_flag=True, help="Print data for a program.")
def policy(*, stage: str, at: datetime | None, as_json: bool) -> None:
    """Example: backups policy --at 2026-10-25T00:30:00Z

    Say the policy in plain English, with the slots that are next.
    """
    with _exit_statuses():
        rules, place = read_policy(), read_stage(stage)
        told = describe.describe(rules, place.settings, moment=at or datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(describe.say(told, asked=at is not None))


@cli.command(short_help="Make the account ready; without --apply: show what is missing.")
@of_an_account
@click.option("--apply", is_flag=True, help="Carry the plan out, after one question.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@of_a_vault
@of_a_lock
@of_an_incoming_alarm
@click.option("--alert-email", help="Who gets the alerts; AWS asks that address to confirm.")
@click.option("--allow-shorter", is_flag=True, help="Keep backups for a shorter time than now.")
def setup(
    *,
    apply: bool,
    yes: bool,
    lock: str | None,
    lock_days: int | None,
    alarm_bytes: int | None,
    alarm_versions: int | None,
    alert_email: str | None,
    allow_shorter: bool,
    **where: Any,
) -> None:
    """Example: backups setup --stage prod --alert-email you@example.org --apply

    Make the account ready: buckets, users, alerts. Shows what is missing; with --apply it is done.
    A second run has nothing to do.
    """
    if lock == "none" and lock_days:
        raise click.UsageError("--lock none has no days; leave out --lock-days")
    with _opened(**where) as (account, stage, rules):
        wishes = Wishes(
            lock=lock_wished(stage, lock=lock, lock_days=lock_days),
            alert_email=alert_email,
            incoming_alarm=incoming_alarm_wished(
                stage, alarm_bytes=alarm_bytes, alarm_versions=alarm_versions
            ),
        )
        set_up(
            account,
            stage,
            rules,
            wishes,
            lock_named=bool(lock or lock_days),
            apply=apply,
            yes=yes,
            allow_shorter=allow_shorter,
        )


@cli.command(short_help="Who can destroy my backups? Changes nothing.")
@of_an_account
@of_a_vault
@click.option("--json", "as_json", is_flag=True, help="Print data for a program.")
def check(*, as_json: bool, **where: Any) -> None:
    """Example: backups check --stage prod

    Who can destroy my backups? Compares the account with what it should be: every setting, what is
    deployed, who has rights on the vault. Each finding says what mends it. Changes nothing.
    """
    with _opened(**where) as (account, stage, rules):
        show_check(account, stage, rules, as_json=as_json)


@cli.command(short_help="Make, rotate or revoke a server's access key.")
@of_an_account
@click.argument("server", required=False)
@click.option("--rotate", is_flag=True, help="Make a second key; the first one works on.")
@click.option("--remove", metavar="KEY_ID", help="Delete one of two keys: the end of a rotation.")
@click.option("--revoke", is_flag=True, help="End the server's access at once.")
@click.option("--json", "as_json", is_flag=True, help="Print data for a program.")
def credentials(
    *,
    server: str | None,
    rotate: bool,
    remove: str | None,
    revoke: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Example: backups credentials web1 --stage prod

    Make the access key of a server and print it, once, in a crontab that makes its backups. Leave
    out SERVER where the policy lists no servers.

    To replace a key without a gap: --rotate, bring the new one to the server, see a backup arrive,
    and --remove the old one. After a break-in: --revoke; later, a new key lifts that.
    """
    if rotate + revoke + (remove is not None) > 1:
        raise click.UsageError("--rotate, --remove and --revoke are three things; do one")
    with _opened(**where) as (account, stage, rules):
        if revoke:
            end_access(account, stage, rules, server, as_json=as_json)
        elif remove is not None:
            remove_old_key(account, stage, rules, server, key=remove, as_json=as_json)
        else:
            show_new_key(account, stage, rules, server, rotate=rotate, as_json=as_json)


@cli.command(short_help="Prove in the account itself that the promise holds.")
@of_an_account
@of_a_vault
@click.option(
    "--assume",
    is_flag=True,
    help="Attack as the function, too: for a moment its role trusts you.",
)
def drill(*, assume: bool, **where: Any) -> None:
    """Example: backups drill --stage prod

    Prove in the account itself that the promise holds: upload as a server would, see it promoted
    and a second upload contested, try to read, overwrite and delete as everybody, and restore.

    It removes what it makes, an interrupted drill's too; a tiny object stays in the vault until its
    lock ends. Backups are not touched. The alarm for contested uploads may ring.
    """
    with _opened(**where) as (account, stage, rules):
        rehearse(account, stage, rules, assume=assume)
