"""Who in the account has power over the vault: users, roles, and what their policies grant."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from admin.account import Account
from admin.check.report import Remedies, Report
from admin.check.rights import grants, grants_below
from admin.desired.bucket_policies import CHANGES_OF_WHAT_IS_STORED
from admin.desired.permissions import Document, document
from admin.stage import Stage

ON_OBJECTS = (
    *(action for action in CHANGES_OF_WHAT_IS_STORED if "*" not in action),
    "s3:DeleteObjectAnnotation",
    "s3:PutObjectAnnotation",
    "s3:PutObjectRetention",
)
ON_THE_BUCKET = (
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
)
# With one of these, on whatever it may be, people can give themselves, or take, any right.
TO_RAISE_ONESELF = (
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreatePolicyVersion",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteRolePolicy",
    "iam:DeleteUserPermissionsBoundary",
    "iam:DeleteUserPolicy",
    "iam:PutGroupPolicy",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
)
# With one of these on everybody, they become somebody else. On themselves alone these are usual.
TO_BECOME_USERS = ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile")
TO_BECOME_ROLES = ("iam:PassRole", "sts:AssumeRole")
DENIAL = "no-power-over-the-vault"
# AWS's services act through these; nobody can sign in as one, or change one.
OF_SERVICES = "/aws-service-role/"
OF_IDENTITY_CENTER = "/aws-reserved/sso.amazonaws.com/"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A user or a role, its policies (its groups' too), and the boundary of what they may grant.

    `trusts` are who may become it, as its trust policy names them.
    """

    kind: str
    name: str
    arn: str
    path: str
    policies: tuple[Document, ...]
    boundary: tuple[Document, ...]
    trusts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def may(self, action: str, resource: str) -> bool:
        """Whether it may do it to exactly this."""
        return grants(self.policies, action, resource) and (
            not self.boundary or grants(self.boundary, action, resource)
        )

    def may_below(self, action: str, prefix: str) -> bool:
        """Whether it may do it to anything that begins so."""
        return grants_below(self.policies, action, prefix) and (
            not self.boundary or grants_below(self.boundary, action, prefix)
        )

    def is_administrator_of(self, account: str) -> bool:
        """Whether it can give itself any right in its account, or take somebody's who has it."""
        iam = f"arn:aws:iam::{account}:"
        return (
            any(self.may_below(action, iam) for action in TO_RAISE_ONESELF)
            or any(self.may(action, f"{iam}user/anybody") for action in TO_BECOME_USERS)
            or any(self.may(action, f"{iam}role/anybody") for action in TO_BECOME_ROLES)
        )


def denial(bucket: str) -> Document:
    """A policy that takes all power over the vault, `bucket`, from whoever has it."""
    vault = f"arn:aws:s3:::{bucket}"
    return document(
        {
            "Effect": "Deny",
            "Action": [*ON_THE_BUCKET, *ON_OBJECTS],
            "Resource": [vault, f"{vault}/*"],
        }
    )


def check_principals(report: Report, account: Account, stage: Stage, remedies: Remedies) -> None:
    """Find everybody who may change, unlock or expire what is stored, in the vault's `account`.

    Administrators can give themselves any right: those that the stage's configuration knows are
    listed, others are found.
    """
    vault = stage.settings.vault_bucket
    with report.seeing(f"who has rights on {vault}"):
        for principal in _everybody(account):
            if principal.is_administrator_of(account.id):
                _check_administrator(report, account, stage, principal)
            elif may := _powers(principal, vault):
                report.find(
                    f"{principal} may {', '.join(may)} on {vault}",
                    why="Only administrators need that; each is a way to lose what is stored.",
                    remedy=_remedy(principal, vault, remedies),
                )


def _powers(principal: Principal, vault: str) -> list[str]:
    bucket = f"arn:aws:s3:::{vault}"
    may = [action for action in ON_THE_BUCKET if principal.may(action, bucket)]
    return may + [action for action in ON_OBJECTS if principal.may_below(action, f"{bucket}/")]


def _check_administrator(
    report: Report, account: Account, stage: Stage, principal: Principal
) -> None:
    """An administrator, and whoever else may become one, must be known by name."""
    strangers = [one for one in principal.trusts if one.split(":")[4] not in {account.id, ""}]
    unknown = [one for one in (principal.arn, *strangers) if one not in stage.administrators]
    if not unknown:
        report.administrators.append(str(principal))
        return
    whom = f", or whoever is {', '.join(strangers)}," if strangers else ""
    report.find(
        f"{principal}{whom} is an administrator, and could take the vault's protection down",
        why="Whoever is not known as one may be an intruder.",
        remedy=f'if this is meant, add {", ".join(unknown)} to the list "administrators" of '
        f"stage {stage.name} in .chalice/config.json; else take these rights away",
    )


def _everybody(account: Account) -> Iterator[Principal]:
    """Every user and role but those that only AWS's services can be.

    Source: IAM API reference, GetAccountAuthorizationDetails.
    """
    pages = list(
        account.client("iam").get_paginator("get_account_authorization_details").paginate()
    )
    managed = {
        one["Arn"]: version["Document"]
        for page in pages
        for one in page["Policies"]
        for version in one["PolicyVersionList"]
        if version["IsDefaultVersion"]
    }
    groups = {
        one["GroupName"]: _policies(one, "Group", managed)
        for page in pages
        for one in page["GroupDetailList"]
    }
    for page in pages:
        for kind, details in (("User", "UserDetailList"), ("Role", "RoleDetailList")):
            for one in page[details]:
                if one["Path"].startswith(OF_SERVICES):
                    continue
                boundary = one.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
                of_groups = [policy for name in one.get("GroupList", ()) for policy in groups[name]]
                name = one[f"{kind}Name"]
                yield Principal(
                    kind=kind.lower(),
                    name=name,
                    arn=one["Arn"],
                    path=one["Path"],
                    policies=tuple(
                        _said_to(name, policy)
                        for policy in (*_policies(one, kind, managed), *of_groups)
                    ),
                    boundary=(managed[boundary],) if boundary else (),
                    trusts=tuple(_trusted(one.get("AssumeRolePolicyDocument", {}))),
                )


def _policies(
    holder: dict[str, Any], kind: str, managed: dict[str, Document]
) -> Sequence[Document]:
    return [
        *(policy["PolicyDocument"] for policy in holder.get(f"{kind}PolicyList", ())),
        *(managed[policy["PolicyArn"]] for policy in holder.get("AttachedManagedPolicies", ())),
    ]


def _said_to(name: str, policy: Document) -> Document:
    """The policy as it reads to this user: who may look after their own key is no administrator."""
    said: Document = json.loads(json.dumps(policy).replace("${aws:username}", name))
    return said


def _trusted(trust: Document) -> Iterator[str]:
    """The ARNs that a trust policy allows in: an account's number stands for its root."""
    statements = trust.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        names = principal if isinstance(principal, str) else principal.get("AWS", [])
        for name in [names] if isinstance(names, str) else names:
            if statement["Effect"] == "Allow":
                yield name if ":" in name else f"arn:aws:iam::{name}:root"


def _remedy(principal: Principal, vault: str, remedies: Remedies) -> str:
    if principal.path.startswith(OF_IDENTITY_CENTER):
        return "take these rights out of its permission set, in IAM Identity Center"
    return remedies.aws_of_the_vault(
        "iam",
        f"put-{principal.kind}-policy",
        **{f"{principal.kind}_name": principal.name},
        policy_name=DENIAL,
        policy_document=denial(vault),
    )
