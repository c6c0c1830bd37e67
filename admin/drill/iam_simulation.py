"""Asks IAM's policy simulator about a role, with its own policies and with a bucket policy."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from admin.account import Account, AccountError
from admin.desired.permissions import Document, as_list, document, statements

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
    conditions = {"aws:PrincipalArn": role, "aws:SecureTransport": "true", **context}
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
            for key, value in conditions.items()
        ],
        **more,
    )
    return {
        result["EvalActionName"]: result["EvalDecision"] for result in answer["EvaluationResults"]
    }


def binding(bucket_policy: Document, role: str) -> list[Document]:
    """The statements of a bucket policy that apply to this role, as statements of its IAM policy.

    IAM does not simulate bucket policies for roles. Within an account a statement means the same in
    either place, except an Allow for the whole account, which leaves the decision to the role's own
    policies. Raises AccountError for a statement with NotPrincipal.
    """
    applicable = []
    for statement in statements(bucket_policy):
        if "Principal" not in statement:
            raise AccountError(
                f"{statement.get('Sid', 'A statement')} of the vault's bucket policy has a "
                "NotPrincipal, which cannot be simulated; write it with a condition on "
                "aws:PrincipalArn"
            )
        if _names(statement["Principal"]) & _principals_of(role, statement["Effect"]):
            kept = {"Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
            applicable.append({name: value for name, value in statement.items() if name in kept})
    return applicable


def _names(principal: Any) -> set[str]:
    return set(as_list(principal.get("AWS", []) if isinstance(principal, dict) else principal))


def _principals_of(role: str, effect: str) -> set[str]:
    """The principals that include the role, if a statement names them."""
    account = role.split(":")[4]
    whole_account = {account, f"arn:aws:iam::{account}:root"}
    return {"*", role} | (whole_account if effect == "Deny" else set())
