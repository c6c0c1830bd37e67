"""What the policies of roles and functions allow AWS's own services to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.iam.evaluation import Policy, listed
from localcloud.iam.operators import OPERATORS, UnsupportedPolicy, like


@dataclass(frozen=True, kw_only=True)
class ServiceCall:
    """An action of a service, such as s3.amazonaws.com, on the resource that has the policy."""

    service: str
    action: str
    context: Mapping[str, str] = field(default_factory=dict)


def allows(statements: Policy | Iterable[Policy], call: ServiceCall) -> bool:
    """Whether the statements of a resource's own policy allow the call."""
    single = [statements] if isinstance(statements, Mapping) else statements
    effects = {statement["Effect"] for statement in single if _applies(statement, call)}
    return effects == {"Allow"}


def allows_on(resource: str, statements: Policy | Iterable[Policy], call: ServiceCall) -> bool:
    """Whether the statements about this ARN allow the call."""
    single = [statements] if isinstance(statements, Mapping) else statements
    about = [
        statement
        for statement in single
        if any(like(pattern, resource) for pattern in listed(statement.get("Resource", ())))
    ]
    return allows(about, call)


def _applies(statement: Policy, call: ServiceCall) -> bool:
    principal = statement.get("Principal", {})
    if not isinstance(principal, Mapping) or call.service not in listed(
        principal.get("Service", "")
    ):
        return False
    context = {key.lower(): value for key, value in call.context.items()}
    return any(
        like(pattern.lower(), call.action.lower()) for pattern in listed(statement["Action"])
    ) and all(
        _holds(operator, values, context.get(key.lower(), ""))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _holds(operator: str, values: Any, value: str) -> bool:
    if operator not in OPERATORS:
        raise UnsupportedPolicy(f"Unsupported condition operator: {operator}")
    matches, negated = OPERATORS[operator]
    return any(matches(pattern, value) for pattern in listed(values)) != negated
