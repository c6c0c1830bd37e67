"""The inline policy that cuts the ways of a user or role."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from admin.check.people.identities import Principal
from admin.check.people.rights import Policy
from admin.desired.permissions import Document, document

WAY_DENIAL = "no-way-to-the-backups"
# The number of names on which an action is denied individually, because IAM limits the sizes of
# policies.
MOST_NAMES = 10

# An action and its resource.
Right = tuple[str, str]


def denial_of(rights: Iterable[Right]) -> Document:
    """An IAM policy that denies these actions on their resources (on all if there are many)."""
    resources: dict[str, list[str]] = {}
    for action, resource in dict.fromkeys(rights):
        resources.setdefault(action, []).append(resource)
    actions: dict[tuple[str, ...], list[str]] = {}
    for action, names in resources.items():
        on_all = "*" in names or len(names) > MOST_NAMES
        actions.setdefault(("*",) if on_all else tuple(names), []).append(action)
    return document(
        *({"Effect": "Deny", "Action": names, "Resource": [*on]} for on, names in actions.items())
    )


def with_denial(principal: Principal, denied: Collection[Right]) -> Principal:
    """The principal with an inline policy that denies these rights, replacing an earlier one."""
    denial = denial_of(denied)
    read = zip(principal.inline, principal.inline_policies, strict=True)
    return replace(
        principal,
        inline={**principal.inline, WAY_DENIAL: denial},
        inline_policies=(
            *(policy for name, policy in read if name != WAY_DENIAL),
            Policy(denial),
        ),
    )


def denied_actions(principal: Principal) -> set[str]:
    """The actions that this inline policy denies, each on some resources."""
    statements = principal.inline.get(WAY_DENIAL, document())["Statement"]
    return {action for statement in statements for action in statement["Action"]}
