"""The command `backups credentials`: creates, rotates and revokes a server's access key."""

import difflib
import json
from typing import Any

import click

from admin.credentials.crontab import UploadTarget, instructions
from admin.credentials.keys import ServerKeys
from admin.exit_status import Refused
from admin.target import Target


def show_new_key(target: Target, server: str | None, *, rotate: bool, as_json: bool) -> None:
    """Create a key for `server` (None: the only server); print its files and a crontab.

    `rotate`: a second key; the first one keeps working. Raises Refused.
    """
    _check_server(target, server)
    keys = ServerKeys(target, server)
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
    destination = UploadTarget(
        incoming=target.incoming,
        region=target.account.region,
        endpoint=target.account.endpoint,
    )
    if as_json:
        _print_json(
            server=server,
            user=keys.user,
            access_key_id=key.id,
            secret_access_key=key.secret,
            region=destination.region,
            endpoint=destination.endpoint,
            incoming=destination.incoming,
            uploads=[
                upload
                for upload, (_, owner) in target.policy.promotable_keys.items()
                if owner == server
            ],
        )
    else:
        click.echo(instructions(target.policy, server, destination, key=key), nl=False)
    click.echo(f"The secret of {key.id} is shown only this once.", err=True)
    if advice:
        click.echo(advice, err=True)


def remove_old_key(target: Target, server: str | None, *, key: str, as_json: bool) -> None:
    """Delete one of a server's two keys. Raises Refused."""
    _check_server(target, server)
    keys = ServerKeys(target, server)
    left = keys.remove(key)
    if as_json:
        _print_json(server=server, user=keys.user, removed=[key], access_key_id=left)
    click.echo(f"Removed {key}; {left} is the only key now.", err=True)


def end_access(target: Target, server: str | None, *, as_json: bool) -> None:
    """Revoke a server's access, even if it is no longer in the policy. Raises Refused."""
    keys = ServerKeys(target, server)
    if not server or not keys.user_exists():
        _check_server(target, server)
    removed = keys.revoke()
    if as_json:
        _print_json(server=server, user=keys.user, removed=removed)
    click.echo(
        f"Revoked {keys.user}: every request is denied. Deleted keys: "
        f"{', '.join(removed) or 'none'}.\n"
        "IAM takes a few seconds to apply this everywhere. `backups setup` does not lift "
        f"the denial; only a new key does: {keys.command}",
        err=True,
    )


def _check_server(target: Target, server: str | None) -> None:
    """Raise Refused for a server that the policy does not list."""
    if server in target.servers:
        return
    servers = target.policy.servers
    if not servers:
        raise Refused(f'The policy lists no servers; leave out "{server}"')
    names = ", ".join(servers)
    if not server:
        raise Refused(f"Choose one of the servers in the policy: {names}")
    near = difflib.get_close_matches(server, servers, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"it has {names}"
    raise Refused(f'The policy lists no server "{server}"; {hint}')


def _print_json(**data: Any) -> None:
    click.echo(json.dumps(data, indent=2))
