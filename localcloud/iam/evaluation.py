"""Evaluates IAM policies, for the part of the policy language that is supported here.

Ignoring an unsupported operator, element or condition key would silently weaken a Deny, so it
raises `UnsupportedPolicy`, even if its statement does not apply to the request.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from localcloud.iam.operators import OPERATORS, UnsupportedPolicy, boolean, like, tokens

Policy = Mapping[str, Any]

# The keys that `authorization`, `s3_actions`, `iam_actions` and `lambda_actions` fill in, in
# lowercase. Any other key would wrongly count as missing from the request. The account, ARN
# and owner of a source are only in requests of services, which are not authorized here.
CONDITION_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceowner",
        "aws:userid",
        "iam:passedtoservice",
        "iam:permissionsboundary",
        "iam:policyarn",
        "s3:if-match",
        "s3:if-none-match",
        "s3:object-lock-mode",
        "s3:object-lock-remaining-retention-days",
        "s3:objectcreationoperation",
        "s3:prefix",
        "s3:x-amz-acl",
        "s3:x-amz-copy-source",
        "s3:x-amz-metadata-directive",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "s3:x-amz-storage-class",
        "sts:externalid",
    }
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One action of one principal on one resource.

    `principal` is the value of `aws:PrincipalArn`: for an assumed role, the role's ARN. The keys of
    `context` are condition keys, case-insensitive; a missing key is not in the request.
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
    boundary: Policy | None = None,
    resource: Policy | None = None,
    owner: str | None = None,
) -> Effect:
    """The effect of the principal's own policies and of the resource's policy on `request`.

    Any matching Deny wins. Within one account it is enough that either side allows; if `owner`, the
    resource's account (by default the principal's), is another account, both sides must. A
    permissions `boundary` must allow what the principal's own policies allow, and what the
    resource's policy allows to a role by its ARN. It does not limit what that policy allows to a
    user by its ARN, or to everyone (IAM user guide, "Permissions boundaries for IAM entities").

    Raises `UnsupportedPolicy` if any of the policies is not supported.
    """
    account = request.principal.split(":")[4]
    by_identity = [s for policy in identity for s in _statements(policy) if _applies(s, request)]
    by_resource = [
        s
        for s in (_statements(resource, of_resource=True) if resource is not None else [])
        if _applies(s, request) and _names(s, request.principal)
    ]
    limits = [] if boundary is None else _statements(boundary)
    by_boundary = [s for s in limits if _applies(s, request)]
    if any(s["Effect"] == "Deny" for s in by_identity + by_resource + by_boundary):
        return Effect.EXPLICIT_DENY
    within = boundary is None or bool(by_boundary)
    allowed = bool(by_identity) and within
    if owner is None or owner == account:
        # A statement that allows an account delegates to that account's own policies.
        unlimited = {"*"} if ":role/" in request.principal else {"*", request.principal}
        names = {name for s in by_resource for name in _names(s, request.principal)}
        allowed = allowed or bool(names & unlimited) or (request.principal in names and within)
    else:
        allowed = allowed and bool(by_resource)
    return Effect.ALLOW if allowed else Effect.IMPLICIT_DENY


def missing_keys(
    request: Request,
    *,
    identity: Iterable[Policy],
    boundary: Policy | None = None,
    resource: Policy | None = None,
) -> set[str]:
    """The condition keys that the request lacks, from statements about its action and resource.

    IAM's simulator reports them, in the statement's spelling: with these keys its decision
    could differ.
    """
    own = [*identity, *([] if boundary is None else [boundary])]
    statements = [statement for policy in own for statement in _statements(policy)]
    if resource is not None:
        statements += _statements(resource, of_resource=True)
    known = {key.lower() for key in request.context}
    return {
        key
        for statement in statements
        if _is_about(statement, request)
        for keys in statement.get("Condition", {}).values()
        for key in keys
        if key.lower() not in known
    }


def require_support(bucket_policy: Policy) -> None:
    """Raise `UnsupportedPolicy` unless this bucket policy could be evaluated."""
    _statements(bucket_policy, of_resource=True)


def _applies(statement: Policy, request: Request) -> bool:
    if not _is_about(statement, request):
        return False
    context = {key.lower(): value for key, value in request.context.items()}
    return all(
        _holds(operator, values, context.get(key))
        for operator, key, values in _conditions(statement)
    )


def _is_about(statement: Policy, request: Request) -> bool:
    return _selects(statement, "Action", request.action.lower(), normalized=str.lower) and _selects(
        statement, "Resource", request.resource, normalized=str
    )


def _selects(statement: Policy, element: str, value: str, normalized: Callable[[str], str]) -> bool:
    if element in statement:
        return any(like(normalized(pattern), value) for pattern in listed(statement[element]))
    return not any(like(normalized(p), value) for p in listed(statement[f"Not{element}"]))


def _holds(operator: str, values: list[str], value: str | None) -> bool:
    if operator == "Null":
        return str(value is None).lower() in map(boolean, values)
    matches, negated = OPERATORS[operator.removesuffix("IfExists")]
    if value is None:
        # A negated operator matches a missing key, with and without IfExists.
        return negated or operator.endswith("IfExists")
    return any(matches(pattern, value) for pattern in values) != negated


def _conditions(statement: Policy) -> list[tuple[str, str, list[str]]]:
    return [
        (operator, key.lower(), [_text(value) for value in listed(values)])
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _statements(policy: Policy, *, of_resource: bool = False) -> list[Policy]:
    """The statements of `policy`. Raises `UnsupportedPolicy` unless all of them are supported."""
    known = {"Version", "Statement"} <= set(policy) <= {"Version", "Id", "Statement"}
    if not known or policy["Version"] != "2012-10-17":
        raise UnsupportedPolicy(f"Unsupported policy (not of Version 2012-10-17): {dict(policy)}")
    statements: list[Policy] = listed(policy["Statement"])
    for statement in statements:
        elements = frozenset(statement) - {"Sid", "Condition"}
        known = elements in (_SHAPES_OF_RESOURCES if of_resource else _SHAPES)
        if not known or statement["Effect"] not in ("Allow", "Deny"):
            raise UnsupportedPolicy(f"Unsupported statement: {dict(statement)}")
        for element in elements & _PATTERNS:
            for pattern in listed(statement[element]):
                tokens(pattern)
        for element in elements & _PRINCIPALS:
            _principals(statement[element])
        for operator, key, values in _conditions(statement):
            _require_support(operator, key, values)
    return statements


_PATTERNS = frozenset({"Action", "NotAction", "Resource", "NotResource"})
_PRINCIPALS = frozenset({"Principal", "NotPrincipal"})
# The elements of a statement, besides Sid and Condition, in a policy of a principal or a resource.
_SHAPES = frozenset(
    frozenset({"Effect", action, resource})
    for action in ("Action", "NotAction")
    for resource in ("Resource", "NotResource")
)
_SHAPES_OF_RESOURCES = frozenset(
    shape | {principal} for shape in _SHAPES for principal in _PRINCIPALS
)


def _names(statement: Policy, principal: str) -> set[str]:
    """The names by which the statement applies to the principal: its ARN, its account, everyone.

    A Deny with NotPrincipal must except the account, too; otherwise, it "might deny access to the
    entire account containing the principal" (IAM user guide, "NotPrincipal").
    """
    names = {"*", principal, f"arn:aws:iam::{principal.split(':')[4]}:root"}
    if "Principal" in statement:
        return names & _principals(statement["Principal"])
    excepted = names & _principals(statement["NotPrincipal"])
    enough = bool(excepted) if statement["Effect"] == "Allow" else names - excepted <= {"*"}
    return set() if enough else {"*"}


def _principals(element: Any) -> set[str]:
    if element == "*":
        return {"*"}
    # Requests here never come from a service: what S3 does by itself needs no permission.
    if not isinstance(element, Mapping) or not set(element) <= {"AWS", "Federated", "Service"}:
        raise UnsupportedPolicy(f"Unsupported principal: {element}")
    names = listed(element["AWS"]) if "AWS" in element else []
    names = [re.sub(r"^(\d{12})$", r"arn:aws:iam::\1:root", name) for name in names]
    for name in names:
        # Once a user or role is deleted, S3 shows its unique ID instead of its ARN.
        arn = r"arn:aws:iam::\d{12}:(root|(user|role)/[^*?]+)"
        if not re.fullmatch(rf"\*|{arn}|A(ID|RO)A[A-Z0-9]+", name):
            raise UnsupportedPolicy(f"Unsupported principal: {name}")
    return set(names)


def _require_support(operator: str, key: str, values: list[str]) -> None:
    if key not in CONDITION_KEYS:
        raise UnsupportedPolicy(f"Unsupported condition key: {key}")
    name = "Bool" if operator == "Null" else operator.removesuffix("IfExists")
    if name not in OPERATORS:
        raise UnsupportedPolicy(f"Unsupported condition operator: {operator}")
    matches, _ = OPERATORS[name]
    for value in values:
        matches(value, value)


def listed(value: Any) -> list[Any]:
    """The items of a list in a policy, which can be a single item instead."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise UnsupportedPolicy("Unsupported: an empty list allows nothing and denies nothing")
    return values
