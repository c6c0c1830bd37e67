"""The command `backups list`: what is stored, from when, and how large."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

import click

from admin.exit_status import ExitStatus, Refused
from admin.listing.ahead import read_ahead
from admin.listing.details import Details, details_of
from admin.listing.printing import JsonList, Table
from admin.listing.rows import Row, newest_rows, rows
from admin.target import Target
from admin.upload_keys import keys_named
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Vault

DEFAULT_DAYS = 35
HEADS_AT_A_TIME = 16


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """What the command line chose. Times are aware; `last` counts backups."""

    rule: str | None = None
    server: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    last: int | None = None
    details: bool = False
    as_json: bool = False


def list_backups(target: Target, options: ListOptions, *, now: datetime) -> None:
    """Print what is stored; exits with 3 if something could not be read."""
    if options.last and options.since:
        raise Refused("--last and --since contradict each other; leave out one of them")
    keys = keys_named(target.policy, rule=options.rule, server=options.server)
    s3 = target.vault_account.client("s3", max_pool_connections=HEADS_AT_A_TIME)
    vault = Vault(s3=s3, name=target.vault, owner=target.stage.settings.vault_owner)
    click.echo(target, err=True)
    show = JsonList(target.policy) if options.as_json else Table(target.policy)
    denied = False
    with ThreadPoolExecutor(HEADS_AT_A_TIME) as pool:
        groups = [_groups(target.policy, vault, key, options, now=now) for key in keys]
        look = partial(_look, vault, pool, details=options.details)
        for key, listed in zip(keys, read_ahead([map(look, each) for each in groups]), strict=True):
            show.begin(key)
            for row, details in chain.from_iterable(listed):
                show.row(key, row, details)
                denied = denied or bool(details and details.denied)
    show.end()
    if denied:
        click.echo("Error: Your credentials cannot read everything; see above.", err=True)
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def _groups(
    policy: Policy, vault: Vault, key: str, options: ListOptions, *, now: datetime
) -> Iterator[list[Row]]:
    until = options.until or now
    if options.last:
        newest = newest_rows(vault, policy, key, number=options.last, until=until, now=now)
        return iter([newest])
    since = options.since or until - timedelta(days=DEFAULT_DAYS)
    return rows(vault, policy, key, since=since, until=until, now=now)


def _look(
    vault: Vault, pool: ThreadPoolExecutor, group: list[Row], *, details: bool
) -> list[tuple[Row, Details | None]]:
    """Each row with its details, if they are asked for and there is a version to look at."""

    def look(row: Row) -> Details | None:
        backup = row.backup if details else None
        return details_of(vault, backup) if backup and backup.size is not None else None

    return list(zip(group, pool.map(look, group), strict=True))
