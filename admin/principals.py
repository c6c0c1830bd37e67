"""Who in the account has power over the vault: users, roles, and what their policies grant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from admin.account import Account, absent_if
from admin.bucket_policies import CHANGES_OF_WHAT_IS_STORED
from admin.credentials import REVOKED
from admin.finding import Report, aws
from admin.live import POLICY_NAME
from admin.permissions import Document, document
from admin.rights import grants, grants_below
from admin.stage import Stage
from chalicelib.policy import Policy

ON_OBJECTS = (
    *(action for action in CHANGES_OF_WHAT_IS_STORED if "*" not in action),
    "s3:DeleteObjectAnnotation",
    "s3:PutObjectAnnotation",
    "s3:PutObjectRetention",
)
ON_THE_BUCKET = (
    "s3:DeleteBucketPolicy",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
)
# Whoever may do one of these to everybody can give themselves anything.
OVER_EVERYBODY = (
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:UpdateAssumeRolePolicy",
)
DENIAL = "no-power-over-the-vault"
# AWS's services act through these; nobody can sign in as one, or change one.
OF_SERVICES = "/aws-service-role/"
OF_IDENTITY_CENTER = "/aws-reserved/sso.amazonaws.com/"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A user or a role, its policies (its groups' too), and the boundary of what they may grant."""

    kind: str
    name: str
    path: str
    policies: tuple[Document, ...]
    boundary: tuple[Document, ...]

    def may(self, action: str, resource: str) -> bool:
        return grants(self.policies, action, resource) and (
            not self.boundary or grants(self.boundary, action, resource)
        )

    def may_below(self, action: str, prefix: str) -> bool:
        return grants_below(self.policies, action, prefix) and (
            not self.boundary or grants_below(self.boundary, action, prefix)
        )


def check_principals(report: Report, account: Account, *, vault: str) -> None:
    """Find everybody who may change, unlock or expire what is stored, administrators apart.

    Administrators can give themselves any right: they are listed, not found.
    """
    bucket = f"arn:aws:s3:::{vault}"
    with report.seeing(f"who has rights on {vault}"):
        for principal in _everybody(account):
            anybody = f"arn:aws:iam::{account.id}:{principal.kind}/anybody"
            if any(principal.may(action, anybody) for action in OVER_EVERYBODY):
                report.administrators.append(f"{principal.kind} {principal.name}")
                continue
            may = [action for action in ON_THE_BUCKET if principal.may(action, bucket)]
            may += [action for action in ON_OBJECTS if principal.may_below(action, f"{bucket}/")]
            if may:
                report.find(
                    f"{principal.kind} {principal.name} may {', '.join(may)} on {vault}",
                    why="Only administrators need that; each is a way to lose what is stored.",
                    remedy=_remedy(principal, bucket),
                )


def check_server_users(report: Report, account: Account, stage: Stage, policy: Policy) -> None:
    """Find whatever a server's user has besides the policy that `setup` gives it."""
    iam = account.client("iam")
    for server in policy.servers or (None,):
        user = stage.server_user(server)
        with report.seeing(f"the policies of {user}"):
            inline = absent_if("NoSuchEntity", lambda: iam.list_user_policies(UserName=user))  # noqa: B023 - called at once
            if inline is None:
                continue
            _check_server_user(report, iam, user=user, inline=inline["PolicyNames"])


def _check_server_user(report: Report, iam: Any, *, user: str, inline: list[str]) -> None:
    why = "What a server can do, whoever breaks into it can do."
    remedies = {
        f"the policy {name}": aws("iam", "delete-user-policy", user_name=user, policy_name=name)
        for name in inline
        if name not in {POLICY_NAME, REVOKED, DENIAL}
    }
    for attached in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        remedies[f"the policy {arn}"] = aws(
            "iam", "detach-user-policy", user_name=user, policy_arn=arn
        )
    for group in iam.list_groups_for_user(UserName=user)["Groups"]:
        name = group["GroupName"]
        remedies[f"what the group {name} may do"] = aws(
            "iam", "remove-user-from-group", user_name=user, group_name=name
        )
    for what, remedy in remedies.items():
        report.find(f"{user} has {what}, which is not ours", why=why, remedy=remedy)


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
                yield Principal(
                    kind=kind.lower(),
                    name=one[f"{kind}Name"],
                    path=one["Path"],
                    policies=(
                        *_policies(one, kind, managed),
                        *(
                            document
                            for name in one.get("GroupList", ())
                            for document in groups[name]
                        ),
                    ),
                    boundary=(managed[boundary],) if boundary else (),
                )


def _policies(
    holder: dict[str, Any], kind: str, managed: dict[str, Document]
) -> Sequence[Document]:
    return [
        *(policy["PolicyDocument"] for policy in holder.get(f"{kind}PolicyList", ())),
        *(managed[policy["PolicyArn"]] for policy in holder.get("AttachedManagedPolicies", ())),
    ]


def _remedy(principal: Principal, bucket: str) -> str:
    if principal.path.startswith(OF_IDENTITY_CENTER):
        return "take these rights out of its permission set, in IAM Identity Center"
    denial = document(
        {
            "Effect": "Deny",
            "Action": [*ON_THE_BUCKET, *ON_OBJECTS],
            "Resource": [bucket, f"{bucket}/*"],
        }
    )
    return aws(
        "iam",
        f"put-{principal.kind}-policy",
        **{f"{principal.kind}_name": principal.name},
        policy_name=DENIAL,
        policy_document=denial,
    )
