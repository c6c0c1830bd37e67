"""The policy language of IAM, as far as the policies of this project speak it; the rest is refused.

An operator, element or condition key that is not understood here would silently weaken a Deny:
it raises `UnsupportedPolicy`, whether or not its statement applies to the request.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from localcloud.iam.operators import OPERATORS, UnsupportedPolicy, boolean, like, tokens

Policy = Mapping[str, Any]

# In lower case. What `authorization` and `s3_actions` fill in: any other key would read as "not in
# the request".
CONDITION_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:securetransport",
        "aws:sourceip",
        "s3:if-match",
        "s3:if-none-match",
        "s3:object-lock-mode",
        "s3:object-lock-remaining-retention-days",
        "s3:objectcreationoperation",
        "s3:prefix",
        "s3:x-amz-copy-source",
        "s3:x-amz-metadata-directive",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "s3:x-amz-storage-class",
    }
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One action of one principal on one resource.

    `principal` is the ARN that `aws:PrincipalArn` shows: of an assumed role, the role's. The keys
    of `context` are condition keys, case-insensitive; an absent one is not in the request.
    """

    principal: str
    action: str
    resource: str
    context: Mapping[str, str]


class Effect(StrEnum):
    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


def evaluate(
    request: Request,
    *,
    identity: Iterable[Policy],
    resource: Policy | None = None,
    owner: str | None = None,
) -> Effect:
    """Judge `request` by the principal's own policies and by the policy of the resource.

    Any matching Deny wins. Within one account either side may allow; where `owner`, the account of
    the resource (by default the principal's), is another one, both must.

    Raises `UnsupportedPolicy` if any of the policies is not understood.
    """
    account = request.principal.split(":")[4]
    personally = {"*", request.principal}
    as_anybody = personally | {f"arn:aws:iam::{account}:root"}

    own = [s for policy in identity for s in _statements(policy) if _applies(s, request)]
    theirs = [
        s
        for s in (_statements(resource, of_resource=True) if resource is not None else [])
        if _applies(s, request) and not as_anybody.isdisjoint(_principals(s))
    ]
    if any(s["Effect"] == "Deny" for s in own + theirs):
        return Effect.EXPLICIT_DENY
    if owner is None or owner == account:
        # Allowing an account leaves it to that account's own policies whom of its people to allow.
        allowed = own or [s for s in theirs if not personally.isdisjoint(_principals(s))]
    else:
        allowed = own and theirs
    return Effect.ALLOW if allowed else Effect.IMPLICIT_DENY


def _applies(statement: Policy, request: Request) -> bool:
    context = {key.lower(): value for key, value in request.context.items()}
    return (
        _selects(statement, "Action", request.action.lower(), spelled=str.lower)
        and _selects(statement, "Resource", request.resource, spelled=str)
        and all(
            _holds(operator, values, context.get(key)) for operator, key, values in _asks(statement)
        )
    )


def _selects(statement: Policy, element: str, value: str, spelled: Callable[[str], str]) -> bool:
    if element in statement:
        return any(like(spelled(pattern), value) for pattern in listed(statement[element]))
    return not any(like(spelled(p), value) for p in listed(statement[f"Not{element}"]))


def _holds(operator: str, values: list[str], value: str | None) -> bool:
    if operator == "Null":
        return str(value is None).lower() in map(boolean, values)
    matches, negated = OPERATORS[operator.removesuffix("IfExists")]
    if value is None:
        # A negated operator matches what is not there, with and without IfExists.
        return negated or operator.endswith("IfExists")
    return any(matches(wanted, value) for wanted in values) != negated


def _asks(statement: Policy) -> list[tuple[str, str, list[str]]]:
    return [
        (operator, key.lower(), [_text(value) for value in listed(values)])
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _statements(policy: Policy, *, of_resource: bool = False) -> list[Policy]:
    """The statements of `policy`, each of which is understood to its last word."""
    known = {"Version", "Statement"} <= set(policy) <= {"Version", "Id", "Statement"}
    if not known or policy["Version"] != "2012-10-17":
        raise UnsupportedPolicy(f"Not a policy of Version 2012-10-17: {dict(policy)}")
    statements: list[Policy] = listed(policy["Statement"])
    for statement in statements:
        elements = set(statement) - {"Sid", "Condition"}
        shape = {"Effect", "Principal"} if of_resource else {"Effect"}
        known = any(elements == shape | {a, r} for a in _ACTIONS for r in _RESOURCES)
        if not known or statement["Effect"] not in ("Allow", "Deny"):
            raise UnsupportedPolicy(f"This statement is not understood: {dict(statement)}")
        for element in elements & {*_ACTIONS, *_RESOURCES}:
            for pattern in listed(statement[element]):
                tokens(pattern)
        if of_resource:
            _principals(statement)
        for operator, key, values in _asks(statement):
            _understand(operator, key, values)
    return statements


_ACTIONS, _RESOURCES = ("Action", "NotAction"), ("Resource", "NotResource")


def _principals(statement: Policy) -> set[str]:
    principal = statement["Principal"]
    if principal == "*":
        return {"*"}
    # A service is never the principal of a request here: S3 itself is not asked for permission.
    if not isinstance(principal, Mapping) or not set(principal) <= {"AWS", "Service"}:
        raise UnsupportedPolicy(f"This principal is not understood: {principal}")
    names = listed(principal["AWS"]) if "AWS" in principal else []
    names = [re.sub(r"^(\d{12})$", r"arn:aws:iam::\1:root", name) for name in names]
    for name in names:
        if not re.fullmatch(r"\*|arn:aws:iam::\d{12}:(root|(user|role)/[^*?]+)", name):
            raise UnsupportedPolicy(f"This principal is not understood: {name}")
    return set(names)


def _understand(operator: str, key: str, values: list[str]) -> None:
    if key not in CONDITION_KEYS:
        raise UnsupportedPolicy(f"No request here carries the condition key {key}")
    name = "Bool" if operator == "Null" else operator.removesuffix("IfExists")
    if name not in OPERATORS:
        raise UnsupportedPolicy(f"The condition operator {operator} is not understood")
    matches, _ = OPERATORS[name]
    for value in values:
        matches(value, value)


def listed(value: Any) -> list[Any]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise UnsupportedPolicy("An empty list allows nothing and denies nothing")
    return values
