"""`backups credentials`: a server's access key, made, shown once, replaced, and ended at once."""

import difflib
import json
from typing import Any

import click

from admin.account import Account
from admin.credentials.crontab import Place, crontab
from admin.credentials.keys import CredentialsError, ServerKeys
from admin.stage import Stage
from chalicelib.policy.policy import Policy


def show_new_key(
    account: Account,
    stage: Stage,
    policy: Policy,
    server: str | None,
    *,
    rotate: bool,
    as_json: bool,
) -> None:
    """Make a key of `server` (None: of the only one) and print it, with its crontab.

    `rotate`: a second one, beside one that keeps working. Raises CredentialsError.
    """
    _check_server(policy, server)
    keys = ServerKeys(account, stage, server)
    if rotate:
        key, replaced = keys.rotate()
        advice = (
            f"{replaced} still works. When a backup made with the new key has arrived, end it:\n"
            f"  {keys.command} --remove {replaced}"
        )
    elif keys.are_revoked():
        key = keys.make_again()
        advice = (
            "Its access had been revoked; that is lifted. Temporary credentials that somebody took "
            "with an old key work again until 36 hours after they were taken."
        )
    else:
        key, advice = keys.make(), ""
    place = Place(
        incoming=stage.settings.incoming_bucket,
        region=account.region,
        access_key_id=key.id,
        secret_access_key=key.secret,
        endpoint=account.endpoint,
    )
    if as_json:
        _print_json(
            server=server,
            user=keys.user,
            access_key_id=key.id,
            secret_access_key=key.secret,
            region=place.region,
            endpoint=place.endpoint,
            incoming=place.incoming,
            uploads=[upload for upload, (_, owner) in policy.claims.items() if owner == server],
        )
    else:
        click.echo(crontab(policy, server, place), nl=False)
    click.echo(f"This is the only time that the secret of {key.id} is shown.", err=True)
    if advice:
        click.echo(advice, err=True)


def remove_old_key(
    account: Account, stage: Stage, policy: Policy, server: str | None, *, key: str, as_json: bool
) -> None:
    """Delete one of a server's two keys. Raises CredentialsError."""
    _check_server(policy, server)
    keys = ServerKeys(account, stage, server)
    left = keys.remove(key)
    if as_json:
        _print_json(server=server, user=keys.user, removed=[key], access_key_id=left)
    click.echo(f"{key} is removed; {left} is the only key now.", err=True)


def end_access(
    account: Account, stage: Stage, policy: Policy, server: str | None, *, as_json: bool
) -> None:
    """Revoke a server's access, though it may have left the policy. Raises CredentialsError."""
    keys = ServerKeys(account, stage, server)
    if not server or not keys.user_exists():
        _check_server(policy, server)
    removed = keys.revoke()
    if as_json:
        _print_json(server=server, user=keys.user, removed=removed)
    click.echo(
        f"{keys.user} may do nothing any more, and its keys are deleted: "
        f"{', '.join(removed) or 'it had none'}.\n"
        "IAM takes some seconds to say so everywhere. Nothing lifts this, and `backups setup` does "
        f"not; a new key does: {keys.command}",
        err=True,
    )


def _check_server(policy: Policy, server: str | None) -> None:
    """Refuse a server that the policy does not list. Raises CredentialsError."""
    if server in (policy.servers or (None,)):
        return
    if not policy.servers:
        raise CredentialsError(f'The policy lists no servers; leave out "{server}"')
    servers = ", ".join(policy.servers)
    if not server:
        raise CredentialsError(f"The policy lists servers; name one: {servers}")
    near = difflib.get_close_matches(server, policy.servers, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {servers}"
    raise CredentialsError(f'The policy lists no server "{server}"; {hint}')


def _print_json(**told: Any) -> None:
    click.echo(json.dumps(told, indent=2))
