"""Checks a function's role: what it is allowed to do, and who can assume it."""

import json
from collections.abc import Iterator

from admin.check.deployed_function import DeployedFunction
from admin.check.report import Finding
from admin.config.reading import FUNCTIONS
from admin.desired.bucket_policies import canonical
from admin.desired.permissions import Document, document, statements
from admin.target import Target

# Only Lambda can assume the role.
LAMBDA = {"Service": "lambda.amazonaws.com"}
TRUST = document({"Effect": "Allow", "Principal": LAMBDA, "Action": "sts:AssumeRole"})
WHY = "The function's rights belong in .chalice/, and nowhere else."
# What an intruder could do with the role.
WHAT_A_THIEF_COULD_DO = {
    "promote": "Anyone who assumes this role can fill free slots with anything.",
    "sweep": "Anyone who assumes this role can read uploads and backups.",
    "audit": "Anyone who assumes this role can read backups and send alerts.",
}


def check_role_exists(function: DeployedFunction) -> Iterator[Finding]:
    """Find that the role does not exist."""
    if function.role is None:
        # For the key that encrypts the function's environment, a recreated role is another
        # principal: an existing function could never decrypt its environment again.
        yield Finding(
            what=f"The role {function.name} does not exist",
            why=f"The function cannot run without it. {function.stays_behind}",
            remedy=function.fix_redeploy,
        )


def check_role(function: DeployedFunction, desired: Document) -> Iterator[Finding]:
    """Find IAM policies other than the desired one, and anyone but Lambda who can assume it."""
    iam, role, target = function.client("iam"), function.name, function.target
    inline = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    }
    # Chalice names the IAM policy after the role, and ignores all others.
    if inline.pop(role, None) != desired:
        yield Finding(
            what=f"The role {role} does not have the IAM policy generated from your policy.toml",
            why=WHY,
            remedy=target.fix_deploy(),
        )
    for name in inline:
        yield Finding(
            what=f"The role {role} has an additional IAM policy, {name}",
            why=WHY,
            remedy=target.fix_aws("iam", "delete-role-policy", role_name=role, policy_name=name),
        )
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        yield Finding(
            what=f"The role {role} has an additional IAM policy, {arn}",
            why=WHY,
            remedy=target.fix_aws("iam", "detach-role-policy", role_name=role, policy_arn=arn),
        )
    yield from _check_boundary(function)
    yield from _check_trust(function)


def check_borrowed_roles(target: Target) -> Iterator[Finding]:
    """Find functions of this region that have the role of one of our functions.

    Anyone who can change the code of such a function has the role's rights.
    """
    handlers = {target.stage.function_name(handler): handler for handler in FUNCTIONS}
    pages = target.account.client("lambda").get_paginator("list_functions").paginate()
    for function in (function for page in pages for function in page["Functions"]):
        name, role = function["FunctionName"], function["Role"].rpartition(":role/")[2]
        if role in handlers and name not in handlers:
            yield Finding(
                what=f"The function {name} has the role {role}",
                why=f"{WHAT_A_THIEF_COULD_DO[handlers[role]]} So could anyone who can change the "
                "code of this function. If it is yours, give it a role of its own instead.",
                remedy=target.fix_aws("lambda", "delete-function", function_name=name),
            )


def _check_boundary(function: DeployedFunction) -> Iterator[Finding]:
    boundary = (function.role or {}).get("PermissionsBoundary")
    if boundary and f"{function.name}:boundary" not in function.target.stage.accepted:
        yield Finding(
            what=f"The role {function.name} has a permissions boundary, "
            f"{boundary['PermissionsBoundaryArn']}",
            why="It can take rights away from the function, now or when somebody changes it. "
            f"{function.stays_behind}",
            remedy=function.target.fix_aws(
                "iam", "delete-role-permissions-boundary", role_name=function.name
            ),
        )


def _check_trust(function: DeployedFunction) -> Iterator[Finding]:
    trust = function.role["AssumeRolePolicyDocument"] if function.role else document()
    actual = [canonical(_without_sid(statement)) for statement in statements(trust)]
    [only_lambda] = (canonical(statement) for statement in statements(TRUST))
    if actual == [only_lambda]:
        return
    lets_others_in = any(
        statement.get("Principal") != only_lambda["Principal"] for statement in actual
    )
    yield Finding(
        what=f"Principals other than Lambda can assume the role {function.name}: "
        f"{json.dumps(trust['Statement'])}"
        if lets_others_in
        else f"Lambda cannot always assume the role {function.name}: "
        f"{json.dumps(trust['Statement'])}",
        why=WHAT_A_THIEF_COULD_DO[function.handler] if lets_others_in else function.stays_behind,
        remedy=function.target.fix_aws(
            "iam",
            "update-assume-role-policy",
            role_name=function.name,
            policy_document=TRUST,
        ),
    )


def _without_sid(statement: Document) -> Document:
    """The statement without its name, which has no effect."""
    return {element: value for element, value in statement.items() if element != "Sid"}
