"""moto's IAM and STS, corrected: callers, simulation, boundaries, and sizes of policies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.exceptions import (
    EntityAlreadyExists,
    LimitExceededException,
    ValidationError,
)
from moto.iam.models import IAMBackend, ManagedPolicy, User
from moto.iam.models import Role as MotoRole
from moto.iam.responses import IamResponse
from moto.sts.models import STSBackend

from localcloud.iam.callers import Credentials, find_caller
from localcloud.iam.simulation import simulate_custom_policy, simulate_principal_policy

# Characters of names (IAM user guide, "IAM name requirements").
LONGEST_NAMES = {"UserName": 64, "RoleName": 64, "GroupName": 128, "PolicyName": 128}
_NAMING = (
    "create_group",
    "create_policy",
    "create_role",
    "create_user",
    "put_group_policy",
    "put_role_policy",
    "put_user_policy",
)
# Bytes of all inline policies of a user, without white space (IAM user guide, "IAM quotas").
LARGEST_OF_A_USER = 2_048


@contextmanager
def corrected_identities(*, administrator: Credentials) -> Iterator[None]:
    """Make IAM simulate policies and limit their sizes and names, until the block ends.

    STS returns every caller's aws:userid.
    """
    original_put = IAMBackend.put_user_policy

    def put_user_policy(backend: IAMBackend, user: str, name: str, policy: str) -> None:
        policies = {**backend.get_user(user).policies, name: policy}
        size = sum(len("".join(text.split())) for text in policies.values())
        if size > LARGEST_OF_A_USER:
            raise LimitExceededException(
                f"Maximum policy size of {LARGEST_OF_A_USER} bytes exceeded for user {user}"
            )
        original_put(backend, user, name, policy)

    original_update = IAMBackend.update_user

    def update_user(
        backend: IAMBackend, name: str, path: str | None = None, new_name: str | None = None
    ) -> None:
        if new_name in backend.users.keys() - {name}:  # which moto would lose
            raise EntityAlreadyExists(f"User with name {new_name} already exists.")
        original_update(backend, name, path, new_name)

    original_get = STSBackend.get_caller_identity

    def get_caller_identity(backend: STSBackend, key: str, region: str) -> tuple[str, str, str]:
        caller = find_caller(key, administrator=administrator)
        if caller is None:
            return original_get(backend, key, region)
        return caller.user_id, caller.arn, caller.arn.split(":")[4]

    limited: Any = {name: _limited(getattr(IamResponse, name)) for name in _NAMING}
    limited["create_user"] = _with_boundary(limited["create_user"])
    with (
        patch.object(STSBackend, "get_caller_identity", get_caller_identity),
        patch.multiple(IAMBackend, put_user_policy=put_user_policy, update_user=update_user),
        patch.object(ManagedPolicy, "update_default_version", _update_default_version),
        patch.object(
            IamResponse, "simulate_principal_policy", simulate_principal_policy, create=True
        ),
        patch.object(IamResponse, "simulate_custom_policy", simulate_custom_policy, create=True),
        patch.multiple(
            IamResponse,
            create=True,
            put_user_permissions_boundary=_set_boundary,
            delete_user_permissions_boundary=_set_boundary,
            **limited,
        ),
        patch.multiple(
            User,
            create=True,
            permissions_boundary_arn=None,
            permissions_boundary=MotoRole.permissions_boundary,
        ),
    ):
        yield


def _update_default_version(policy: Any, version_id: str) -> None:
    """moto loses the default version of a policy if the default is made the default again."""
    for version in policy.versions:
        version.is_default = version.version_id == version_id
    policy.default_version_id = version_id


def _with_boundary(original: Callable[[IamResponse], ActionResult]) -> Callable[..., Any]:
    """CreateUser with a permissions boundary, which moto would drop."""

    def create_user(request: IamResponse) -> ActionResult:
        answer = original(request)
        _set_boundary(request)
        return answer

    return create_user


def _set_boundary(request: IamResponse) -> EmptyResult:
    """PutUserPermissionsBoundary, and DeleteUserPermissionsBoundary, which names no boundary."""
    user: Any = request.backend.get_user(request._get_param("UserName"))
    user.permissions_boundary_arn = request._get_param("PermissionsBoundary")
    return EmptyResult()


def _limited(original: Callable[[IamResponse], ActionResult]) -> Callable[..., ActionResult]:
    """The operation, which refuses names that are too long."""

    def operation(request: IamResponse) -> ActionResult:
        for parameter, longest in LONGEST_NAMES.items():
            name = request._get_param(parameter) or ""
            if len(name) > longest:
                raise ValidationError(
                    f"1 validation error detected: Value '{name}' at "
                    f"'{parameter[0].lower()}{parameter[1:]}' failed to satisfy constraint: "
                    f"Member must have length less than or equal to {longest}"
                )
        return original(request)

    return operation
