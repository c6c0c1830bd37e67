"""An account written as data instead of downloaded, for the tests of who can become whom."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from admin.account import Account
from admin.check.people.identities import Identities
from admin.desired.permissions import Document

ACCOUNT, STRANGER = "123456789012", "210987654321"


def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> Document:
    return statement("Allow", *actions, on=on, **more)


def deny(*actions: str, on: str | list[str] = "*", **more: Any) -> Document:
    return statement("Deny", *actions, on=on, **more)


def statement(effect: str, *actions: str, on: str | list[str], **more: Any) -> Document:
    """A statement; `more` adds its conditions by operator."""
    condition = {"Condition": more} if more else {}
    return {"Effect": effect, "Action": [*actions], "Resource": on, **condition}


def trusting(
    principal: Any, action: str = "sts:AssumeRole", effect: str = "Allow", **more: Any
) -> Document:
    condition = {"Condition": more} if more else {}
    return {"Effect": effect, "Principal": principal, "Action": action, **condition}


def policy(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": [*statements]}


@dataclass
class WrittenAccount:
    """Users, roles, groups and managed policies, as IAM would list them."""

    id: str = ACCOUNT
    users: list[dict[str, Any]] = field(default_factory=list)
    roles: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:iam::{self.id}:{kind}/{name}"

    def user(self, name: str, *rights: Document, **more: Any) -> None:
        self.users.append(self._holder("User", name, rights, **more))

    def role(self, name: str, *rights: Document, trust: list[Document], **more: Any) -> None:
        details = self._holder("Role", name, rights, **more)
        self.roles.append({**details, "AssumeRolePolicyDocument": policy(*trust)})

    def group(self, name: str, *rights: Document, **more: Any) -> None:
        self.groups.append(self._holder("Group", name, rights, **more))

    def managed(self, name: str, *rights: Document, others: tuple[Document, ...] = ()) -> str:
        arn = self.arn("policy", name)
        versions = [{"Document": policy(*rights), "IsDefaultVersion": True}]
        versions += [{"Document": policy(other), "IsDefaultVersion": False} for other in others]
        self.policies.append({"Arn": arn, "PolicyVersionList": versions})
        return arn

    def downloaded(self) -> Identities:
        page = {
            "UserDetailList": self.users,
            "RoleDetailList": self.roles,
            "GroupDetailList": self.groups,
            "Policies": self.policies,
        }
        iam = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [page]))
        account = SimpleNamespace(client=lambda _: iam, id=self.id)
        return Identities(cast("Account", account))

    def _holder(
        self,
        kind: str,
        name: str,
        rights: tuple[Document, ...],
        *,
        attached: tuple[str, ...] = (),
        groups: tuple[str, ...] = (),
        boundary: str | None = None,
        path: str = "/",
        has_profile: bool = False,
    ) -> dict[str, Any]:
        inline = [{"PolicyName": "rights", "PolicyDocument": policy(*rights)}] if rights else []
        limit = {"PermissionsBoundary": {"PermissionsBoundaryArn": boundary}} if boundary else {}
        return {
            f"{kind}Name": name,
            f"{kind}Id": f"{kind.upper()}-{name}",
            "Arn": self.arn(kind.lower(), path.lstrip("/") + name),
            "Path": path,
            f"{kind}PolicyList": inline,
            "AttachedManagedPolicies": [{"PolicyArn": each} for each in attached],
            "GroupList": [*groups],
            "InstanceProfileList": [{}] if has_profile else [],
            **limit,
        }
