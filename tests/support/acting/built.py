"""Makes an account in the local cloud."""

import base64
import json
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.iam.models import AWSManagedPolicy, iam_backends

from localcloud.cloud import Cloud
from tests.support.acting.model import ACCOUNT, IAM, AccountModel, Holder, Statement, allow


def document(statements: list[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


EVERYTHING = document([allow("*", "*")])
# A trust in everybody, and in Lambda.
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
ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
CODE = b"a bundle"


def build(cloud: Cloud, account: AccountModel) -> None:
    """Make the account anew, as its administrator."""
    backend = iam_backends[ACCOUNT]["aws"]
    backend.reset()
    functions = lambda_backends[ACCOUNT]["us-east-1"]
    functions.reset()
    aws = {
        "Path": "/",
        "DefaultVersionId": "v1",
        "Document": json.loads(EVERYTHING),
        "CreateDate": "2026-01-01T00:00:00+00:00",
        "UpdateDate": "2026-01-01T00:00:00+00:00",
    }
    everything = AWSManagedPolicy.from_data("AdministratorAccess", ACCOUNT, "us-east-1", aws)
    backend.managed_policies[everything.arn] = everything
    iam = cloud.session(cloud.administrator).client("iam")
    for name, managed in account.policies.items():
        first, *others = map(document, managed.versions)
        policy = {"PolicyArn": f"{IAM}:policy/{name}"}
        iam.create_policy(PolicyName=name, PolicyDocument=first)
        for other in others:
            iam.create_policy_version(**policy, PolicyDocument=other)
        iam.set_default_policy_version(**policy, VersionId=f"v{managed.default + 1}")
    for name, group in account.groups.items():
        iam.create_group(GroupName=name, Path=group.path)
        _give(iam, "group", name, group)
    for kind, holders in (("user", account.users), ("role", account.roles)):
        for name, holder in holders.items():
            boundary = (
                {"PermissionsBoundary": f"{IAM}:policy/{holder.boundary}"}
                if holder.boundary
                else {}
            )
            if kind == "user":
                iam.create_user(UserName=name, Path=holder.path, **boundary)
                if holder.inactive_key:
                    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
                    iam.update_access_key(UserName=name, AccessKeyId=key, Status="Inactive")
                if holder.password:
                    iam.create_login_profile(UserName=name, Password="p")
                for group_name in holder.groups:
                    iam.add_user_to_group(UserName=name, GroupName=group_name)
            else:
                iam.create_role(
                    RoleName=name, Path=holder.path, AssumeRolePolicyDocument=OPEN, **boundary
                )
            _give(iam, kind, name, holder)
    for name, role_name in account.functions.items():
        functions.create_function(
            {
                "FunctionName": name,
                "Role": account.arn("role", role_name),
                "Runtime": "python3.13",
                "Handler": "a.b",
                "Code": {"ZipFile": base64.b64encode(CODE).decode()},
            }
        )
    # Last: some functions have roles that no longer trust Lambda.
    for name, role in account.roles.items():
        trust = document(role.trust or [NOBODY])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)


def _give(iam: Any, kind: str, name: str, holder: Holder) -> None:
    this = {f"{kind.title()}Name": name}
    for number, statements in enumerate(holder.inline):
        getattr(iam, f"put_{kind}_policy")(
            **this, PolicyName=f"p{number}", PolicyDocument=document(statements)
        )
    for attached in holder.attached:
        getattr(iam, f"attach_{kind}_policy")(**this, PolicyArn=f"{IAM}:policy/{attached}")
