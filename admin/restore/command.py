"""The command `backups restore`: downloads one stored backup and verifies it."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import click

from admin.exit_status import Refused
from admin.restore.archived import make_readable
from admin.restore.choosing import choose
from admin.restore.errors import NotRestoredError
from admin.restore.partial import begun, identity_of, partial_of, refuse_file, refuse_full_disk
from admin.restore.ranges import FULL_SPEED, Tuning
from admin.restore.stored import StoredVersion, look_up
from admin.restore.to_file import to_file
from admin.restore.to_stdout import to_stdout
from admin.stored.keys import key_of, server_remark, with_server
from admin.stored.when import When
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import names_of
from chalicelib.promotion.buckets import Vault

STDOUT = "-"
# Seconds without a byte, after which a range is requested again.
READ_TIMEOUT = 20


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """The options of the command line; `output` is a path, `-` for stdout, or None."""

    rule: str | None = None
    server: str | None = None
    version_id: str | None = None
    output: str | None = None
    force: bool = False
    unverified: bool = False
    verify_first: bool = False
    wait: bool = False
    yes: bool = False

    @property
    def file(self) -> Path | None:
        """The file chosen with -o; None: stdout, or a file named like the stored backup."""
        return None if self.output in {None, STDOUT} else Path(str(self.output))


def restore(
    target: Target,
    when: When,
    options: RestoreOptions,
    *,
    now: datetime,
    tuning: Tuning = FULL_SPEED,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Restore the backup that `when` names; exits with a status other than 0 if it cannot."""
    if options.output == STDOUT and sys.stdout.isatty():
        raise Refused("The backup would go to the terminal; pipe it, for example to gpg --decrypt")
    if options.file:
        refuse_file(options.file, force=options.force)
    policy = with_server(target.policy, options.server)
    key = key_of(policy, rule=options.rule, server=options.server)
    _say(str(target))
    if remark := server_remark(target.policy, options.server):
        _say(remark)
    vault = open_vault(target, tuning)
    try:
        version = _continued(vault, policy, key, when, options)
        version = version or _chosen(vault, policy, key, when, options, now=now)
        _restore(version, options, tuning, sleep)
    except NotRestoredError as error:
        _exit(error)


def open_vault(target: Target, tuning: Tuning) -> Vault:
    """The vault, with connections for all ranges of a window."""
    s3 = target.vault_account.client(
        "s3",
        max_pool_connections=tuning.window,
        read_timeout=READ_TIMEOUT,
        # Ranges have no checksum. The checksum of the whole object is compared here, and only once.
        response_checksum_validation="when_required",
    )
    return Vault(s3=s3, name=target.vault, owner=target.stage.settings.vault_owner)


def _continued(
    vault: Vault, policy: Policy, key: str, when: When, options: RestoreOptions
) -> StoredVersion | None:
    """The version that an earlier, incomplete restore of the latest backup was reading."""
    if not when.is_latest or options.output == STDOUT or options.version_id:
        return None
    names = names_of(*policy.server_keys[key])
    for partial in begun(options.file):
        if not names.fullmatch(partial.name):
            continue
        version = look_up(vault, partial.name, partial.version_id)
        if version and identity_of(version) == partial.identity:
            _say(f"An earlier restore of {partial.name} is incomplete, and is continued first.")
            return version
        _say(f"{partial.path} cannot be completed: S3 no longer has its version. Remove it.")
    return None


def _chosen(
    vault: Vault, policy: Policy, key: str, when: When, options: RestoreOptions, *, now: datetime
) -> StoredVersion:
    choice = choose(vault, policy, key, when, now=now)
    for remark in choice.remarks:
        _say(remark)
    name = choice.backup.name
    version_id = options.version_id or str(choice.backup.version_id)
    version = look_up(vault, name, version_id)
    if version is None:
        raise NotRestoredError(
            f"{name} has no version {version_id}; it was removed, or never existed"
        )
    return version


def _restore(
    version: StoredVersion,
    options: RestoreOptions,
    tuning: Tuning,
    sleep: Callable[[float], None],
) -> None:
    _say(f"{version.name}: {version.size:,} bytes, stored {version.stored:%Y-%m-%d %H:%M} UTC")
    if options.output == STDOUT:
        make_readable(version, yes=options.yes, wait=options.wait, sleep=sleep)
        to_stdout(version, tuning, verify_first=options.verify_first, unverified=options.unverified)
        return
    partial = partial_of(version, options.file)
    # A retrieval is billed, so first make sure that the file can be written.
    refuse_file(partial.final, force=options.force)
    refuse_full_disk(partial, version.size)
    make_readable(version, yes=options.yes, wait=options.wait, sleep=sleep)
    to_file(version, partial, tuning, force=options.force, unverified=options.unverified)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _exit(error: NotRestoredError) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    sys.exit(error.status)
