"""The resource and the conditions of each request to IAM: a right must name exactly these."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends

from localcloud.cloud import Cloud, running
from localcloud.iam.callers import Credentials
from tests.localcloud.authorized_moto import allow, deny, document, is_allowed, keys_of
from tests.support.in_process import requests_in_process

ACCOUNT = "123456789012"
IAM = f"arn:aws:iam::{ACCOUNT}"
HARMLESS = document(allow("s3:ListAllMyBuckets"))
TRUST = document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})

USER, ROLE, GROUP = {"UserName": "ops"}, {"RoleName": "runner"}, {"GroupName": "admins"}
PROFILE = {"InstanceProfileName": "web"}
OF_USER, OF_ROLE = f"{IAM}:user/people/ops", f"{IAM}:role/services/runner"
OF_GROUP, OF_POLICY = f"{IAM}:group/people/admins", f"{IAM}:policy/own/reads"
OF_PROFILE = f"{IAM}:instance-profile/services/web"
POLICY, BOUNDARY = {"PolicyArn": OF_POLICY}, {"PermissionsBoundary": OF_POLICY}
NAMED = {"PolicyName": "own"}
TEXT = {**NAMED, "PolicyDocument": HARMLESS}
TRUSTED = {"AssumeRolePolicyDocument": TRUST}
NEW_VERSION = {**POLICY, "PolicyDocument": HARMLESS}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with requests_in_process(), running() as cloud:
        yield cloud


@pytest.fixture
def account(cloud: Cloud) -> Any:
    """The administrator's client of an account with one resource of each kind, each with a path."""
    iam_backends[ACCOUNT]["aws"].reset()
    iam = cloud.session(cloud.administrator).client("iam")
    iam.create_user(**USER, Path="/people/")
    iam.create_role(**ROLE, Path="/services/", **TRUSTED)
    iam.create_group(**GROUP, Path="/people/")
    iam.create_policy(PolicyName="reads", Path="/own/", PolicyDocument=HARMLESS)
    iam.create_policy_version(**NEW_VERSION)
    iam.create_instance_profile(**PROFILE, Path="/services/")
    iam.put_user_policy(**USER, **TEXT)
    iam.put_role_policy(**ROLE, **TEXT)
    iam.put_group_policy(**GROUP, **TEXT)
    iam.create_user(UserName="someone")
    return iam


@pytest.fixture
def someone(cloud: Cloud, account: Any) -> Any:
    """A client of a user who has no rights yet."""
    key = account.create_access_key(UserName="someone")["AccessKey"]
    return cloud.session(keys_of(key)).client("iam")


def give(account: Any, *rights: tuple[str, str] | dict[str, Any]) -> None:
    """Give `someone` only these rights: actions on ARNs, or whole statements."""
    statements = [
        right
        if isinstance(right, dict)
        else {"Effect": "Allow", "Action": right[0], "Resource": right[1]}
        for right in rights
    ]
    account.put_user_policy(
        UserName="someone", PolicyName="own", PolicyDocument=document(*statements)
    )


