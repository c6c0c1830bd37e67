"""The command `backups`, for administrators. Data goes to stdout, everything else to stderr."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from admin import describe
from admin.account import (
    open_account,
    refuse_another_account,
    with_owners,
    with_vault,
)
from admin.audit.command import show_audit
from admin.check.command import show_check, show_who
from admin.choices import SetupOptions
from admin.credentials.command import end_access, remove_old_key, show_new_key
from admin.deploy import deploy_app
from admin.desired.names import refuse_names
from admin.drill.command import run_drill
from admin.exit_status import Commands, Refused, exit_statuses
from admin.listing.command import ListOptions, list_backups
from admin.options import (
    Moment,
    account_options,
    chosen_incoming_alarm,
    chosen_lock,
    setup_options,
    stage_option,
    vault_option,
)
from admin.restore.command import RestoreOptions
from admin.restore.command import restore as restore_backup
from admin.setup.command import set_up, waiter, write_policies
from admin.setup.locks import lock_of_new_backups, lock_stored
from admin.stage import read_stage
from admin.status.command import show_status
from admin.stored.when import SINCE, UNTIL, When, WhenType
from admin.target import Target
from admin.verify.command import VerifyOptions
from admin.verify.command import verify as verify_backups
from chalicelib.policy.file import read_policy


@contextmanager
def _opened(
    *, stage: str, region: str | None, profile: str | None, **vault: str | None
) -> Iterator[Target]:
    """The target that a command's options name.

    With the option `vault_profile`, which not every command has, it includes the vault's account.
    """
    with exit_statuses():
        policy, opened = read_policy(), read_stage(stage)
        refuse_names(policy, opened)
        account = open_account(opened, region=region, profile=profile)
        refuse_another_account(account, opened)
        if "vault_profile" in vault:
            account = with_vault(account, opened, profile=vault["vault_profile"])
            opened = with_owners(opened, account)
        yield Target(account=account, stage=opened, policy=policy)


@click.group(cls=Commands)
def cli() -> None:
    """Example: backups policy

    Backups that nobody can destroy: see README.md.

    Exit status: 0 fine, 1 something is wrong with the backups, 2 wrong usage, 3 could not find
    out, 130 interrupted.
    """


@cli.command(short_help="Explain what is backed up, and under which names.")
@stage_option
@click.option("--at", type=Moment(), help="Show the names that uploads at this time would get.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def policy(*, stage: str, at: datetime | None, as_json: bool) -> None:
    """Example: backups policy --at 2026-10-25T00:30:00Z

    Explain the policy in plain English and list the next slots.
    """
    with exit_statuses():
        rules, opened = read_policy(), read_stage(stage)
        refuse_names(rules, opened)
        description = describe.describe(rules, opened.settings, moment=at or datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(description, indent=2))
    else:
        click.echo(describe.as_text(description, only_at=at is not None))


@cli.command(short_help="Show what the account lacks; with --apply, change it.")
@account_options
@click.option("--apply", is_flag=True, help="Apply the changes after you confirm them.")
@setup_options
@click.option(
    "--lock-existing",
    is_flag=True,
    help="Also lock existing backups, for as long as new ones.",
)
def setup(
    *,
    apply: bool,
    lock_existing: bool,
    yes: bool,
    lock: str | None,
    lock_days: int | None,
    alarm_bytes: int | None,
    alarm_versions: int | None,
    alert_email: str | None,
    trail: bool,
    allow_shorter: bool,
    accept: tuple[str, ...],
    **where: Any,
) -> None:
    """Example: backups setup --stage prod --alert-email you@example.org --apply

    Show what the account lacks: buckets, users, alerts. With --apply, make these changes. It is
    safe to repeat: a second run has nothing to do.
    """
    if lock == "none" and lock_days:
        raise click.UsageError(
            "--lock none and --lock-days contradict each other; leave out one of them"
        )
    lock_named = bool(lock or lock_days)
    with _opened(**where) as target:
        options = SetupOptions(
            lock=chosen_lock(target.stage, lock=lock, lock_days=lock_days),
            alert_email=alert_email,
            incoming_alarm=chosen_incoming_alarm(
                target.stage, alarm_bytes=alarm_bytes, alarm_versions=alarm_versions
            ),
            trail=trail or target.stage.trail,
        )
        if lock_existing and options.lock is None:
            raise Refused("This stage has no lock; choose one with --lock")
        set_up(
            target,
            options,
            lock_named=lock_named,
            apply=apply,
            yes=yes,
            allow_shorter=allow_shorter,
            accept=accept,
            lock_existing=lock_existing,
        )
        if lock_existing and options.lock:
            lock_stored(
                target,
                options.lock if lock_named else lock_of_new_backups(target, options.lock),
                now=target.account.now(),
                waiter=waiter(),
                apply=apply,
                yes=yes,
            )


@cli.command(short_help="Set up the account and deploy the app.")
@account_options
@setup_options
@click.pass_context
def deploy(context: click.Context, /, **options: Any) -> None:
    """Example: backups deploy --stage prod

    Set up the account, deploy the app with Chalice, and set up what needs the deployed functions:
    runs backups setup --apply, chalice deploy, and backups setup --apply again. It is safe to
    repeat.
    """
    context.invoke(setup, apply=True, **options)
    deploy_app(options["stage"], region=options["region"], profile=options["profile"])
    context.invoke(setup, apply=True, **options)


@cli.command(short_help="Write the functions' IAM policies into .chalice/.")
@stage_option
def policies(*, stage: str) -> None:
    """Example: backups policies --stage prod

    Write .chalice/policy-STAGE-FUNCTION.json for each function, from chalicelib/policy.toml.
    """
    with exit_statuses():
        write_policies(read_stage(stage), read_policy())


@cli.command(short_help="Report which backups are missing or wrong; changes nothing.")
@account_options
@vault_option
@click.option(
    "--at", type=Moment(), help="Show what was wrong at this time, as far as S3 still shows it."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(*, at: datetime | None, as_json: bool, **where: Any) -> None:
    """Example: backups audit --stage prod

    Report which backups are missing, late or small, which uploads were not stored, and whether
    somebody has overwritten or deleted a stored backup. Takes seconds, and changes nothing.
    """
    with _opened(**where) as target:
        show_audit(target, now=at or target.account.now(), as_json=as_json)


@cli.command(short_help="Check the backups and who can destroy them; changes nothing.")
@account_options
@vault_option
@click.option(
    "--all",
    "all_backups",
    is_flag=True,
    help="Check lock and encryption of every stored backup, not only of the newest.",
)
@click.option(
    "--who",
    is_flag=True,
    help="Only show who can destroy, write or read backups, and how.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(*, all_backups: bool, who: bool, as_json: bool, **where: Any) -> None:
    """Example: backups check --stage prod

    Check the backups: what `backups audit` finds, which uploads wait, and whether a stored backup
    was changed or is not locked. Then find out who can destroy them: compares every setting, the
    deployed functions and all rights on the vault with what they should be. Each finding says how
    to fix it. Changes nothing.
    """
    if who and all_backups:
        raise click.UsageError("use only one of --who and --all")
    with _opened(**where) as target:
        if who:
            show_who(target, as_json=as_json)
            return
        show_check(target, now=target.account.now(), all_backups=all_backups, as_json=as_json)


@cli.command(short_help="Create, rotate or revoke a server's access key.")
@account_options
@click.argument("server", required=False)
@click.option("--rotate", is_flag=True, help="Create a second key; the first one keeps working.")
@click.option("--remove", metavar="KEY_ID", help="Delete one of two keys, to finish a rotation.")
@click.option("--revoke", is_flag=True, help="End the server's access at once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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

    Create a server's access key and print, once, the files that keep it on the server, and a
    crontab that makes its backups. Leave out SERVER if the policy lists no servers.

    To replace a key without a gap: --rotate, install the new key on the server, wait for a backup
    to arrive, and --remove the old key. After a break-in: --revoke; creating a new key later lifts
    that.
    """
    if rotate + revoke + (remove is not None) > 1:
        raise click.UsageError("use only one of --rotate, --remove and --revoke")
    with _opened(**where) as target:
        if revoke:
            end_access(target, server, as_json=as_json)
        elif remove is not None:
            remove_old_key(target, server, key=remove, as_json=as_json)
        else:
            show_new_key(target, server, rotate=rotate, as_json=as_json)


