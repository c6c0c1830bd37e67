"""The most that identity policies could allow: conditions of an Allow count as met if they can be.

Unlike IAM, this judges a risk, not a request: a condition on a second factor, a network or a time
of day does not stop an intruder who meets it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from admin.check.people.conditions import (
    NOTHING_KNOWN,
    Context,
    can_hold,
    must_hold,
    unknown_keys,
)
from admin.check.people.patterns import covers, matches, overlaps, widest
from admin.desired.permissions import Document, as_list, document, statements

# The operators by which a Deny exempts principals.
NEGATED = frozenset({"ArnNotEquals", "ArnNotLike", "StringNotEquals", "StringNotLike"})
# The condition keys that name the bucket's owner.
OWNER = frozenset({"aws:resourceaccount", "s3:resourceaccount"})
# The version of the policy language that has variables.
VARIABLES_SINCE = "2012-10-17"


@dataclass(frozen=True, eq=False)
class Policy:
    """An IAM policy with a fast lookup by action, because many principals share it."""

    document: Document
    _by_action: dict[str, "_About"] = field(default_factory=dict, repr=False)

    def allowing(self, action: str) -> tuple[Document, ...]:
        """Its statements that allow an action, on any resource."""
        return self._about(action).allowing

    def denying(self, action: str) -> tuple[Document, ...]:
        """Its statements that deny an action, on any resource."""
        return self._about(action).denying

    def _about(self, action: str) -> "_About":
        if action not in self._by_action:
            about = [each for each in statements(self.document) if _selects_action(each, action)]
            self._by_action[action] = _About(
                allowing=tuple(each for each in about if each["Effect"] == "Allow"),
                denying=tuple(each for each in about if each["Effect"] == "Deny"),
            )
        return self._by_action[action]


@dataclass(frozen=True, kw_only=True)
class _About:
    allowing: tuple[Document, ...]
    denying: tuple[Document, ...]


EVERYTHING = Policy({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


@dataclass(frozen=True)
class Grant:
    """The result that something is allowed, with the condition keys that this depends on."""

    conditions: tuple[str, ...] = ()


def granted(
    policies: Iterable[Policy],
    action: str,
    resource: str,
    *,
    user: str | None = None,
    context: Context = NOTHING_KNOWN,
) -> Grant | None:
    """How the policies together allow `action` on `resource`, if they do.

    `resource` is an ARN or a pattern; for a pattern, it is enough that they allow the action on
    some ARN that it matches. `user` is the value of the variable aws:username.
    """
    policies = tuple(policies)
    found = allowed(policies, action, resource, user=user, context=context)
    if found is None or any(
        denies(policy, action, resource, user=user, context=context) for policy in policies
    ):
        return None
    return found


def allowed(
    policies: Iterable[Policy],
    action: str,
    resource: str,
    *,
    user: str | None = None,
    context: Context = NOTHING_KNOWN,
) -> Grant | None:
    """How some statement allows `action` on `resource`, regardless of any Deny."""
    found = None
    for policy in policies:
        for statement in policy.allowing(action):
            condition = statement.get("Condition", {})
            if _allows(statement, resource, user) and can_hold(condition, context):
                found = Grant(unknown_keys(condition, context))
                if not found.conditions:
                    return found
    return found


def denies(
    policy: Policy,
    action: str,
    resource: str,
    *,
    user: str | None = None,
    context: Context = NOTHING_KNOWN,
) -> bool:
    """Whether the policy certainly denies `action` on `resource`."""
    return any(
        _denies(statement, resource, user) and must_hold(statement.get("Condition", {}), context)
        for statement in policy.denying(action)
    )


def grants(policies: Iterable[Policy], action: str, resource: str) -> bool:
    """Whether the policies together allow `action` on `resource`, an ARN or a pattern."""
    return granted(policies, action, resource) is not None


def may_be_granted(policies: Iterable[Policy], action: str) -> bool:
    """Whether some statement allows the action on some resource."""
    return any(policy.allowing(action) for policy in policies)


def in_account(account: str, policy: Document) -> Document:
    """The policy without what it allows only in buckets of other accounts.

    Nobody can meet this condition, because S3 always includes the bucket's owner in the request.
    Other services might not.
    """
    own = {account}
    if policy.get("Version") == VARIABLES_SINCE:
        own.add("${aws:PrincipalAccount}")

    def is_elsewhere(statement: dict[str, Any]) -> bool:
        return (
            statement["Effect"] == "Allow"
            and all(name.lower().startswith("s3:") for name in as_list(statement.get("Action", "")))
            and any(
                key.lower() in OWNER and own & {*as_list(values)}
                for key, values in statement.get("Condition", {}).get("StringNotEquals", {}).items()
            )
        )

    kept = [statement for statement in statements(policy) if not is_elsewhere(statement)]
    return {**policy, "Statement": kept}


def as_text(policy: Document) -> Document:
    """The policy; if its version is older, without its variables, which IAM then reads as text.

    No name contains that text.
    """
    if policy.get("Version") == VARIABLES_SINCE:
        return policy
    read: Document = json.loads(json.dumps(policy).replace("${", "$ {"))
    return read


def denials_for(policy: Document, *, arn: str, user_id: str) -> Document:
    """The statements of a bucket policy that always deny something to a principal.

    `user_id` is IAM's unique ID of the principal. Conditions that exempt principals are evaluated;
    any other condition could be avoided.
    """
    return document(
        *(
            {**statement, "Condition": {}}
            for statement in statements(policy)
            if statement["Effect"] == "Deny"
            and statement.get("Principal") in ("*", {"AWS": "*"})
            and not _can_be_avoided(statement.get("Condition", {}), arn=arn, user_id=user_id)
        )
    )


def _can_be_avoided(condition: dict[str, Any], *, arn: str, user_id: str) -> bool:
    """Whether some requests of the principal do not meet the condition of a Deny."""
    for operator, keys in condition.items():
        for key, values in keys.items():
            patterns = map(widest, as_list(values))
            match operator in NEGATED, key.lower():
                case True, "aws:principalarn":
                    exempts = any(matches(pattern, arn) for pattern in patterns)
                case True, "aws:userid":  # a role's ID is followed by a colon and the session name
                    exempts = any(matches(each.partition(":")[0], user_id) for each in patterns)
                case _:
                    exempts = True
            if exempts:
                return True
    return False


def _allows(statement: Document, resource: str, user: str | None) -> bool:
    if "Resource" in statement:
        patterns = as_list(statement["Resource"])
        return any(overlaps(widest(with_name(each, user)), resource) for each in patterns)
    return not any(
        covers(with_name(each, user), resource) for each in as_list(statement["NotResource"])
    )


def _denies(statement: Document, resource: str, user: str | None) -> bool:
    if "Resource" in statement:
        patterns = as_list(statement["Resource"])
        return any(covers(with_name(each, user), resource) for each in patterns)
    return not any(
        overlaps(widest(with_name(each, user)), resource)
        for each in as_list(statement["NotResource"])
    )


def with_name(pattern: str, user: str | None) -> str:
    """The pattern with the user's name filled in: managing only your own keys is not a finding."""
    return pattern.replace("${aws:username}", user) if user and "$" in pattern else pattern


def _selects_action(statement: Document, action: str) -> bool:
    if "Action" in statement:
        return _is_one_of(tuple(as_list(statement["Action"])), action)
    return not _is_one_of(tuple(as_list(statement["NotAction"])), action)


@cache
def _is_one_of(patterns: tuple[str, ...], action: str) -> bool:
    """Whether one of the patterns matches an action; IAM ignores case in actions.

    Some of AWS's own policies have hundreds of patterns, and many principals have these policies.
    """
    return any(matches(pattern.lower(), action.lower()) for pattern in patterns)
