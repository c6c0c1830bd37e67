"""The most that identity policies could allow: every condition of an Allow counts as met.

Unlike IAM, this judges a risk, not a request: a condition on a second factor, a network or a time
of day does not stop an intruder who meets it.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from typing import Any

from admin.desired.permissions import Document, as_list, document, statements

# No name in S3 or IAM contains this character: a pattern that matches it, and also the longest name
# made of it, matches every name.
ANY_NAME = "\N{WHITE SMILING FACE}"
LONGEST_NAME = 1024
# The operators by which a Deny exempts principals.
NEGATED = frozenset({"ArnNotEquals", "ArnNotLike", "StringNotEquals", "StringNotLike"})
# The condition keys that say whose bucket it is.
OWNER = frozenset({"aws:resourceaccount", "s3:resourceaccount"})


def grants(policies: Iterable[Document], action: str, resource: str) -> bool:
    """Whether the policies together allow `action` on exactly `resource`, an ARN."""
    return _grants(
        policies, action, resource, overlaps=lambda pattern: _matches(_widest(pattern), resource)
    )


def grants_below(policies: Iterable[Document], action: str, prefix: str) -> bool:
    """Whether the policies together allow `action` on any ARN that begins with `prefix`."""
    return _grants(
        policies,
        action,
        prefix + ANY_NAME,
        overlaps=lambda pattern: _may_begin(_widest(pattern), prefix),
    )


def may_be_granted(policies: Iterable[Document], action: str) -> bool:
    """Whether some statement allows the action on some resource."""
    return any(
        statement["Effect"] == "Allow" and _selects_action(statement, action)
        for statement in chain.from_iterable(map(statements, policies))
    )


def in_account(account: str, policy: Document) -> Document:
    """The policy without what it allows only in buckets of other accounts.

    Nobody can meet this condition: S3 always says whose bucket it is. Other services might not.
    """
    own = {account}
    if policy.get("Version") == "2012-10-17":  # an older policy has no variables
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


def denials_for(policy: Document, *, arn: str, user_id: str) -> Document:
    """The statements of a bucket policy that deny a principal something in any case.

    `user_id` is IAM's own id of the principal. Conditions that exempt principals are judged; any
    other condition could be avoided.
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
    """Whether the condition of a Deny is not met by some requests of the principal."""
    for operator, keys in condition.items():
        for key, values in keys.items():
            patterns = map(_widest, as_list(values))
            match operator in NEGATED, key.lower():
                case True, "aws:principalarn":
                    exempts = any(_matches(pattern, arn) for pattern in patterns)
                case True, "aws:userid":  # of a role, with the name of a session after a colon
                    exempts = any(_matches(each.partition(":")[0], user_id) for each in patterns)
                case _:
                    exempts = True
            if exempts:
                return True
    return False


def _grants(
    policies: Iterable[Document], action: str, resource: str, *, overlaps: Callable[[str], bool]
) -> bool:
    """Whether some Allow includes one of the judged resources, and no Deny includes all of them.

    `resource` stands for all of them, and `overlaps` is whether a pattern includes one.
    """
    longer = resource.replace(ANY_NAME, ANY_NAME * LONGEST_NAME)

    def covers(pattern: str) -> bool:
        return _matches(pattern, resource) and _matches(pattern, longer)

    allowed = False
    for statement in chain.from_iterable(map(statements, policies)):
        if not _selects_action(statement, action):
            continue
        if statement["Effect"] == "Allow":
            allowed |= _selects(statement, overlaps, but_not=covers)
        elif not statement.get("Condition") and _selects(statement, covers, but_not=overlaps):
            return False
    return allowed


def _selects(
    statement: dict[str, Any], matches: Callable[[str], bool], *, but_not: Callable[[str], bool]
) -> bool:
    if "Resource" in statement:
        return any(map(matches, as_list(statement["Resource"])))
    return not any(map(but_not, as_list(statement["NotResource"])))


def _selects_action(statement: dict[str, Any], action: str) -> bool:
    if "Action" in statement:
        return _is_one_of(tuple(as_list(statement["Action"])), action)
    return not _is_one_of(tuple(as_list(statement["NotAction"])), action)


@cache
def _is_one_of(patterns: tuple[str, ...], action: str) -> bool:
    """Whether one of the patterns includes an action, in which IAM ignores case.

    Some of AWS's own policies have hundreds of patterns, and many principals have them.
    """
    return any(_matches(pattern.lower(), action.lower()) for pattern in patterns)


def _matches(pattern: str, value: str) -> bool:
    return _expression(pattern).fullmatch(value) is not None


def _may_begin(pattern: str, prefix: str) -> bool:
    """Whether the pattern matches any string that begins with `prefix`."""
    for index, character in enumerate(pattern):
        if character == "*" or index == len(prefix):
            return True
        if character not in {"?", prefix[index]}:
            return False
    return False


def _widest(pattern: str) -> str:
    """The pattern with `*` in place of its variables, such as `${aws:username}`."""
    return re.sub(r"\$\{[^}]*\}", "*", pattern)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)