# The operation, its parameters, and the resource that a right must name.
OPERATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("AddUserToGroup", {**GROUP, **USER}, OF_GROUP),
    ("AttachGroupPolicy", {**GROUP, **POLICY}, OF_GROUP),
    ("AttachRolePolicy", {**ROLE, **POLICY}, OF_ROLE),
    ("AttachUserPolicy", {**USER, **POLICY}, OF_USER),
    ("CreateAccessKey", USER, OF_USER),
    ("CreateAccessKey", {}, f"{IAM}:user/someone"),
    ("CreateGroup", {"GroupName": "new"}, f"{IAM}:group/new"),
    ("CreateInstanceProfile", {"InstanceProfileName": "new"}, f"{IAM}:instance-profile/new"),
    ("CreateLoginProfile", {**USER, "Password": "secret"}, OF_USER),
    (
        "CreateOpenIDConnectProvider",
        {"Url": "https://a.example/b", "ThumbprintList": ["a" * 40]},
        f"{IAM}:oidc-provider/a.example/b",
    ),
    (
        "CreatePolicy",
        {"PolicyName": "new", "Path": "/ci/", "PolicyDocument": HARMLESS},
        f"{IAM}:policy/ci/new",
    ),
    ("CreatePolicyVersion", NEW_VERSION, OF_POLICY),
    ("CreateRole", {"RoleName": "new", "Path": "/ci/", **TRUSTED}, f"{IAM}:role/ci/new"),
    ("CreateUser", {"UserName": "new", "Path": "/ci/"}, f"{IAM}:user/ci/new"),
    ("CreateUser", {"UserName": "new"}, f"{IAM}:user/new"),
    ("DeleteGroupPolicy", {**GROUP, **NAMED}, OF_GROUP),
    ("DeletePolicyVersion", {**POLICY, "VersionId": "v2"}, OF_POLICY),
    ("DeleteRolePermissionsBoundary", ROLE, OF_ROLE),
    ("DeleteRolePolicy", {**ROLE, **NAMED}, OF_ROLE),
    ("DeleteUserPermissionsBoundary", USER, OF_USER),
    ("DeleteUserPolicy", {**USER, **NAMED}, OF_USER),
    ("GetRole", ROLE, OF_ROLE),
    ("GetUser", USER, OF_USER),
    ("GetUser", {}, f"{IAM}:user/someone"),
    ("PutGroupPolicy", {**GROUP, **TEXT}, OF_GROUP),
    ("PutRolePermissionsBoundary", {**ROLE, **BOUNDARY}, OF_ROLE),
    ("PutRolePolicy", {**ROLE, **TEXT}, OF_ROLE),
    ("PutUserPermissionsBoundary", {**USER, **BOUNDARY}, OF_USER),
    ("PutUserPolicy", {**USER, **TEXT}, OF_USER),
    ("RemoveRoleFromInstanceProfile", {**PROFILE, **ROLE}, OF_PROFILE),
    ("SetDefaultPolicyVersion", {**POLICY, "VersionId": "v2"}, OF_POLICY),
    (
        "SimulatePrincipalPolicy",
        {"PolicySourceArn": OF_ROLE, "ActionNames": ["s3:GetObject"]},
        OF_ROLE,
    ),
    ("UpdateAssumeRolePolicy", {**ROLE, "PolicyDocument": TRUST}, OF_ROLE),
]


@pytest.mark.parametrize(
    ("operation", "parameters", "resource"),
    [pytest.param(*row, id=f"{row[0]} on {row[2].rpartition(':')[2]}") for row in OPERATIONS],
)
def test_a_right_must_be_on_exactly_the_resource(
    account: Any, someone: Any, operation: str, parameters: dict[str, Any], resource: str
) -> None:
    if operation == "RemoveRoleFromInstanceProfile":
        account.add_role_to_instance_profile(**parameters)
    call = getattr(someone, xform_name(operation))
    kind, _, path_and_name = resource.rpartition(":")[2].partition("/")
    neighbours = {
        f"{resource}2",
        f"{IAM}:{kind}/other/{path_and_name}",
        f"{IAM}:group/{path_and_name}" if kind == "user" else f"{IAM}:user/{path_and_name}",
    }
    give(account, *((f"iam:{operation}", neighbour) for neighbour in neighbours))
    assert not is_allowed(call, **parameters)
    give(account, (f"iam:{operation}", resource))
    assert is_allowed(call, **parameters)


@pytest.mark.parametrize("operation", ["ListUsers", "ListRoles", "GetAccountAuthorizationDetails"])
def test_a_right_to_list_needs_all_resources(account: Any, someone: Any, operation: str) -> None:
    call = getattr(someone, xform_name(operation))
    give(account, (f"iam:{operation}", f"{IAM}:user/*"))
    assert not is_allowed(call)
    give(account, (f"iam:{operation}", "*"))
    assert is_allowed(call)


def test_a_key_is_activated_and_looked_up_by_a_right_on_its_user(
    cloud: Cloud, account: Any, someone: Any
) -> None:
    key = account.create_access_key(**USER)["AccessKey"]
    stopped = {**USER, "AccessKeyId": key["AccessKeyId"], "Status": "Inactive"}
    account.update_access_key(**stopped)
    ops = cloud.session(keys_of(key)).client("sts")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        ops.get_caller_identity()
    calls = {
        "iam:UpdateAccessKey": (someone.update_access_key, {**stopped, "Status": "Active"}),
        "iam:GetAccessKeyLastUsed": (
            someone.get_access_key_last_used,
            {"AccessKeyId": key["AccessKeyId"]},
        ),
    }
    for action, (call, parameters) in calls.items():
        give(account, (action, f"{OF_USER}2"))
        assert not is_allowed(call, **parameters)
        give(account, (action, OF_USER))
        assert is_allowed(call, **parameters)
    assert ops.get_caller_identity()["Arn"] == OF_USER


