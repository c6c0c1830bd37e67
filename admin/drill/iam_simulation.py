"""What IAM's policy simulation says about a role: by its own policies, and under a bucket's too."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from admin.account import Account, AccountError
from admin.desired.permissions import Document, document

ALLOWED, EXPLICIT_DENY = "allowed", "explicitDeny"
DENIALS = frozenset({EXPLICIT_DENY, "implicitDeny"})


def simulate(
    account: Account,
    *,
    role: str,
    actions: Iterable[str],
    resource: str,
    context: Mapping[str, str],
    bucket_policy: Document | None = None,
) -> dict[str, str]:
    """IAM's decision on each action of the role (an ARN): allowed, implicitDeny or explicitDeny.

    `context` has the request's condition keys; "true" and "false" are booleans.
    Raises AccountError for a bucket policy that cannot be simulated.
    """
    said = {"aws:PrincipalArn": role, "aws:SecureTransport": "true", **context}
    more: dict[str, Any] = {}
    if bucket_policy and (bound := binding(bucket_policy, role)):
        more = {"PolicyInputList": [json.dumps(document(*bound))]}
    answer = account.client("iam").simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=[*actions],
        ResourceArns=[resource],
        ContextEntries=[
            {
                "ContextKeyName": key,
                "ContextKeyValues": [value],
                "ContextKeyType": "boolean" if value in ("true", "false") else "string",
            }
            for key, value in said.items()
        ],
        **more,
    )
    return {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}


def binding(bucket_policy: Document, role: str) -> list[Document]:
    """The statements of a bucket policy that are about this role, as if they were its own.

    IAM simulates no bucket policies for roles. In one account a statement means the same in either
    place: a Deny denies and an Allow allows, apart from an Allow for the account as such, which
    leaves it to the role's own policies. Raises AccountError for what is said in another way.
    """
    statements = bucket_policy["Statement"]
    found = []
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Principal" not in statement:
            raise AccountError(
                f"The vault's policy says in {statement.get('Sid', 'a statement')} whom it is not "
                "about, which cannot be simulated; write it with a condition on aws:PrincipalArn"
            )
        if _names(statement["Principal"]) & _meaning(role, statement["Effect"]):
            kept = {"Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
            found.append({name: value for name, value in statement.items() if name in kept})
    return found


def _names(principal: Any) -> set[str]:
    names = principal.get("AWS", []) if isinstance(principal, dict) else principal
    return {names} if isinstance(names, str) else set(names)


def _meaning(role: str, effect: str) -> set[str]:
    """The names by which a statement means the role."""
    account = role.split(":")[4]
    everybody_there = {account, f"arn:aws:iam::{account}:root"}
    return {"*", role} | (everybody_there if effect == "Deny" else set())
