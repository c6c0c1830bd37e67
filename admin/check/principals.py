"""Finds every user and role with rights on the vault."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from admin.account import Account
from admin.check.report import Administrator, Finding
from admin.check.rights import grants, grants_below
from admin.desired.bucket_policies import CHANGES_TO_STORED_OBJECTS
from admin.desired.permissions import Document, as_list, document, statements
from admin.target import Target

OBJECT_ACTIONS = (
    *(action for action in CHANGES_TO_STORED_OBJECTS if "*" not in action),
    "s3:DeleteObjectAnnotation",
    "s3:PutObjectAnnotation",
    "s3:PutObjectRetention",
)
BUCKET_ACTIONS = (
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
# Each of these, on any resource, lets people grant themselves more rights.
ESCALATIONS = (
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
# Each of these lets people act as another user or role if they have it on all of them; on
# themselves alone it is common.
USER_TAKEOVERS = ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile")
ROLE_TAKEOVERS = ("iam:PassRole", "sts:AssumeRole")
DENIAL = "no-power-over-the-vault"
# AWS services act through these roles; nobody else can assume or change them.
SERVICE_ROLES_PATH = "/aws-service-role/"
IDENTITY_CENTER_PATH = "/aws-reserved/sso.amazonaws.com/"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A user or role with its IAM policies, those of its groups, and its permissions boundary.

    `trusts` are the principals that its trust policy lets assume it.
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
        """Whether its policies allow the action on exactly this resource."""
        return grants(self.policies, action, resource) and (
            not self.boundary or grants(self.boundary, action, resource)
        )

    def may_below(self, action: str, prefix: str) -> bool:
        """Whether its policies allow the action on any resource with this prefix."""
        return grants_below(self.policies, action, prefix) and (
            not self.boundary or grants_below(self.boundary, action, prefix)
        )

    def is_administrator_of(self, account: str) -> bool:
        """Whether it can grant itself any right in its account, or act as a principal that can."""
        iam = f"arn:aws:iam::{account}:"
        return (
            any(self.may_below(action, iam) for action in ESCALATIONS)
            or any(self.may(action, f"{iam}user/anybody") for action in USER_TAKEOVERS)
            or any(self.may(action, f"{iam}role/anybody") for action in ROLE_TAKEOVERS)
        )


def denial(bucket: str) -> Document:
    """An IAM policy that denies its principal every change to the vault, `bucket`."""
    vault = f"arn:aws:s3:::{bucket}"
    return document(
        {
            "Effect": "Deny",
            "Action": [*BUCKET_ACTIONS, *OBJECT_ACTIONS],
            "Resource": [vault, f"{vault}/*"],
        }
    )


def check_principals(target: Target) -> Iterator[Finding | Administrator]:
    """Find everyone in the vault's account who can change, unlock or expire stored backups.

    Administrators could grant themselves these rights: those listed in the stage's configuration
    are reported by name, any other is a finding.
    """
    for principal in _principals(target.vault_account):
        if principal.is_administrator_of(target.vault_account.id):
            yield _administrator(principal, target)
        elif actions := _powers(principal, target.vault):
            yield Finding(
                what=f"{_capitalized(principal)} is allowed {', '.join(actions)} on {target.vault}",
                why="Only administrators need these rights; each is a way to lose backups.",
                remedy=_remedy(principal, target),
            )


def _powers(principal: Principal, vault: str) -> list[str]:
    bucket = f"arn:aws:s3:::{vault}"
    actions = [action for action in BUCKET_ACTIONS if principal.may(action, bucket)]
    return actions + [
        action for action in OBJECT_ACTIONS if principal.may_below(action, f"{bucket}/")
    ]


def _administrator(principal: Principal, target: Target) -> Finding | Administrator:
    """A known administrator, or the finding for one that the configuration does not list.

    The same goes for principals of other accounts that can assume it.
    """
    own = {target.vault_account.id, ""}
    strangers = [arn for arn in principal.trusts if arn.split(":")[4] not in own]
    unknown = [arn for arn in (principal.arn, *strangers) if arn not in target.stage.administrators]
    if not unknown:
        return Administrator(str(principal))
    whom = f" (which {', '.join(strangers)} can assume)" if strangers else ""
    return Finding(
        what=f"{_capitalized(principal)}{whom} is an administrator and could remove the vault's "
        "protection",
        why="An administrator you do not know may be an intruder.",
        remedy=f'if this is intended, add {", ".join(unknown)} to the list "administrators" of '
        f"stage {target.stage.name} in .chalice/config.json; otherwise remove these rights",
    )


def _capitalized(principal: Principal) -> str:
    return f"{principal.kind.capitalize()} {principal.name}"


def _principals(account: Account) -> Iterator[Principal]:
    """Every user and role, except those that only AWS services can assume.

    Source: IAM API reference, GetAccountAuthorizationDetails.
    """
    pages = list(
        account.client("iam").get_paginator("get_account_authorization_details").paginate()
    )
    managed = {
        policy["Arn"]: version["Document"]
        for page in pages
        for policy in page["Policies"]
        for version in policy["PolicyVersionList"]
        if version["IsDefaultVersion"]
    }
    groups = {
        group["GroupName"]: _policies(group, "Group", managed)
        for page in pages
        for group in page["GroupDetailList"]
    }
    for page in pages:
        for kind, details in (("User", "UserDetailList"), ("Role", "RoleDetailList")):
            for holder in page[details]:
                if holder["Path"].startswith(SERVICE_ROLES_PATH):
                    continue
                boundary = holder.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
                of_groups = [
                    policy for group in holder.get("GroupList", ()) for policy in groups[group]
                ]
                name = holder[f"{kind}Name"]
                yield Principal(
                    kind=kind.lower(),
                    name=name,
                    arn=holder["Arn"],
                    path=holder["Path"],
                    policies=tuple(
                        _with_name(name, policy)
                        for policy in (*_policies(holder, kind, managed), *of_groups)
                    ),
                    boundary=(managed[boundary],) if boundary else (),
                    trusts=tuple(_trusted(holder.get("AssumeRolePolicyDocument", {}))),
                )


def _policies(
    holder: dict[str, Any], kind: str, managed: dict[str, Document]
) -> Sequence[Document]:
    return [
        *(policy["PolicyDocument"] for policy in holder.get(f"{kind}PolicyList", ())),
        *(managed[policy["PolicyArn"]] for policy in holder.get("AttachedManagedPolicies", ())),
    ]


def _with_name(name: str, policy: Document) -> Document:
    """The policy with the user's name filled in: managing only your own keys is not a finding."""
    filled: Document = json.loads(json.dumps(policy).replace("${aws:username}", name))
    return filled


def _trusted(trust: Document) -> Iterator[str]:
    """The ARNs that a trust policy lets in; an account's number stands for its root."""
    for statement in statements(trust) if trust else []:
        principal = statement.get("Principal", {})
        names = principal if isinstance(principal, str) else principal.get("AWS", [])
        for name in as_list(names):
            if statement["Effect"] == "Allow":
                yield name if ":" in name else f"arn:aws:iam::{name}:root"


def _remedy(principal: Principal, target: Target) -> str:
    if principal.path.startswith(IDENTITY_CENTER_PATH):
        return "remove these rights from its permission set in IAM Identity Center"
    return target.fix_vault_account(
        "iam",
        f"put-{principal.kind}-policy",
        **{f"{principal.kind}_name": principal.name},
        policy_name=DENIAL,
        policy_document=denial(target.vault),
    )
