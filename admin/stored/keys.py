"""The upload keys that a command line names with --rule and --server."""

import shlex
from dataclasses import replace

from admin.exit_status import Refused
from chalicelib.policy.policy import Policy


def with_server(policy: Policy, server: str | None) -> Policy:
    """The policy including this server, whose backups stay when the policy no longer names it.

    Raises PolicyError for a name that no server can have.
    """
    if server is None or server in policy.servers:
        return policy
    return replace(policy, servers=(server,))


def server_remark(policy: Policy, server: str | None) -> str | None:
    """The sentence to print about a server that the policy does not name."""
    if server is None or server in policy.servers:
        return None
    names = ", ".join(policy.servers) or "none"
    return f"The policy does not name the server {server} (it names {names})."


def keys_named(policy: Policy, *, rule: str | None, server: str | None) -> list[str]:
    """The keys of this rule and server (None: of all). Raises Refused for an unknown rule."""
    rules = [each.upload for each in policy.rules]
    if rule is not None and rule not in rules:
        raise Refused(f"The policy has no rule {rule}; it has {', '.join(rules)}")
    return [
        key
        for key, (each, owner) in policy.server_keys.items()
        if rule in {None, each.upload} and server in {None, owner}
    ]


def key_of(policy: Policy, *, rule: str | None, server: str | None) -> str:
    """The one upload key that the options name. Raises Refused if they name none, or several."""
    keys = keys_named(policy, rule=rule, server=server)
    if len(keys) == 1:
        return keys[0]
    missing = []
    if rule is None and len(policy.rules) > 1:
        names = [shlex.quote(each.upload) for each in policy.rules]
        missing.append(" or ".join(f"--rule {name}" for name in names))
    if server is None and len(policy.servers) > 1:
        missing.append(" or ".join(f"--server {each}" for each in policy.servers))
    raise Refused(f"There are several kinds of backups; add {', and '.join(missing)}")
