"""IAM's policy simulator: SimulatePrincipalPolicy for users and roles, SimulateCustomPolicy."""

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import InvalidInput, NotFoundException
from moto.iam.responses import IamResponse

from localcloud.iam import evaluation
from localcloud.iam.callers import find_role, find_user
from localcloud.iam.operators import UnsupportedPolicy

_DECISIONS = {
    evaluation.Effect.ALLOW: "allowed",
    evaluation.Effect.EXPLICIT_DENY: "explicitDeny",
    evaluation.Effect.IMPLICIT_DENY: "implicitDeny",
}
_STRICTEST = ("explicitDeny", "implicitDeny", "allowed")


def simulate_principal_policy(request: IamResponse) -> ActionResult:
    """Simulate a principal with its own policies and those in the request."""
    arn = str(request._get_param("PolicySourceArn"))
    principal = find_role(arn) or find_user(arn)
    if principal is None:
        raise NotFoundException("The local cloud only simulates users and roles, and not this one")
    return _simulate(request, caller=arn, own=principal.policies, boundary=principal.boundary)


def simulate_custom_policy(request: IamResponse) -> ActionResult:
    """Simulate the policies in the request alone."""
    return _simulate(request, caller=request._get_param("CallerArn") or "", own=[], boundary=None)


def _simulate(
    request: IamResponse,
    *,
    caller: str,
    own: list[evaluation.Policy],
    boundary: evaluation.Policy | None,
) -> ActionResult:
    identity = [*own, *map(json.loads, request._get_param("PolicyInputList", []))]
    resource_policy = _resource_policy(request, caller)
    context = {
        entry["ContextKeyName"]: entry["ContextKeyValues"][0]
        for entry in request._get_param("ContextEntries", [])
    }

    def decide(action: str, resource: str) -> dict[str, Any]:
        # Without a caller, no policy names a principal, and only conditions could depend on it.
        simulated = evaluation.Request(
            principal=caller or "arn:aws:iam::000000000000:root",
            action=action,
            resource=resource,
            context=context,
        )
        try:
            effect = evaluation.evaluate(
                simulated, identity=identity, boundary=boundary, resource=resource_policy
            )
            missing = evaluation.missing_keys(
                simulated, identity=identity, boundary=boundary, resource=resource_policy
            )
        except UnsupportedPolicy as error:
            raise InvalidInput(str(error)) from None
        return {
            "EvalResourceName": resource,
            "EvalResourceDecision": _DECISIONS[effect],
            "MatchedStatements": [],
            "MissingContextValues": sorted(missing),
        }

    resources = request._get_param("ResourceArns", [])
    return ActionResult(
        {
            "EvaluationResults": [
                _result(action, [decide(action, one) for one in resources or ["*"]], resources)
                for action in request._get_param("ActionNames")
            ],
            "IsTruncated": False,
        }
    )


def _result(action: str, specific: list[dict[str, Any]], resources: list[str]) -> dict[str, Any]:
    """The result for an action: for all resources together, and for each that the request names."""
    decisions = {one["EvalResourceDecision"] for one in specific}
    return {
        "EvalActionName": action,
        # IAM shows the form of such an ARN here, and the resource only in its own result.
        "EvalResourceName": "arn:${Partition}:${Service}:::${Resource}" if resources else "*",
        "EvalDecision": next(one for one in _STRICTEST if one in decisions),
        "MatchedStatements": [],
        # For a list of resources, the missing values are listed only for each of them.
        "MissingContextValues": [] if resources else specific[0]["MissingContextValues"],
        "ResourceSpecificResults": specific if resources else [],
    }


def _resource_policy(request: IamResponse, caller: str) -> evaluation.Policy | None:
    text = request._get_param("ResourcePolicy")
    if not text:
        return None
    if find_role(caller):
        raise InvalidInput("Simulation of resource-based policies isn't supported for IAM roles.")
    if ":user/" not in caller:
        raise InvalidInput("A resource policy needs a CallerArn, the ARN of a user")
    policy: evaluation.Policy = json.loads(text)
    return policy
