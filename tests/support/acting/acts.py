"""Every request that could give one principal the rights of another."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlencode

import botocore.session
from botocore.serialize import create_serializer

from localcloud.iam.http_requests import HttpRequest
from localcloud.iam.trust import trusts_lambda
from tests.support.acting.built import ADMINISTRATOR_ACCESS, CODE, EVERYTHING, OPEN
from tests.support.acting.model import IAM, AccountModel


@dataclass(frozen=True, eq=False)
class Act:
    """A request, and the principal whose credentials it gains if it succeeds (an ARN).

    `loses`: it can also take rights away, so the state before it must be tried, too.
    """

    service: str
    operation: str
    parameters: dict[str, Any]
    holds: str | None = None
    loses: bool = False

    @cached_property
    def key(self) -> str:
        return f"{self.operation} {json.dumps(self.parameters, default=repr, sort_keys=True)}"


@dataclass
class Acts:
    """The acts that are possible in an account as it is now, for the holder of any credentials.

    `model` is the account's initial state: its policies contain the patterns of possible new names.
    """

    iam: Any
    model: AccountModel
    held: Collection[str] = ()

    def __iter__(self) -> Iterator[Act]:
        yield from self._on_users()
        yield from self._on_roles()
        yield from self._on_groups()
        yield from self._on_policies()
        yield from self._that_create()

    def _on_users(self) -> Iterator[Act]:
        for name, user in list(self.iam.users.items()):
            this = {"UserName": name}
            yield Act("iam", "CreateAccessKey", this, user.arn)
            operation = "UpdateLoginProfile" if user.password else "CreateLoginProfile"
            yield Act("iam", operation, {**this, "Password": "p"}, user.arn)
            for key in user.access_keys:
                if key.status == "Inactive":
                    active = {**this, "AccessKeyId": key.access_key_id, "Status": "Active"}
                    yield Act("iam", "UpdateAccessKey", active, user.arn)
            yield from self._on_name("User", this)
            yield from self._on_holder("User", this, user)
            yield from self._on_boundary("User", this, user)
            for group in list(self.iam.groups.values()):
                both = {**this, "GroupName": group.name}
                if user in group.users:
                    yield Act("iam", "RemoveUserFromGroup", both, loses=self._has(group, "Allow"))
                elif user.arn in self.held:
                    yield Act("iam", "AddUserToGroup", both, loses=self._has(group, "Deny"))

    def _on_roles(self) -> Iterator[Act]:
        for role in list(self.iam.roles.values()):
            this = {"RoleName": role.name}
            session = {"RoleArn": role.arn, "RoleSessionName": "acting"}
            yield Act("sts", "AssumeRole", session, role.arn)
            for secret in re.findall(
                r'"sts:ExternalId": "([^"]+)"', role.assume_role_policy_document
            ):
                yield Act("sts", "AssumeRole", {**session, "ExternalId": secret}, role.arn)
            yield from self._on_holder("Role", this, role)
            yield from self._on_boundary("Role", this, role)
            yield Act("iam", "UpdateAssumeRolePolicy", {**this, "PolicyDocument": OPEN})
            code = {"Runtime": "python3.13", "Handler": "a.b", "Code": {"ZipFile": CODE}}
            for _, name in self._patterns["function"]:
                called = _filled(name, "new")
                new = {"FunctionName": called, "Role": role.arn, **code}
                yield Act("lambda", "CreateFunction", new, role.arn)
            for name in self.model.functions:
                function = {"FunctionName": name, "Role": role.arn}
                yield Act("lambda", "UpdateFunctionConfiguration", function, role.arn)
        for name, role_name in self.model.functions.items():
            arn, function = self.model.arn("role", role_name), {"FunctionName": name}
            if trusts_lambda(arn):
                yield Act("lambda", "UpdateFunctionCode", {**function, "ZipFile": CODE}, arn)
                yield Act("lambda", "UpdateFunctionConfiguration", {**function, "Timeout": 9}, arn)

    def _on_groups(self) -> Iterator[Act]:
        for name, group in list(self.iam.groups.items()):
            yield from self._on_name("Group", {"GroupName": name})
            yield from self._on_holder("Group", {"GroupName": name}, group)

    def _on_name(self, kind: str, this: dict[str, str]) -> Iterator[Act]:
        """Give a user or group another name and path."""
        for path, name in self._patterns[kind.lower()]:
            new = {f"New{kind}Name": _filled(name, "renamed"), "NewPath": path}
            yield Act("iam", f"Update{kind}", {**this, **new}, loses=True)

    def _on_holder(self, kind: str, this: dict[str, str], holder: Any) -> Iterator[Act]:
        """Put, delete, attach and detach policies."""
        for name in [*holder.policies, "acting"]:
            policy = {**this, "PolicyName": name, "PolicyDocument": EVERYTHING}
            yield Act("iam", f"Put{kind}Policy", policy)
        for name, document in holder.policies.items():
            named = {**this, "PolicyName": name}
            yield Act("iam", f"Delete{kind}Policy", named, loses=_says(document, "Allow"))
        for arn, policy in list(self.iam.managed_policies.items()):
            both = {**this, "PolicyArn": arn}
            if arn in holder.managed_policies:
                loses = _says(_default(policy), "Allow")
                yield Act("iam", f"Detach{kind}Policy", both, loses=loses)
            else:
                loses = _says(_default(policy), "Deny")
                yield Act("iam", f"Attach{kind}Policy", both, loses=loses)

    def _on_boundary(self, kind: str, this: dict[str, str], holder: Any) -> Iterator[Act]:
        own = vars(holder).get("permissions_boundary_arn")
        if own:
            yield Act("iam", f"Delete{kind}PermissionsBoundary", this, loses=True)
        for arn in list(self.iam.managed_policies):
            if arn != own:
                limit = {**this, "PermissionsBoundary": arn}
                yield Act("iam", f"Put{kind}PermissionsBoundary", limit, loses=True)

    def _on_policies(self) -> Iterator[Act]:
        for arn, policy in list(self.iam.managed_policies.items()):
            this = {"PolicyArn": arn}
            if arn == ADMINISTRATOR_ACCESS:
                continue  # nobody can change AWS's own policies
            new = {**this, "PolicyDocument": EVERYTHING, "SetAsDefault": True}
            yield Act("iam", "CreatePolicyVersion", new)
            for version in policy.versions:
                if version.version_id != policy.default_version_id:
                    other = {**this, "VersionId": version.version_id}
                    yield Act("iam", "SetDefaultPolicyVersion", other, loses=True)

    def _that_create(self) -> Iterator[Act]:
        boundaries = [{}, *({"PermissionsBoundary": arn} for arn in self.iam.managed_policies)]
        for kind in ("User", "Role"):
            trust = {"AssumeRolePolicyDocument": OPEN} if kind == "Role" else {}
            there = (
                {*self.iam.users}
                if kind == "User"
                else {role.name for role in self.iam.roles.values()}
            )
            for path, name in self._patterns[kind.lower()]:
                for number, boundary in enumerate(boundaries):
                    called = _filled(name, str(number))
                    if called not in there:
                        new = {f"{kind}Name": called, "Path": path, **trust, **boundary}
                        yield Act("iam", f"Create{kind}", new)
        for path, name in self._patterns["policy"]:
            called = _filled(name, "acting")
            if f"{IAM}:policy{path}{called}" not in self.iam.managed_policies:
                new = {"PolicyName": called, "Path": path, "PolicyDocument": EVERYTHING}
                yield Act("iam", "CreatePolicy", new)

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[str, str]]]:
        """Paths and names, with wildcards, that a new resource of each kind could have."""
        found = {}
        for kind in ("user", "group", "role", "policy", "function"):
            parts = {*re.findall(rf":{kind}[:/]([\w/*?-]+)", str(self.model)), "acting-*"}
            found[kind] = [
                (_filled(f"/{path}{slash}", "x"), name)
                for path, slash, name in (part.rpartition("/") for part in sorted(parts))
            ]
        return found

    def _new(self, kind: str) -> list[tuple[str, str]]:
        return self._patterns[kind]

    def _has(self, group: Any, effect: str) -> bool:
        documents = [*group.policies.values(), *map(_default, group.managed_policies.values())]
        return any(_says(document, effect) for document in documents)


def _filled(pattern: str, text: str) -> str:
    return pattern.replace("*", text).replace("?", text[0])


def _says(document: str, effect: str) -> bool:
    return f'"{effect}"' in document


def _default(policy: Any) -> str:
    return next(
        str(version.document)
        for version in policy.versions
        if version.version_id == policy.default_version_id
    )


@cache
def _serializer(service: str) -> tuple[Any, Any]:
    model = botocore.session.get_session().get_service_model(service)
    return model, create_serializer(model.metadata["protocol"], include_validation=False)


def request_of(act: Act) -> HttpRequest:
    """The request as it would arrive, with a signature that is not verified."""
    model, serializer = _serializer(act.service)
    sent = serializer.serialize_to_request(act.parameters, model.operation_model(act.operation))
    body, query = sent["body"], sent["query_string"]
    content = urlencode(body).encode() if isinstance(body, dict) else body
    scope = f"AKIAACTING/20261123/us-east-1/{act.service}/aws4_request"
    headers = {
        **{name.lower(): value for name, value in sent["headers"].items()},
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature="
        + "0" * 64,
        "host": "127.0.0.1",
        "x-amz-date": "20261123T120000Z",
    }
    return HttpRequest(
        method=sent["method"],
        path=sent["url_path"].partition("?")[0],
        raw_path=sent["url_path"].partition("?")[0],
        raw_query=sent["url_path"].partition("?")[2] or urlencode(query),
        headers=headers,
        body=content.encode() if isinstance(content, str) else content,
        source_ip="127.0.0.1",
    )
