"""An account as data: users, roles, groups, managed policies and functions."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

ACCOUNT = "123456789012"
IAM = f"arn:aws:iam::{ACCOUNT}"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
VAULT, INCOMING = "backups2", "backups1"
ROOT = f"{IAM}:root"

Statement = dict[str, Any]


@dataclass
class Holder:
    """A user, role or group: `inline` are its policies, `attached` the names of managed ones."""

    path: str = "/"
    inline: list[list[Statement]] = field(default_factory=list)
    attached: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    boundary: str | None = None
    inactive_key: bool = False
    password: bool = False
    trust: list[Statement] = field(default_factory=list)


@dataclass
class Managed:
    """A managed policy: its versions, and which one is the default."""

    versions: list[list[Statement]]
    default: int = 0


@dataclass
class AccountModel:
    """What is in an account besides the buckets. Functions are named after their roles."""

    users: dict[str, Holder] = field(default_factory=dict)
    roles: dict[str, Holder] = field(default_factory=dict)
    groups: dict[str, Holder] = field(default_factory=dict)
    policies: dict[str, Managed] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The parts of it that are not empty, as JSON."""

        def plain(value: Any) -> Any:
            says_nothing: tuple[Any, ...] = ([], None, "/", False)
            return {name: part for name, part in vars(value).items() if part not in says_nothing}

        return json.dumps(vars(self), default=plain, indent=1)

    @property
    def principals(self) -> list[str]:
        """The ARNs of its users and roles."""
        return [
            *(self.arn("user", name) for name in self.users),
            *(self.arn("role", name) for name in self.roles),
        ]

    def arn(self, kind: str, name: str) -> str:
        """The ARN of an existing resource, or of one that has no path."""
        there: dict[str, Any] = {"user": self.users, "role": self.roles, "group": self.groups}
        path = there.get(kind, {}).get(name, Holder()).path
        return FUNCTION + name if kind == "function" else f"{IAM}:{kind}{path}{name}"

    def smaller(self) -> Iterator["AccountModel"]:
        """The account without one thing, for each thing that can be left out."""
        for collection in ("users", "roles", "groups", "policies", "functions"):
            for name in getattr(self, collection):
                yield self._without(collection, name)
        for collection in ("users", "roles", "groups"):
            for name in getattr(self, collection):
                yield from self._with_less(collection, name)
        for name, managed in self.policies.items():
            for number in range(len(managed.versions)):
                if number != managed.default:
                    one = copy.deepcopy(self)
                    del one.policies[name].versions[number]
                    one.policies[name].default -= number < managed.default
                    yield one

    def _with_less(self, collection: str, name: str) -> Iterator["AccountModel"]:
        holder = getattr(self, collection)[name]

        def changed(change: Callable[[Holder], object]) -> AccountModel:
            one = copy.deepcopy(self)
            change(getattr(one, collection)[name])
            return one

        for part in ("inline", "attached", "groups", "trust"):
            for number in range(len(getattr(holder, part))):
                yield changed(lambda it, part=part, number=number: getattr(it, part).pop(number))
        for number, statements in enumerate(holder.inline):
            for inner in range(len(statements) if len(statements) > 1 else 0):
                yield changed(lambda it, number=number, inner=inner: it.inline[number].pop(inner))
        if holder.boundary:
            yield changed(lambda it: setattr(it, "boundary", None))

    def _without(self, collection: str, name: str) -> "AccountModel":
        one = copy.deepcopy(self)
        del getattr(one, collection)[name]
        for holder in (*one.users.values(), *one.roles.values(), *one.groups.values()):
            holder.groups = [each for each in holder.groups if each in one.groups]
            holder.attached = [each for each in holder.attached if each in one.policies]
            if holder.boundary not in one.policies:
                holder.boundary = None
        one.functions = {f: role for f, role in one.functions.items() if role in one.roles}
        return one


def allow(action: Any, resource: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource}
