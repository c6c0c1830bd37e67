"""Downloads every user, role, group and managed policy of an account, once."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from admin.account import Account
from admin.check.people.conditions import NOTHING_KNOWN, Context
from admin.check.people.rights import EVERYTHING, Policy, as_text, granted, in_account
from admin.desired.permissions import Document, statements

IDENTITY_CENTER_PATH, IDENTITY_CENTER_NAME = "/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_"
# AWS services act through these roles; nobody else can create, assume or change them.
SERVICE_ROLES_PATH = "/aws-service-role/"
SERVICE_ROLES_NAME = "AWSServiceRoleFor"
# The maximum that IAM returns at once.
PAGE = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Holder:
    """Something that has policies: inline ones by name, and managed ones by ARN.

    `renamed`: an intruder can give it any name.
    """

    arn: str
    renamed: bool = False
    inline: Mapping[str, Document] = field(default_factory=dict)
    inline_policies: tuple[Policy, ...] = ()
    attached: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """The ARN, or the pattern of the ARNs, that requests about it can name."""
        return re.sub(":(user|group)/.*", r":\1/*", self.arn) if self.renamed else self.arn


@dataclass(frozen=True, kw_only=True)
class Managed:
    """A managed policy: what it allows now, and its other versions."""

    arn: str
    policy: Policy
    others: tuple[Policy, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Principal(Holder):
    """A user or role. `policies` are its own and those of its groups.

    `id` is IAM's unique ID. `boundary` is the ARN of its permissions boundary; without
    `boundary_policies`, IAM did not return what the boundary allows, and it is treated as no limit.
    `trust` is the trust policy of a role. `has_profile`: EC2 instances can have this role.
    `is_new`: it does not exist, but an intruder could create it, with any name that the pattern
    `name` matches.
    """

    kind: str
    name: str
    id: str
    path: str = "/"
    groups: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()
    boundary: str | None = None
    boundary_policies: tuple[Policy, ...] = ()
    trust: Document = field(default_factory=dict)
    has_profile: bool = False
    is_new: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def label(self) -> str:
        """How sentences refer to it: "ci (user)"."""
        return f"the new {self.kind} {self.name}" if self.is_new else f"{self.name} ({self.kind})"

    @property
    def is_of_identity_center(self) -> bool:
        """Whether Identity Center created it: IAM lets nobody else create or change such a role."""
        return self.path.startswith(IDENTITY_CENTER_PATH) and self.name.startswith(
            IDENTITY_CENTER_NAME
        )

    @property
    def account(self) -> str:
        """The ID of its account."""
        return self.arn.split(":")[4]

    @property
    def user(self) -> str | None:
        """The value of the variable aws:username; None if it could be anything."""
        return self.name if self.kind == "user" and not (self.is_new or self.renamed) else None

    @cached_property
    def context(self) -> Context:
        """The condition keys that are in each of its requests."""
        if self.is_new:
            return {"aws:principalaccount": self.account}
        known: dict[str, str | None] = {"aws:principalaccount": self.account}
        if not self.renamed:
            known |= {"aws:principalarn": self.arn, "aws:username": self.user}
        # A role's ID is followed by the session name, which is chosen by whoever assumes the role.
        return {**known, "aws:userid": self.id} if self.kind == "user" else known

    def may(
        self,
        action: str,
        resource: str,
        *,
        context: Context = NOTHING_KNOWN,
        denied_by: tuple[Policy, ...] = (),
    ) -> bool:
        """Whether its policies allow the action on a resource, or on any that a pattern matches.

        `context` is what else is known about the request, and `denied_by` are policies of the
        resource that only deny.
        """
        limited_by = [self.boundary_policies] if self.boundary_policies else []
        known = {**self.context, **context}
        return all(
            granted(policies, action, resource, user=self.user, context=known)
            for policies in [(*self.policies, *denied_by), *limited_by]
        )


@dataclass(frozen=True)
class Identities:
    """The users, roles, groups and managed policies of an account, downloaded once."""

    account: Account

    @cached_property
    def principals(self) -> list[Principal]:
        """Every user and role, except the roles that only AWS services can assume."""
        return [
            *(self._principal("User", user) for user in self._details("UserDetailList")),
            *(
                self._principal("Role", role)
                for role in self._details("RoleDetailList")
                if not _is_of_a_service(role)
            ),
        ]

    @cached_property
    def groups(self) -> Mapping[str, Holder]:
        """The groups by their names."""
        return {
            group["GroupName"]: self._holder(group, "Group")
            for group in self._details("GroupDetailList")
        }

    @cached_property
    def managed(self) -> Mapping[str, Managed]:
        """The managed policies by their ARNs: all of the account's own, and AWS's that are used.

        A policy that was attached while the pages were read is not listed: it could allow
        everything.
        """
        listed = {
            policy["Arn"]: self._managed(policy["Arn"], policy["PolicyVersionList"])
            for policy in self._details("Policies")
        }
        attached = {
            each["PolicyArn"]
            for kind in ("User", "Role", "Group")
            for holder in self._details(f"{kind}DetailList")
            for each in holder.get("AttachedManagedPolicies", ())
        }
        unlisted = sorted(attached - listed.keys())
        return listed | {arn: Managed(arn=arn, policy=EVERYTHING) for arn in unlisted}

    @cached_property
    def _pages(self) -> list[dict[str, Any]]:
        """Source: IAM API reference, GetAccountAuthorizationDetails."""
        paginator = self.account.client("iam").get_paginator("get_account_authorization_details")
        return list(paginator.paginate(PaginationConfig={"PageSize": PAGE}))

    def _details(self, member: str) -> Iterator[dict[str, Any]]:
        for page in self._pages:
            yield from page[member]

    @cached_property
    def id(self) -> str:
        """The account's ID, as in the ARNs of its principals; empty if there are none."""
        lists = ("UserDetailList", "RoleDetailList")
        return next(
            (each["Arn"].split(":")[4] for name in lists for each in self._details(name)), ""
        )

    def _policy(self, document: Document) -> Policy:
        return _policy_of(self.id, json.dumps(document))

    def _managed(self, arn: str, versions: list[dict[str, Any]]) -> Managed:
        return Managed(
            arn=arn,
            policy=next(
                self._policy(each["Document"]) for each in versions if each["IsDefaultVersion"]
            ),
            others=tuple(
                self._policy(each["Document"]) for each in versions if not each["IsDefaultVersion"]
            ),
        )

    def _holder(self, details: dict[str, Any], kind: str) -> Holder:
        inline = {
            policy["PolicyName"]: policy["PolicyDocument"]
            for policy in details.get(f"{kind}PolicyList", ())
        }
        return Holder(
            arn=details["Arn"],
            inline=inline,
            inline_policies=tuple(map(self._policy, inline.values())),
            attached=tuple(
                each["PolicyArn"] for each in details.get("AttachedManagedPolicies", ())
            ),
        )

    def _principal(self, kind: str, details: dict[str, Any]) -> Principal:
        own, groups = self._holder(details, kind), tuple(details.get("GroupList", ()))
        boundary = details.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return Principal(
            **vars(own),
            kind=kind.lower(),
            name=details[f"{kind}Name"],
            id=details[f"{kind}Id"],
            path=details["Path"],
            groups=groups,
            policies=tuple(
                policy
                for holder in (own, *(self.groups[group] for group in groups))
                for policy in (
                    *holder.inline_policies,
                    *(self.managed[arn].policy for arn in holder.attached),
                )
            ),
            boundary=boundary,
            boundary_policies=(self.managed[boundary].policy,) if boundary in self.managed else (),
            trust=details.get("AssumeRolePolicyDocument", {}),
            has_profile=bool(details.get("InstanceProfileList")),
        )


@cache
def _policy_of(account: str, text: str) -> Policy:
    """Parse a policy document. It is cached, because many principals share the same document."""
    return Policy(in_account(account, as_text(json.loads(text))))


def _is_of_a_service(role: dict[str, Any]) -> bool:
    """Whether it is a service-linked role, judged by its path, its name and whom it trusts."""
    service = role["Path"].removeprefix(SERVICE_ROLES_PATH).strip("/")
    return (
        role["Path"] == f"{SERVICE_ROLES_PATH}{service}/"
        and role["RoleName"].startswith(SERVICE_ROLES_NAME)
        and all(
            statement.get("Principal") in ({"Service": service}, {"Service": [service]})
            for statement in statements(role["AssumeRolePolicyDocument"])
        )
    )
