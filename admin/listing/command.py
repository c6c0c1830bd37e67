"""The command `backups list`: what is stored, from when, and how large."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

import click
from botocore.exceptions import ClientError

from admin.account import DENIAL_CODES, sentence_of
from admin.exit_status import ExitStatus, Refused
from admin.listing.details import Details, details_of
from admin.listing.printing import Detailed, JsonList, Table
from admin.listing.rows import AT_ONCE, Filled, Row, rows, start_of_last
from admin.stored.ahead import AT_A_TIME, read_ahead
from admin.stored.keys import keys_named, server_remark, with_server
from admin.stored.progress import counting
from admin.stored.when import Range, When
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code

HEADS_AT_A_TIME = 16
CONNECTIONS = AT_A_TIME + HEADS_AT_A_TIME


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """The options of the command line; `last` counts backups."""

    rule: str | None = None
    server: str | None = None
    since: When | None = None
    until: When | None = None
    last: int | None = None
    details: bool = False
    as_json: bool = False


def list_backups(target: Target, options: ListOptions, *, now: datetime) -> None:
    """Print what is stored; exits with 3 if something could not be read."""
    if options.last and options.since:
        raise Refused("--last and --since contradict each other; leave out one of them")
    policy = with_server(target.policy, options.server)
    keys = keys_named(policy, rule=options.rule, server=options.server)
    chosen = Range(since=options.since, until=options.until)
    s3 = target.vault_account.client("s3", max_pool_connections=CONNECTIONS)
    vault = Vault(s3=s3, name=target.vault, owner=target.stage.settings.vault_owner)
    periods = [chosen.of(policy.server_keys[key][0].timezone, now) for key in keys]
    click.echo(target, err=True)
    if remark := server_remark(target.policy, options.server):
        click.echo(remark, err=True)
    show = JsonList(policy) if options.as_json else Table(policy)
    is_complete = True
    with ThreadPoolExecutor(HEADS_AT_A_TIME) as pool, counting() as count:
        look = partial(_look, vault, pool, details=options.details)
        sources = [
            map(look, _groups(vault, policy, key, options.last, period, now=now))
            for key, period in zip(keys, periods, strict=True)
        ]
        for key, groups in zip(keys, read_ahead(sources), strict=True):
            show.begin(key)
            try:
                for group in groups:
                    show.rows(key, group)
                    count(key, len(group))
                    is_complete &= not any(each and each.not_checked for _, each in group)
            except ClientError as error:
                if error_code(error) not in DENIAL_CODES:
                    raise
                show.not_checked(key, sentence_of(error))
                is_complete = False
            show.end_key()
    show.end()
    if not is_complete:
        click.echo("Error: Your credentials cannot read everything; see above.", err=True)
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def _groups(
    vault: Vault,
    policy: Policy,
    key: str,
    last: int | None,
    period: tuple[datetime, datetime],
    *,
    now: datetime,
) -> Iterator[list[Row]]:
    """The rows of a key, in batches."""
    since, until = period
    if last:
        start = start_of_last(vault, policy, key, last, until=until, now=now)
        since = start or until
    listed = rows(vault, policy, key, since=since, until=until, now=now)
    while group := [*islice(listed, AT_ONCE)]:
        yield group


def _look(
    vault: Vault, pool: ThreadPoolExecutor, group: list[Row], *, details: bool
) -> list[Detailed]:
    """Each row with its details, if they were requested and there is a version to look at."""

    def look(row: Row) -> Details | None:
        if not isinstance(row, Filled) or row.backup.size is None:
            return None
        return details_of(vault, row.backup)

    return list(zip(group, pool.map(look, group) if details else [None] * len(group), strict=True))
