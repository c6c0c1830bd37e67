"""The command `backups credentials`: creates, rotates and revokes a server's access key."""

import difflib
import json
from typing import Any

import click

from admin.account import Account
from admin.credentials.crontab import UploadTarget, crontab
from admin.credentials.keys import ServerKeys
from admin.exit_status import Refused
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
    """Create a key for `server` (None: the only server) and print it with a crontab.

    `rotate`: a second key; the first one keeps working. Raises Refused.
    """
    _check_server(policy, server)
    keys = ServerKeys(account, stage, server)
    if rotate:
        key, replaced = keys.rotate()
        advice = (
            f"{replaced} still works. Once a backup made with the new key has arrived, remove it:\n"
            f"  {keys.command} --remove {replaced}"
        )
    elif keys.are_revoked():
        key = keys.make_again()
        advice = (
            "The new key lifts the revocation. Temporary credentials that somebody got with an old "
            "key work again, until 36 hours after they were issued."
        )
    else:
        key, advice = keys.make(), ""
    target = UploadTarget(
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
            region=target.region,
            endpoint=target.endpoint,
            incoming=target.incoming,
            uploads=[upload for upload, (_, owner) in policy.claims.items() if owner == server],
        )
    else:
        click.echo(crontab(policy, server, target), nl=False)
    click.echo(f"The secret of {key.id} is shown only this once.", err=True)
    if advice:
        click.echo(advice, err=True)


def remove_old_key(
    account: Account, stage: Stage, policy: Policy, server: str | None, *, key: str, as_json: bool
) -> None:
    """Delete one of a server's two keys. Raises Refused."""
    _check_server(policy, server)
    keys = ServerKeys(account, stage, server)
    left = keys.remove(key)
    if as_json:
        _print_json(server=server, user=keys.user, removed=[key], access_key_id=left)
    click.echo(f"Removed {key}; {left} is the only key now.", err=True)


def end_access(
    account: Account, stage: Stage, policy: Policy, server: str | None, *, as_json: bool
) -> None:
    """Revoke a server's access, even if it is no longer in the policy. Raises Refused."""
    keys = ServerKeys(account, stage, server)
    if not server or not keys.user_exists():
        _check_server(policy, server)
    removed = keys.revoke()
    if as_json:
        _print_json(server=server, user=keys.user, removed=removed)
    click.echo(
        f"Revoked {keys.user}: every request is denied, deleted keys "
        f"{', '.join(removed) or '(it had none)'}.\n"
        "IAM takes some seconds to apply this everywhere. `backups setup` does not lift it; only a "
        f"new key does: {keys.command}",
        err=True,
    )


def _check_server(policy: Policy, server: str | None) -> None:
    """Raise Refused for a server that the policy does not list."""
    if server in (policy.servers or (None,)):
        return
    if not policy.servers:
        raise Refused(f'The policy lists no servers; leave out "{server}"')
    servers = ", ".join(policy.servers)
    if not server:
        raise Refused(f"Name one of the servers in the policy: {servers}")
    near = difflib.get_close_matches(server, policy.servers, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"it has {servers}"
    raise Refused(f'The policy lists no server "{server}"; {hint}')


def _print_json(**data: Any) -> None:
    click.echo(json.dumps(data, indent=2))
