"""Runs IAM's policy simulator for a principal, in two ways that include a bucket policy.

According to AWS, it accepts no resource policies for roles; so a bucket policy is also simulated as
if it were a policy of the principal.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from botocore.exceptions import ClientError

from admin.account import Account, error_message
from admin.desired.permissions import Document, as_list, document, statements
from chalicelib.s3_errors import error_code

ALLOWED, EXPLICIT_DENY = "allowed", "explicitDeny"
REFUSED = "InvalidInput"
DENIALS = frozenset({EXPLICIT_DENY, "implicitDeny"})
# A policy that allows everything; only a Deny can prevent a request.
EVERYTHING: Document = document({"Effect": "Allow", "Action": "*", "Resource": "*"})


class NotDecidedError(Exception):
    """IAM's decision does not hold for a real request; the message explains why, as a clause."""


@dataclass(frozen=True, kw_only=True)
class SimulatedRequest:
    """A request to simulate: each of its actions on each of its resources (ARNs).

    `context` has the condition keys that such a request has ("true" and "false" are booleans), and
    `omitted` those that it leaves out on purpose. A policy that needs any other key cannot be
    simulated.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: Mapping[str, str] = field(default_factory=dict)
    omitted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SimulatedPrincipal:
    """The ARN of a user or role that requests come from.

    `policy` is simulated instead of the principal's own policies.
    """

    arn: str
    policy: Document | None = None


@dataclass(frozen=True)
class SimulatedDecision:
    """IAM's decision on one action: allowed, implicitDeny or explicitDeny.

    The resource is an ARN, or IAM's name for all of them together.
    """

    action: str
    resource: str
    effect: str


def simulate(
    account: Account,
    principal: SimulatedPrincipal,
    request: SimulatedRequest,
    *,
    bucket_policy: Document | None = None,
    owner: Account | None = None,
) -> list[SimulatedDecision]:
    """All decisions on the request, from both kinds of simulation; `owner` is the bucket's account.

    Raises NotDecidedError if IAM lacks a value, gives no decision or cannot be reached.
    """
    bound = binding(bucket_policy, principal.arn) if bucket_policy else []
    own = [principal.policy] if principal.policy else []
    as_input = own + ([document(*bound)] if bound else [])
    try:
        decisions = _ask(account, principal, request, owner, PolicyInputList=_texts(as_input))
    except ClientError as error:
        if error_code(error) != REFUSED:
            raise
        raise NotDecidedError(f"IAM refuses to simulate it ({error_message(error)})") from None
    # Between accounts both sides must allow; IAM cannot simulate a side whose policies it does not
    # have.
    if bucket_policy and (owner is None or owner.id == account.id):
        try:
            decisions += _ask(
                account,
                principal,
                request,
                owner,
                PolicyInputList=_texts(own),
                ResourcePolicy=json.dumps(bucket_policy),
                CallerArn=principal.arn,
            )
        except ClientError as error:
            # AWS documents this error for all principals except users. The first simulation
            # has decided for them.
            if error_code(error) != REFUSED or ":user/" in principal.arn:
                raise
    return decisions


def _ask(
    account: Account,
    principal: SimulatedPrincipal,
    request: SimulatedRequest,
    owner: Account | None,
    **policies: Any,
) -> list[SimulatedDecision]:
    context = {
        "aws:PrincipalAccount": principal.arn.split(":")[4],
        "aws:PrincipalArn": principal.arn,
        "aws:RequestedRegion": account.region,
        "aws:ResourceAccount": (owner or account).id,
        "aws:SecureTransport": "true",
        **request.context,
    }
    operation, source = "simulate_custom_policy", {}
    if principal.policy is None:
        operation, source = "simulate_principal_policy", {"PolicySourceArn": principal.arn}
    pages = (
        account.client("iam")
        .get_paginator(operation)
        .paginate(
            **source,
            **{name: value for name, value in policies.items() if value},
            ActionNames=[*request.actions],
            ResourceArns=[*request.resources],
            ContextEntries=[
                {
                    "ContextKeyName": key,
                    "ContextKeyValues": [value],
                    "ContextKeyType": "boolean" if value in ("true", "false") else "string",
                }
                for key, value in context.items()
            ],
        )
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    _require_known_context(results, request)
    decisions = [decision for result in results for decision in _decisions(result)]
    asked = set(product(request.actions, request.resources))
    if unanswered := asked - {(decision.action, decision.resource) for decision in decisions}:
        action, resource = min(unanswered)
        raise NotDecidedError(f"IAM gives no decision on {action} on {resource}")
    return decisions


def _decisions(result: dict[str, Any]) -> Iterator[SimulatedDecision]:
    """The decision on an action for each resource, and the one for all together if it differs."""
    action = result["EvalActionName"]
    effects = set()
    for specific in result.get("ResourceSpecificResults", []):
        effects.add(specific["EvalResourceDecision"])
        yield SimulatedDecision(
            action, specific["EvalResourceName"], specific["EvalResourceDecision"]
        )
    if result["EvalDecision"] not in effects:
        yield SimulatedDecision(action, result["EvalResourceName"], result["EvalDecision"])


def _require_known_context(results: list[dict[str, Any]], request: SimulatedRequest) -> None:
    """With a list of resources, IAM reports missing values only for each of them."""
    missing = {
        key
        for result in results
        for part in (result, *result.get("ResourceSpecificResults", []))
        for key in part.get("MissingContextValues", [])
    }
    omitted = {key.lower() for key in request.omitted}
    if unknown := sorted(key for key in missing if key.lower() not in omitted):
        raise NotDecidedError(
            f"a policy depends on {', '.join(unknown)}, which the drill cannot know for a real "
            "request"
        )


def _texts(policies: list[Document]) -> list[str]:
    return [json.dumps(policy) for policy in policies]


def binding(bucket_policy: Document, principal: str) -> list[Document]:
    """The statements of a bucket policy that apply to a user or role, as IAM policy statements.

    Within an account a statement means the same in either place, except an Allow for the whole
    account, which leaves the decision to the principal's own policies. Raises NotDecidedError for a
    statement with NotPrincipal.
    """
    applicable = []
    for statement in statements(bucket_policy):
        if "Principal" not in statement:
            raise NotDecidedError(
                f"{statement.get('Sid', 'a statement')} of the bucket policy has a NotPrincipal, "
                "which cannot be simulated; write it with a condition on aws:PrincipalArn"
            )
        if _names(statement["Principal"]) & _principals_of(principal, statement["Effect"]):
            kept = {"Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
            applicable.append({name: value for name, value in statement.items() if name in kept})
    return applicable


def _names(principal: Any) -> set[str]:
    return set(as_list(principal.get("AWS", []) if isinstance(principal, dict) else principal))


def _principals_of(arn: str, effect: str) -> set[str]:
    """The principals that include a user or role, if a statement names them."""
    account = arn.split(":")[4]
    whole_account = {account, f"arn:aws:iam::{account}:root"}
    return {"*", arn} | (whole_account if effect == "Deny" else set())
