"""All downloaded accounts together: the principals, and their policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from admin.check.people.identities import Holder, Identities, Managed, Principal


@dataclass(frozen=True, eq=False)
class World:
    """The users, roles, groups and managed policies of the downloaded accounts.

    `functions` has the ARNs of our functions by those of their roles, which no other function has.
    `changed` is a principal as it would be with other policies.
    """

    downloads: Sequence[Identities]
    functions: Mapping[str, tuple[str, ...]]
    changed: Principal | None = None

    def with_changed(self, principal: Principal) -> "World":
        """The same accounts with one principal replaced."""
        return replace(self, changed=principal)

    @cached_property
    def accounts(self) -> Mapping[str, Identities]:
        """The downloads by account ID."""
        return {download.id: download for download in self.downloads}

    @cached_property
    def principals(self) -> Mapping[str, Principal]:
        """Every user and role, by its ARN."""
        principals = {
            principal.arn: principal
            for download in self.downloads
            for principal in download.principals
        }
        return principals | ({self.changed.arn: self.changed} if self.changed else {})

    @cached_property
    def roles(self) -> list[Principal]:
        """Every role."""
        return [each for each in self.principals.values() if each.kind == "role"]

    def groups_in(self, principal: Principal) -> list[Holder]:
        """The groups of the principal's account."""
        return list(self.accounts[principal.account].groups.values())

    def groups_of(self, principal: Principal) -> list[Holder]:
        """The groups that the user is in."""
        groups = self.accounts[principal.account].groups
        return [groups[name] for name in principal.groups]

    def renamed(self, arn: str) -> Holder:
        """The user or group after a rename, when it could have any name."""
        groups = {each.arn: each for each in self.accounts[arn.split(":")[4]].groups.values()}
        return replace(self.principals.get(arn) or groups[arn], renamed=True)

    def managed(self, principal: Principal) -> Mapping[str, Managed]:
        """The managed policies of the principal's account, by ARN."""
        return self.accounts[principal.account].managed

    def is_our_function(self, resource: str) -> bool:
        """Whether a pattern names exactly one of our functions, in any Region."""
        name = resource.partition(":function:")[2].partition(":")[0]
        return any(role.endswith(f"/{name}") for role in self.functions if name)

    @staticmethod
    def is_of_aws(policy: str) -> bool:
        """Whether it is one of AWS's own managed policies."""
        return policy.split(":")[4:5] == ["aws"]