@cli.command(short_help="Prove that nobody can overwrite or delete a stored backup.")
@account_options
@vault_option
@click.option(
    "--assume",
    is_flag=True,
    help="Also attack with the function's role, which trusts you for a minute.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Skip the 35 MiB multipart upload.",
)
def drill(*, assume: bool, quick: bool, **where: Any) -> None:
    """Example: backups drill --stage prod

    Prove in your account that nobody can overwrite or delete a backup. The drill uploads a small
    file and a multipart one as a server, waits until they are promoted, and checks that a second
    upload is contested. As the server and as you, it tries to read, overwrite, encrypt and delete
    the stored object and to change the vault. Then it restores the backup.

    No attack does any harm, even if it succeeds. The drill cleans up after itself, including after
    an interrupted drill; its two objects stay in the vault until their lock ends. It never touches
    backups, and sets off no alarm.
    """
    with _opened(**where) as target:
        run_drill(target, assume=assume, quick=quick)


@cli.command(short_help="Show the state of the backups on one screen; changes nothing.")
@account_options
@vault_option
@click.option("--rule", metavar="UPLOAD", help="Only this kind of backup, for example sql.gz.gpg.")
@click.option("--server", help="Only this server's, for example web1.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, rule: str | None, server: str | None, as_json: bool, **where: Any) -> None:
    """Example: backups status --stage prod

    Show the newest backup of each rule and server with its age, size and lock, how each of the last
    14 days went, and when the next one is due; then what is waiting, what `backups audit` finds,
    how much the vault holds and will hold, and how long a good backup would remain if only rubbish
    were uploaded from now on. Changes nothing.
    """
    with _opened(**where) as target:
        show_status(target, rule=rule, server=server, now=target.account.now(), as_json=as_json)


@cli.command("list", short_help="List the stored backups and the gaps between them.")
@account_options
@vault_option
@click.option("--rule", metavar="UPLOAD", help="Only this kind of backup, for example sql.gz.gpg.")
@click.option("--server", help="Only this server's, for example web1.")
@click.option("--since", type=WhenType(latest=False), help=SINCE)
@click.option("--until", type=WhenType(latest=False), help=UNTIL)
@click.option(
    "--last",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="The last N backups of each rule and server.",
)
@click.option("--details", is_flag=True, help="Also show checksum and lock (one request each).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(**options: Any) -> None:
    """Example: backups list --stage prod --rule sql.gz.gpg --last 10

    List the stored backups of each rule and server: name, size, when they were stored, and storage
    class. Gaps are shown, and backups that somebody has overwritten or deleted are marked. Without
    --since or --last, the last 35 days. Reads only the vault.
    """
    where = {name: options.pop(name) for name in ("stage", "region", "profile", "vault_profile")}
    with _opened(**where) as target:
        list_backups(target, ListOptions(**options), now=target.account.now())


@cli.command(short_help="Download a stored backup, and verify it.")
@account_options
@vault_option
@click.argument("when", type=WhenType())
@click.option("--rule", metavar="UPLOAD", help="Which kind of backup, for example sql.gz.gpg.")
@click.option("--server", help="Which server, for example web1.")
@click.option("--version-id", help="A version other than the oldest (the oldest is the backup).")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The file to write (default: named like the stored backup); - is stdout.",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option(
    "--unverified", is_flag=True, help="Keep the file even if S3 has no checksum to verify it with."
)
@click.option(
    "--verify-first", is_flag=True, help="With -o -: print nothing until all of it is verified."
)
@click.option("--wait", is_flag=True, help="Wait until S3 has retrieved an archived backup.")
@click.option("--yes", is_flag=True, help="Do not ask before a retrieval, which S3 bills.")
def restore(*, when: When, **options: Any) -> None:
    """Example: backups restore latest --stage prod --rule backup.tar.gz.gpg

    Download one backup to a file and verify its checksum. WHEN is a day (2026-11-20), an hour on
    the server's clocks (2026-11-20T14), latest, or an age such as "3 days ago".

    The same command continues an interrupted restore. With -o - the backup goes to stdout, for
    example into gpg --decrypt. Reads the vault and changes nothing in it, except that an archived
    backup is retrieved first, after asking you.
    """
    where = {name: options.pop(name) for name in ("stage", "region", "profile", "vault_profile")}
    with _opened(**where) as target:
        restore_backup(target, when, RestoreOptions(**options), now=target.account.now())


@cli.command(short_help="Verify the stored backups; with --deep, unpack one.")
@account_options
@vault_option
@click.option("--rule", metavar="UPLOAD", help="Only this kind of backup, for example sql.gz.gpg.")
@click.option("--server", help="Only this server's, for example web1.")
@click.option("--since", type=WhenType(latest=False), help=SINCE)
@click.option("--until", type=WhenType(latest=False), help=UNTIL)
@click.option("--all", "all_backups", is_flag=True, help="Every backup, however old.")
@click.option(
    "--deep",
    metavar="WHEN",
    type=WhenType(),
    help="Decrypt and unpack this backup, for example latest; nothing is written to the disk.",
)
@click.option("--each", is_flag=True, help="With --deep: this backup of every server and rule.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(**options: Any) -> None:
    """Example: backups verify --stage prod --deep latest --each

    Verify that every stored backup is there, in one version, locked as promised, under S3's own
    key, and copied from an upload that matches its name. This takes one request per backup, and
    downloads nothing.

    --deep instead reads one whole backup: it verifies its checksum, and decrypts and unpacks it
    with gpg (and your keyring), gunzip and tar. The last line is the result.
    """
    where = {name: options.pop(name) for name in ("stage", "region", "profile", "vault_profile")}
    with _opened(**where) as target:
        verify_backups(target, VerifyOptions(**options), now=target.account.now())
