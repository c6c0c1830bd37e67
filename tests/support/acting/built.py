"""Creates an account in the local cloud."""

import base64
import json
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.iam.models import AWSManagedPolicy, iam_backends

from localcloud.cloud import Cloud
from tests.support.acting.clients import client_as
from tests.support.acting.model import (
    ACCOUNT,
    IAM,
    AccountModel,
    Holder,
    Managed,
    Statement,
    allow,
)


def document(statements: list[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


EVERYTHING = document([allow("*", "*")])
# Trust in everyone, and in Lambda.
OPEN = document(
    [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "*", "Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ]
)
NOBODY = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}
CODE = b"a bundle"
ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


def build(cloud: Cloud, account: AccountModel) -> None:
    """Create the account again, as its administrator, including one of AWS's own policies."""
    iam_backends[ACCOUNT]["aws"].reset()
    lambda_backends[ACCOUNT]["us-east-1"].reset()
    _add_administrator_access()
    iam = client_as(cloud.administrator, cloud, "iam")
    for name, managed in account.policies.items():
        _make_policy(iam, name, managed)
    for name, group in account.groups.items():
        iam.create_group(GroupName=name, Path=group.path)
        _give_policies(iam, "group", name, group)
    for name, user in account.users.items():
        _make_user(iam, name, user)
    for name, role in account.roles.items():
        iam.create_role(
            RoleName=name, Path=role.path, AssumeRolePolicyDocument=OPEN, **_boundary(role)
        )
        _give_policies(iam, "role", name, role)
    for name, role_name in account.functions.items():
        lambda_backends[ACCOUNT]["us-east-1"].create_function(
            {
                "FunctionName": name,
                "Role": account.arn("role", role_name),
                "Runtime": "python3.13",
                "Handler": "a.b",
                "Code": {"ZipFile": base64.b64encode(CODE).decode()},
            }
        )
    # Last, because the roles of some functions no longer trust Lambda.
    for name, role in account.roles.items():
        trust = document(role.trust or [NOBODY])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)


def _add_administrator_access() -> None:
    data = {
        "Path": "/",
        "DefaultVersionId": "v1",
        "Document": json.loads(EVERYTHING),
        "CreateDate": "2026-01-01T00:00:00+00:00",
        "UpdateDate": "2026-01-01T00:00:00+00:00",
    }
    policy = AWSManagedPolicy.from_data("AdministratorAccess", ACCOUNT, "us-east-1", data)
    iam_backends[ACCOUNT]["aws"].managed_policies[ADMINISTRATOR_ACCESS] = policy


def _make_policy(iam: Any, name: str, managed: Managed) -> None:
    first, *others = map(document, managed.versions)
    this = {"PolicyArn": f"{IAM}:policy/{name}"}
    iam.create_policy(PolicyName=name, PolicyDocument=first)
    for other in others:
        iam.create_policy_version(**this, PolicyDocument=other)
    iam.set_default_policy_version(**this, VersionId=f"v{managed.default + 1}")


def _make_user(iam: Any, name: str, user: Holder) -> None:
    this = {"UserName": name}
    iam.create_user(**this, Path=user.path, **_boundary(user))
    if user.password:
        iam.create_login_profile(**this, Password="p")
    if user.inactive_key:
        key = iam.create_access_key(**this)["AccessKey"]["AccessKeyId"]
        iam.update_access_key(**this, AccessKeyId=key, Status="Inactive")
    for group in user.groups:
        iam.add_user_to_group(**this, GroupName=group)
    _give_policies(iam, "user", name, user)


def _boundary(holder: Holder) -> dict[str, str]:
    return {"PermissionsBoundary": f"{IAM}:policy/{holder.boundary}"} if holder.boundary else {}


def _give_policies(iam: Any, kind: str, name: str, holder: Holder) -> None:
    this = {f"{kind.title()}Name": name}
    for number, statements in enumerate(holder.inline):
        getattr(iam, f"put_{kind}_policy")(
            **this, PolicyName=f"p{number}", PolicyDocument=document(statements)
        )
    for attached in holder.attached:
        getattr(iam, f"attach_{kind}_policy")(**this, PolicyArn=f"{IAM}:policy/{attached}")
