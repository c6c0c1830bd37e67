"""The rights that Lambda requires to configure a function, and to pass a role to it."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from localcloud.cloud import Cloud, running
from tests.localcloud.authorized_moto import document, is_allowed, keys_of
from tests.support.in_process import requests_in_process

ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:promote"
RUNNER, PERSON = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("runner", "person"))


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as bundle:
        bundle.writestr("app.py", "def promote(event, context): return event")
    return content.getvalue()


NAME, CODE = {"FunctionName": "promote"}, archive()
CREATED: dict[str, Any] = {
    "Runtime": "python3.13",
    "Handler": "app.promote",
    "Code": {"ZipFile": CODE},
    "Role": RUNNER,
}


def trusting(**principal: str) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with requests_in_process(), running() as cloud:
        yield cloud


@pytest.fixture
def administrator(cloud: Cloud) -> Any:
    """The session of the administrator of an account with a function."""
    iam_backends[ACCOUNT]["aws"].reset()
    lambda_backends[ACCOUNT][REGION].reset()
    session = cloud.session(cloud.administrator)
    iam = session.client("iam")
    iam.create_role(
        RoleName="runner", AssumeRolePolicyDocument=trusting(Service="lambda.amazonaws.com")
    )
    iam.create_role(
        RoleName="person", AssumeRolePolicyDocument=trusting(AWS=f"arn:aws:iam::{ACCOUNT}:root")
    )
    session.client("lambda").create_function(**NAME, **CREATED)
    iam.create_user(UserName="someone")
    return session


@pytest.fixture
def someone(cloud: Cloud, administrator: Any) -> Any:
    """A client of a user who has no rights yet."""
    key = administrator.client("iam").create_access_key(UserName="someone")["AccessKey"]
    return cloud.session(keys_of(key)).client("lambda")


def give(administrator: Any, *rights: tuple[str, str], **more: Any) -> None:
    """Give `someone` only these rights: actions on ARNs."""
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource, **more}
        for action, resource in rights
    ]
    administrator.client("iam").put_user_policy(
        UserName="someone", PolicyName="own", PolicyDocument=document(*statements)
    )


@pytest.mark.parametrize(
    ("operation", "parameters", "resource"),
    [
        ("GetFunctionConfiguration", NAME, FUNCTION),
        ("GetFunctionConfiguration", {"FunctionName": FUNCTION}, FUNCTION),
        ("GetFunctionConfiguration", {**NAME, "Qualifier": "$LATEST"}, f"{FUNCTION}:$LATEST"),
        ("ListTags", {"Resource": FUNCTION}, FUNCTION),
        ("PutFunctionConcurrency", {**NAME, "ReservedConcurrentExecutions": 1}, FUNCTION),
        ("UpdateFunctionCode", {**NAME, "ZipFile": CODE}, FUNCTION),
        ("UpdateFunctionConfiguration", {**NAME, "Timeout": 9}, FUNCTION),
        ("DeleteFunction", NAME, FUNCTION),
        ("ListFunctions", {}, "*"),
    ],
)
def test_a_right_must_be_on_exactly_the_function(
    administrator: Any, someone: Any, operation: str, parameters: dict[str, Any], resource: str
) -> None:
    call = getattr(someone, xform_name(operation))
    give(administrator, (f"lambda:{operation}", f"{FUNCTION}2"))
    assert not is_allowed(call, **parameters)
    give(administrator, (f"lambda:{operation}", resource))
    assert is_allowed(call, **parameters)


@pytest.mark.parametrize(
    ("operation", "parameters", "function"),
    [
        ("CreateFunction", {"FunctionName": "new", **CREATED}, f"{FUNCTION[:-7]}new"),
        ("UpdateFunctionConfiguration", {**NAME, "Role": RUNNER}, FUNCTION),
    ],
)
def test_a_role_must_be_passed_to_lambda(
    administrator: Any, someone: Any, operation: str, parameters: dict[str, Any], function: str
) -> None:
    call, own = getattr(someone, xform_name(operation)), (f"lambda:{operation}", function)
    passing = ("iam:PassRole", RUNNER)
    for rights in ([own], [own, ("iam:PassRole", PERSON)], [passing]):
        give(administrator, *rights)
        assert not is_allowed(call, **parameters)
    for service, allowed in (("ec2", False), ("lambda", True)):
        to = {"StringEqualsIfExists": {"iam:PassedToService": f"{service}.amazonaws.com"}}
        give(administrator, own, passing, Condition=to)
        assert is_allowed(call, **parameters) is allowed


@pytest.mark.parametrize("role", [PERSON, f"{RUNNER}2"], ids=["distrusting", "missing"])
def test_a_function_needs_a_role_that_trusts_lambda(administrator: Any, role: str) -> None:
    functions = administrator.client("lambda")
    for call, parameters in (
        (functions.create_function, {**CREATED, "FunctionName": "new"}),
        (functions.update_function_configuration, NAME),
    ):
        with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
            call(**{**parameters, "Role": role})
    assert functions.get_function_configuration(**NAME)["Role"] == RUNNER


def test_a_request_unknown_to_lambda_is_denied(administrator: Any, someone: Any) -> None:
    give(administrator, ("lambda:*", "*"))

    def misspell(request: Any, **_: Any) -> None:
        request.url = request.url.replace("/functions", "/function")

    someone.meta.events.register("before-sign", misspell)
    assert not is_allowed(someone.list_functions)
