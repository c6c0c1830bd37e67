"""The upload keys that a command line names with --rule and --server."""

from admin.exit_status import Refused
from chalicelib.policy.policy import Policy


def keys_named(policy: Policy, *, rule: str | None, server: str | None) -> list[str]:
    """The keys of this rule and server (None: of all). Raises Refused for an unknown name."""
    rules = [each.upload for each in policy.rules]
    if rule is not None and rule not in rules:
        raise Refused(f"The policy has no rule {rule}, only {', '.join(rules)}")
    if server is not None and not policy.servers:
        raise Refused("The policy lists no servers; leave out --server")
    if server is not None and server not in policy.servers:
        raise Refused(f"The policy has no server {server}, only {', '.join(policy.servers)}")
    return [
        key
        for key, (each, owner) in policy.server_keys.items()
        if rule in {None, each.upload} and server in {None, owner}
    ]