@pytest.mark.parametrize(
    ("operation", "parameters", "names"),
    [
        ("UpdateUser", {**USER, "NewUserName": "ci"}, (OF_USER, f"{IAM}:user/people/ci")),
        ("UpdateUser", {**USER, "NewPath": "/ci/"}, (OF_USER, f"{IAM}:user/ci/ops")),
        ("UpdateGroup", {**GROUP, "NewGroupName": "ci"}, (OF_GROUP, f"{IAM}:group/people/ci")),
    ],
)
def test_a_new_name_needs_a_right_on_both_names(
    account: Any,
    someone: Any,
    operation: str,
    parameters: dict[str, Any],
    names: tuple[str, str],
) -> None:
    call, action = getattr(someone, xform_name(operation)), f"iam:{operation}"
    for resource in names:
        give(account, (action, resource))
        assert not is_allowed(call, **parameters)
    give(account, *((action, resource) for resource in names))
    assert is_allowed(call, **parameters)


def test_a_name_that_is_taken_is_refused(account: Any) -> None:
    with pytest.raises(ClientError, match="EntityAlreadyExists"):
        account.update_user(**USER, NewUserName="someone")
    assert {user["UserName"] for user in account.list_users()["Users"]} == {"ops", "someone"}


def test_a_role_in_an_instance_profile_must_be_passed(account: Any, someone: Any) -> None:
    add = ("iam:AddRoleToInstanceProfile", OF_PROFILE)
    for passing in ([], [("iam:PassRole", f"{OF_ROLE}2")]):
        give(account, add, *passing)
        assert not is_allowed(someone.add_role_to_instance_profile, **PROFILE, **ROLE)
    give(account, add, ("iam:PassRole", OF_ROLE))
    assert is_allowed(someone.add_role_to_instance_profile, **PROFILE, **ROLE)


# The operation, its parameters, and the condition key with its value, if any.
KEYS: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("AttachUserPolicy", {**USER, **POLICY}, "iam:PolicyARN", OF_POLICY),
    ("AttachRolePolicy", {**ROLE, **POLICY}, "iam:PolicyARN", OF_POLICY),
    ("AttachGroupPolicy", {**GROUP, **POLICY}, "iam:PolicyARN", OF_POLICY),
    ("PutUserPermissionsBoundary", {**USER, **BOUNDARY}, "iam:PermissionsBoundary", OF_POLICY),
    ("PutRolePermissionsBoundary", {**ROLE, **BOUNDARY}, "iam:PermissionsBoundary", OF_POLICY),
    ("CreateUser", {"UserName": "new", **BOUNDARY}, "iam:PermissionsBoundary", OF_POLICY),
    ("CreateUser", {"UserName": "new"}, "iam:PermissionsBoundary", None),
    (
        "CreateRole",
        {"RoleName": "new", **TRUSTED, **BOUNDARY},
        "iam:PermissionsBoundary",
        OF_POLICY,
    ),
    # For an existing principal, the key is that principal's boundary.
    ("PutUserPolicy", {**USER, **TEXT}, "iam:PermissionsBoundary", f"{IAM}:policy/limit"),
    ("PutRolePolicy", {**ROLE, **TEXT}, "iam:PermissionsBoundary", f"{IAM}:policy/limit"),
    ("DeleteUserPermissionsBoundary", USER, "iam:PermissionsBoundary", f"{IAM}:policy/limit"),
    ("CreateAccessKey", USER, "iam:PermissionsBoundary", None),
]


@pytest.mark.parametrize(
    ("operation", "parameters", "condition"),
    [pytest.param(*row[:2], row[2:], id=f"{row[2]} in {row[0]}: {row[3]}") for row in KEYS],
)
def test_a_condition_on_the_request(
    account: Any,
    someone: Any,
    operation: str,
    parameters: dict[str, Any],
    condition: tuple[str, str | None],
) -> None:
    key, value = condition
    account.create_policy(PolicyName="limit", PolicyDocument=HARMLESS)
    limit = {"PermissionsBoundary": f"{IAM}:policy/limit"}
    account.put_user_permissions_boundary(**USER, **limit)
    account.put_role_permissions_boundary(**ROLE, **limit)
    call = getattr(someone, xform_name(operation))
    right = {"Effect": "Allow", "Action": f"iam:{operation}", "Resource": "*"}
    give(account, {**right, "Condition": {"ArnLike": {key: f"{IAM}:policy/another"}}})
    assert not is_allowed(call, **parameters)
    met = {"ArnEquals": {key: value}} if value else {"Null": {key: "true"}}
    give(account, {**right, "Condition": met})
    assert is_allowed(call, **parameters)


