"""Roles, functions and users with our names that neither `setup` nor `deploy` created."""

import json
from collections.abc import Iterator
from typing import Any

from admin.account import none_if
from admin.config.reading import FUNCTIONS
from admin.desired.permissions import (
    DENY_EVERYTHING,
    LARGEST_OF_A_USER,
    REVOKED,
    SERVER_POLICY_NAME,
    Document,
    as_list,
    statements,
)
from admin.desired.requirement import Kind
from admin.setup.adoption.obstacle import Obstacle
from admin.setup.plan import Change, Plan
from admin.target import Target

_LAMBDA = "lambda.amazonaws.com"
# Neither a role nor a function can be renamed.
_DELETE = "delete it, or give the stage another name"


def obstacles_of_identities(target: Target, plan: Plan) -> Iterator[Obstacle]:
    """Obstacles in existing roles, functions and users that have our names."""
    for handler in FUNCTIONS:
        name = target.stage.function_name(handler)
        function = _function_named(target, name)
        if function and function.get("Handler") != f"app.{handler}":
            yield _another_program(name, function)
        yield from _role(target, name, is_deployed=function is not None)
    for change in plan.changes:
        if change.requirement.kind is Kind.USER:
            yield from _user(target, change)


def _function_named(target: Target, name: str) -> dict[str, Any] | None:
    configuration: dict[str, Any] | None = none_if(
        "ResourceNotFoundException",
        lambda: target.account.client("lambda").get_function_configuration(FunctionName=name),
    )
    return configuration


def _another_program(name: str, function: dict[str, Any]) -> Obstacle:
    return Obstacle(
        what=f"The function {name} exists and is a different program: {function.get('Handler')} in "
        f"{function.get('Runtime') or 'an image'}, with the role {function['Role']}. chalice "
        "deploy would replace it",
        fix=_DELETE,
        name=name,
    )


def _role(target: Target, name: str, *, is_deployed: bool) -> Iterator[Obstacle]:
    iam = target.account.client("iam")
    answer = none_if("NoSuchEntity", lambda: iam.get_role(RoleName=name))
    if answer is None:
        return
    role = answer["Role"]
    if role["Path"] != "/":
        yield Obstacle(
            what=f"The role {name} exists with the path {role['Path']}, but the vault allows only "
            "roles without a path",
            fix=_DELETE,
        )
    if boundary := role.get("PermissionsBoundary"):
        yield Obstacle(
            what=f"The role {name} has a permissions boundary, "
            f"{boundary['PermissionsBoundaryArn']}, which can deny promotions",
            fix=target.fix_aws("iam", "delete-role-permissions-boundary", role_name=name),
            name=f"{name}:boundary",
        )
    trust = statements(role["AssumeRolePolicyDocument"])
    if not any(_LAMBDA in _services(statement) for statement in trust):
        yield Obstacle(
            what=f"The role {name} exists, but does not trust Lambda: {json.dumps(trust)}",
            fix=f"{_DELETE}; chalice deploy creates its own role",
        )
    # An interrupted chalice deploy leaves a role with only our policy, which has the role's name.
    inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    policies = [*inline, *(policy["PolicyName"] for policy in attached)]
    if not is_deployed and (more := [policy for policy in policies if policy != name]):
        yield Obstacle(
            what=f"The role {name} exists with the policies {', '.join(more)}, which the function "
            "would also have",
            fix=f"{_DELETE}; chalice deploy creates its own role",
            name=name,
        )


def _services(statement: Document) -> list[str]:
    """The services that a statement of a trust policy names."""
    principal = statement["Principal"]
    return as_list(principal.get("Service", [])) if isinstance(principal, dict) else []


def _user(target: Target, change: Change) -> Iterator[Obstacle]:
    """What an existing user has besides our policy.

    A user with only keys is not an obstacle: it was left by an interruption, or its policy was
    removed, and `setup` restores the policy.
    """
    iam, name = target.account.client("iam"), change.requirement.resource
    answer = none_if("NoSuchEntity", lambda: iam.get_user(UserName=name))
    if answer is None:
        return
    if boundary := answer["User"].get("PermissionsBoundary"):
        yield Obstacle(
            what=f"The user {name} has a permissions boundary, "
            f"{boundary['PermissionsBoundaryArn']}, which can deny uploads",
            fix=target.fix_aws("iam", "delete-user-permissions-boundary", user_name=name),
            name=f"{name}:boundary",
        )
    inline = _other_policies(iam, name)
    size = sum(
        len(json.dumps(policy, separators=(",", ":")))
        for policy in (change.requirement.desired, DENY_EVERYTHING, *inline.values())
    )
    if size > LARGEST_OF_A_USER:
        yield Obstacle(
            what=f"The inline policies of the user {name} would have {size:,} characters, but IAM "
            f"accepts {LARGEST_OF_A_USER:,}: it also has {', '.join(inline)}",
            fix="remove these policies",
        )
    elif change.actual is None:
        yield from _more_than_ours(iam, name, [*inline])


def _more_than_ours(iam: Any, name: str, inline: list[str]) -> Iterator[Obstacle]:
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    groups = iam.list_groups_for_user(UserName=name)["Groups"]
    has = [
        *(f"the policy {policy}" for policy in inline),
        *(f"the policy {policy['PolicyName']}" for policy in attached),
        *(f"the group {group['GroupName']}" for group in groups),
    ]
    if has:
        yield Obstacle(
            what=f"The user {name} exists and was not created by backups setup; it has "
            f"{', '.join(has)}, and would keep these rights",
            fix="delete or rename it",
            name=name,
        )


def _other_policies(iam: Any, user: str) -> dict[str, Any]:
    names = iam.list_user_policies(UserName=user)["PolicyNames"]
    return {
        name: iam.get_user_policy(UserName=user, PolicyName=name)["PolicyDocument"]
        for name in names
        if name not in {SERVER_POLICY_NAME, REVOKED}
    }
