"""Whether a role lets a user, another role or a service assume it."""

from localcloud.iam import evaluation
from localcloud.iam.callers import Caller, Role, find_role
from localcloud.iam.service_principals import ServiceCall, allows

LAMBDA = "lambda.amazonaws.com"


def can_assume(role: Role, assumption: evaluation.Request, caller: Caller) -> bool:
    """Whether the caller can assume the role.

    The role must trust the caller by name, or the caller's account, whose own policies must then
    allow it. If the role is in another account, they must allow it in any case.
    """
    # A trust policy names no resource: it belongs to its role. A statement for the users of an
    # identity provider is about sessions that do not exist here.
    statements = [
        {**statement, "Resource": "*"}
        for statement in evaluation.listed(role.trust["Statement"])
        if {*statement.get("Principal", ())} != {"Federated"}
    ]
    if not statements:
        return False
    trust = {**role.trust, "Statement": statements}
    both = evaluation.evaluate(
        assumption,
        identity=caller.policies,
        boundary=caller.boundary,
        resource=trust,
        owner="the role's",
    )
    by_name = evaluation.evaluate(
        assumption,
        identity=[],
        boundary=caller.boundary,
        resource=trust,
        owner=role.arn.split(":")[4],
    )
    return both is evaluation.Effect.ALLOW or (
        both is evaluation.Effect.IMPLICIT_DENY and by_name is evaluation.Effect.ALLOW
    )


def trusts_lambda(role_arn: str) -> bool:
    """Whether the role exists, and Lambda can assume it for a function."""
    role = find_role(role_arn)
    if role is None:
        return False
    by_lambda = ServiceCall(
        service=LAMBDA,
        action="sts:AssumeRole",
        context={"aws:SourceAccount": role_arn.split(":")[4]},
    )
    return allows(role.trust["Statement"], by_lambda)