def test_the_version_that_is_the_default_counts(account: Any, someone: Any) -> None:
    versions = {"v1": HARMLESS, "v2": document(allow("iam:ListUsers"))}
    policy = account.create_policy(PolicyName="both", PolicyDocument=versions["v1"])["Policy"]
    arn = {"PolicyArn": policy["Arn"]}
    account.create_policy_version(**arn, PolicyDocument=versions["v2"])
    account.attach_user_policy(UserName="someone", **arn)
    for version, allowed in (("v1", False), ("v2", True), ("v2", True), ("v1", False)):
        account.set_default_policy_version(**arn, VersionId=version)
        assert is_allowed(someone.list_users) is allowed


# Trust


SOMEONE = f"{IAM}:user/someone"
OTHERS: Any = {"AWS": f"{IAM}:user/people/ops"}
ROOT = {"AWS": f"{IAM}:root"}


def trust(principal: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    element = "Principal" if "NotPrincipal" not in more else None
    named = {element: principal} if element else {}
    return {"Effect": effect, **named, "Action": "sts:AssumeRole", **more}


FEDERATED = {
    "Effect": "Allow",
    "Principal": {"Federated": f"{IAM}:oidc-provider/token.actions.githubusercontent.com"},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}},
}


@pytest.mark.parametrize(
    ("statements", "without_rights", "with_rights"),
    [
        pytest.param([trust({"AWS": SOMEONE})], True, True, id="by name"),
        pytest.param([trust(OTHERS)], False, False, id="another user"),
        pytest.param([trust(ROOT)], False, True, id="the account"),
        pytest.param([trust("*")], True, True, id="everybody"),
        pytest.param([trust(None, NotPrincipal=OTHERS)], True, True, id="all but another"),
        pytest.param(
            [trust(None, NotPrincipal={"AWS": SOMEONE})], False, False, id="all but this one"
        ),
        pytest.param(
            [trust({"AWS": SOMEONE}), trust({"AWS": SOMEONE}, "Deny")],
            False,
            False,
            id="a Deny wins",
        ),
        pytest.param([FEDERATED], False, False, id="a provider"),
        pytest.param([FEDERATED, trust(ROOT)], False, True, id="a provider and the account"),
        pytest.param(
            [trust("*", Condition={"StringEquals": {"sts:ExternalId": "x"}})],
            False,
            False,
            id="with an external id",
        ),
    ],
)
def test_a_role_is_assumed_by_those_it_trusts(
    cloud: Cloud,
    account: Any,
    statements: list[Any],
    without_rights: bool,
    with_rights: bool,
) -> None:
    account.update_assume_role_policy(**ROLE, PolicyDocument=document(*statements))
    key = account.create_access_key(UserName="someone")["AccessKey"]
    assume = cloud.session(keys_of(key)).client("sts").assume_role
    session = {"RoleArn": OF_ROLE, "RoleSessionName": "run"}
    give(account, ("sts:AssumeRole", f"{OF_ROLE}2"))
    assert is_allowed(assume, **session) is without_rights
    give(account, ("sts:AssumeRole", OF_ROLE))
    assert is_allowed(assume, **session) is with_rights
    give(account, ("sts:AssumeRole", "*"), deny("sts:AssumeRole"))
    assert not is_allowed(assume, **session)


def test_an_external_id_is_compared(cloud: Cloud, account: Any, someone: Any) -> None:
    trusting = trust({"AWS": SOMEONE}, Condition={"StringEquals": {"sts:ExternalId": "acme"}})
    account.update_assume_role_policy(**ROLE, PolicyDocument=document(trusting))
    key = account.create_access_key(UserName="someone")["AccessKey"]
    assume = cloud.session(keys_of(key)).client("sts").assume_role
    session = {"RoleArn": OF_ROLE, "RoleSessionName": "run"}
    assert not is_allowed(assume, **session, ExternalId="else")
    assert is_allowed(assume, **session, ExternalId="acme")


def test_a_role_of_another_account_needs_rights_of_ones_own(cloud: Cloud, account: Any) -> None:
    other = iam_backends["999999999999"]["aws"]
    other.reset()
    other.create_user("us-east-1", "stranger")
    key = other.create_access_key("stranger")
    stranger = "arn:aws:iam::999999999999:user/stranger"
    account.update_assume_role_policy(**ROLE, PolicyDocument=document(trust({"AWS": stranger})))
    credentials = Credentials(
        access_key_id=key.access_key_id, secret_access_key=key.secret_access_key
    )
    assume = cloud.session(credentials).client("sts").assume_role
    session = {"RoleArn": OF_ROLE, "RoleSessionName": "run"}
    assert not is_allowed(assume, **session)
    other.put_user_policy("stranger", "own", document(allow("sts:AssumeRole")))
    assert is_allowed(assume, **session)
