"""The users and roles in moto: who owns an access key, and which policies apply to them."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from localcloud.iam import evaluation
from localcloud.iam.operators import UnsupportedPolicy

_ADMINISTRATOR = "arn:aws:iam::123456789012:user/administrator"

_EVERYTHING: evaluation.Policy = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The keys with which a client signs its requests."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The signer of a request: `arn` is the session's, `principal` is what policies name.

    `user_id` is the condition key aws:userid; a session's ends with its name.
    """

    arn: str
    principal: str
    principal_id: str
    user_id: str
    credentials: Credentials
    policies: list[evaluation.Policy]
    boundary: evaluation.Policy | None = None
    is_administrator: bool = False


@dataclass(frozen=True, kw_only=True)
class User:
    """A user, its own policies and those of its groups, and its permissions boundary."""

    arn: str
    policies: list[evaluation.Policy]
    boundary: evaluation.Policy | None


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role, its trust policy, its other policies and its permissions boundary."""

    arn: str
    trust: evaluation.Policy
    policies: list[evaluation.Policy]
    boundary: evaluation.Policy | None


def find_role(arn: str) -> Role | None:
    """The role with this ARN, or None.

    Raises `UnsupportedPolicy` if its permissions boundary is not among the account's policies.
    """
    if not re.match(r"arn:aws:iam::\d{12}:role/", arn):
        return None
    for role in list(iam_backends[arn.split(":")[4]]["aws"].roles.values()):
        if role.arn == arn:
            trust = json.loads(role.assume_role_policy_document)
            return Role(arn=arn, trust=trust, policies=_policies(role), boundary=_boundary(role))
    return None


def find_user(arn: str) -> User | None:
    """The user with this ARN, or None.

    Raises `UnsupportedPolicy` if its permissions boundary is not among the account's policies.
    """
    if not re.match(r"arn:aws:iam::\d{12}:user/", arn):
        return None
    backend = iam_backends[arn.split(":")[4]]["aws"]
    for user in list(backend.users.values()):
        if user.arn == arn:
            policies = _policies_of_user(backend, user)
            return User(arn=arn, policies=policies, boundary=_boundary(user))
    return None


def find_caller(key: str, *, administrator: Credentials) -> Caller | None:
    """The owner of the access key; None if it is unknown, inactive or expired.

    Raises `UnsupportedPolicy` for a session that has its own policy, and for a permissions boundary
    that is not among the account's policies.
    """
    if key == administrator.access_key_id:
        return Caller(
            arn=_ADMINISTRATOR,
            principal=_ADMINISTRATOR,
            principal_id="AWS:AIDALOCALADMINISTRATOR",
            user_id="AIDALOCALADMINISTRATOR",
            credentials=administrator,
            policies=[_EVERYTHING],
            is_administrator=True,
        )
    return _user(key) or _assumed_role(key)


def _user(key: str) -> Caller | None:
    for account in list(iam_backends):
        backend = iam_backends[account]["aws"]
        for user in list(backend.users.values()):
            for access_key in user.access_keys:
                if access_key.access_key_id == key and access_key.status == "Active":
                    return Caller(
                        arn=user.arn,
                        principal=user.arn,
                        principal_id=f"AWS:AIDA{user.id.upper()}:{user.name}",
                        user_id=f"AIDA{user.id.upper()}",
                        credentials=Credentials(
                            access_key_id=key, secret_access_key=access_key.secret_access_key
                        ),
                        policies=_policies_of_user(backend, user),
                        boundary=_boundary(user),
                    )
    return None


def _assumed_role(key: str) -> Caller | None:
    for account in list(sts_backends):
        for session in list(sts_backends[account]["aws"].assumed_roles):
            if session.access_key_id == key and session.expiration > utcnow():
                if session.policy:
                    raise UnsupportedPolicy(f"{session.arn} has a session policy")
                role = find_role(session.role_arn)
                return Caller(
                    arn=session.arn,
                    principal=session.role_arn,
                    principal_id=f"AWS:{session.user_id}",
                    user_id=session.user_id,
                    credentials=Credentials(
                        access_key_id=key,
                        secret_access_key=session.secret_access_key,
                        session_token=session.session_token,
                    ),
                    policies=role.policies if role else [],
                    boundary=role.boundary if role else None,
                )
    return None


def _boundary(holder: Any) -> evaluation.Policy | None:
    arn = vars(holder).get("permissions_boundary_arn")
    if not arn:
        return None
    policy = iam_backends[holder.account_id]["aws"].managed_policies.get(arn)
    if policy is None:
        raise UnsupportedPolicy(f"{holder.arn} has a permissions boundary that is unknown: {arn}")
    return _document(policy)


def _document(managed: Any) -> evaluation.Policy:
    text = next(version.document for version in managed.versions if version.is_default)
    return dict(json.loads(text))


def _policies_of_user(backend: Any, user: Any) -> list[evaluation.Policy]:
    groups = [group for group in list(backend.groups.values()) if user in group.users]
    return [policy for holder in [user, *groups] for policy in _policies(holder)]


def _policies(holder: Any) -> list[evaluation.Policy]:
    attached = [_document(policy) for policy in list(holder.managed_policies.values())]
    return [*map(json.loads, holder.policies.values()), *attached]
