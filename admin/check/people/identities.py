"""Downloads every user and role of an account with its policies, once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from admin.account import Account
from admin.check.people.rights import grants, grants_below, in_account
from admin.desired.permissions import Document, as_list, statements

# AWS services act through these roles; nobody else can create, assume or change them.
SERVICE_ROLES_PATH = "/aws-service-role/"
IDENTITY_CENTER_PATH = "/aws-reserved/sso.amazonaws.com/"
# The most that IAM returns at once.
PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A user or role with its IAM policies and those of its groups.

    `id` is IAM's own. `inline` has its own policies by name, `attached` the ARNs of managed ones,
    and `policies` the documents of all, as far as they apply in its account. `boundary` is the ARN
    of its permissions boundary; without `boundary_policies` IAM did not say what that allows, and
    it counts for nothing. `trusts` are the principals that its trust policy lets assume it.
    """

    kind: str
    name: str
    id: str
    arn: str
    path: str
    inline: Mapping[str, Document]
    attached: tuple[str, ...]
    groups: tuple[str, ...]
    policies: tuple[Document, ...]
    boundary: str | None
    boundary_policies: tuple[Document, ...]
    trusts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def may(self, action: str, resource: str, *, denied_by: tuple[Document, ...] = ()) -> bool:
        """Whether its policies allow the action on exactly this resource.

        `denied_by` are policies of the resource that only deny.
        """
        return grants((*self.policies, *denied_by), action, resource) and (
            not self.boundary_policies or grants(self.boundary_policies, action, resource)
        )

    def may_below(self, action: str, prefix: str, *, denied_by: tuple[Document, ...] = ()) -> bool:
        """Whether its policies allow the action on any resource with this prefix."""
        return grants_below((*self.policies, *denied_by), action, prefix) and (
            not self.boundary_policies or grants_below(self.boundary_policies, action, prefix)
        )


@dataclass(frozen=True)
class Identities:
    """The users and roles of an account, downloaded once."""

    account: Account

    @cached_property
    def principals(self) -> list[Principal]:
        """Every user and role, except the roles that only AWS services can assume.

        Source: IAM API reference, GetAccountAuthorizationDetails.
        """
        paginator = self.account.client("iam").get_paginator("get_account_authorization_details")
        pages = list(paginator.paginate(PaginationConfig={"PageSize": PAGE}))
        managed = {
            policy["Arn"]: version["Document"]
            for page in pages
            for policy in page["Policies"]
            for version in policy["PolicyVersionList"]
            if version["IsDefaultVersion"]
        }
        groups = {
            group["GroupName"]: _documents(group, "Group", managed)
            for page in pages
            for group in page["GroupDetailList"]
        }
        users = (user for page in pages for user in page["UserDetailList"])
        roles = (role for page in pages for role in page["RoleDetailList"])
        return [
            *(_principal("User", user, managed, groups) for user in users),
            *(
                _principal("Role", role, managed, groups)
                for role in roles
                if not role["Path"].startswith(SERVICE_ROLES_PATH)
            ),
        ]


def _principal(
    kind: str,
    details: dict[str, Any],
    managed: Mapping[str, Document],
    groups: Mapping[str, list[Document]],
) -> Principal:
    name, members = details[f"{kind}Name"], tuple(details.get("GroupList", ()))
    account = details["Arn"].split(":")[4]
    boundary = details.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    policies = [
        *_documents(details, kind, managed),
        *(policy for group in members for policy in groups[group]),
    ]
    return Principal(
        kind=kind.lower(),
        name=name,
        id=details[f"{kind}Id"],
        arn=details["Arn"],
        path=details["Path"],
        inline={
            policy["PolicyName"]: policy["PolicyDocument"]
            for policy in details.get(f"{kind}PolicyList", ())
        },
        attached=tuple(
            policy["PolicyArn"] for policy in details.get("AttachedManagedPolicies", ())
        ),
        groups=members,
        policies=tuple(in_account(account, _with_name(name, policy)) for policy in policies),
        boundary=boundary,
        boundary_policies=(managed[boundary],) if boundary in managed else (),
        trusts=tuple(_trusted(details.get("AssumeRolePolicyDocument", {}))),
    )


def _documents(
    holder: dict[str, Any], kind: str, managed: Mapping[str, Document]
) -> list[Document]:
    return [
        *(policy["PolicyDocument"] for policy in holder.get(f"{kind}PolicyList", ())),
        *(managed[policy["PolicyArn"]] for policy in holder.get("AttachedManagedPolicies", ())),
    ]


def _with_name(name: str, policy: Document) -> Document:
    """The policy with the user's name filled in: managing only your own keys is not a finding."""
    filled: Document = json.loads(json.dumps(policy).replace("${aws:username}", name))
    return filled


def _trusted(trust: Document) -> Iterator[str]:
    """The ARNs that a trust policy allows; an account's number stands for its root."""
    for statement in statements(trust) if trust else []:
        principal = statement.get("Principal", {})
        names = principal if isinstance(principal, str) else principal.get("AWS", [])
        for name in as_list(names):
            if statement["Effect"] == "Allow":
                yield name if ":" in name else f"arn:aws:iam::{name}:root"
