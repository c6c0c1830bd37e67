"""The administrator's identity, and IAM's policy simulation."""

import json

import pytest
from botocore.exceptions import ClientError

from localcloud.cloud import running
from localcloud.iam.callers import Credentials
from localcloud.sessions import Session
from tests.localcloud.authorized_moto import allow, deny, document

ROLE = "arn:aws:iam::123456789012:role/promoter"
OBJECT = "arn:aws:s3:::backups2/slot"


@pytest.fixture(scope="module")
def administrator():
    with running() as cloud:
        session = cloud.session(cloud.administrator)
        iam = session.client("iam")
        trust = document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
        iam.create_role(RoleName="promoter", AssumeRolePolicyDocument=trust)
        own = allow("s3:PutObject", Condition={"Null": {"s3:if-none-match": "false"}})
        iam.put_role_policy(RoleName="promoter", PolicyName="own", PolicyDocument=document(own))
        yield session


def test_the_administrator_is_a_user(administrator):
    identity = administrator.client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::123456789012:user/administrator"
    assert identity["Account"] == "123456789012"


@pytest.mark.parametrize(
    ("action", "context", "added", "decision"),
    [
        ("s3:PutObject", {"s3:if-none-match": "*"}, [], "allowed"),
        ("s3:PutObject", {}, [], "implicitDeny"),
        ("s3:DeleteObject", {}, [], "implicitDeny"),
        ("s3:DeleteObject", {}, [deny("s3:DeleteObject")], "explicitDeny"),
        ("s3:DeleteObject", {}, [allow("s3:DeleteObject")], "allowed"),
        ("s3:PutObject", {"s3:if-none-match": "*"}, [deny("s3:*")], "explicitDeny"),
    ],
)
def test_a_roles_policies_are_simulated(administrator, action, context, added, decision):
    answer = administrator.client("iam").simulate_principal_policy(
        PolicySourceArn=ROLE,
        PolicyInputList=[document(statement) for statement in added],
        ActionNames=[action],
        ResourceArns=[OBJECT],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ],
    )
    [result] = answer["EvaluationResults"]
    [specific] = result["ResourceSpecificResults"]
    assert (result["EvalActionName"], specific["EvalResourceName"]) == (action, OBJECT)
    assert (result["EvalDecision"], specific["EvalResourceDecision"]) == (decision, decision)


def for_everyone(statement):
    return document({**statement, "Principal": "*", "Resource": f"{OBJECT}2"})


def test_a_resource_s_policy_is_simulated_for_a_user(administrator):
    iam = administrator.client("iam")
    user = iam.create_user(UserName="web1")["User"]["Arn"]
    iam.put_user_policy(UserName="web1", PolicyName="own", PolicyDocument=document(allow("s3:*")))
    arguments = {
        "ActionNames": ["s3:PutObject"],
        "ResourceArns": [OBJECT, f"{OBJECT}2"],
        "ResourcePolicy": for_everyone(deny("s3:PutObject")),
    }
    principal = iam.simulate_principal_policy(PolicySourceArn=user, **arguments)
    custom = iam.simulate_custom_policy(
        PolicyInputList=[document(allow("s3:*"))], CallerArn=user, **arguments
    )
    for answer in (principal, custom):
        [result] = answer["EvaluationResults"]
        assert result["EvalDecision"] == "explicitDeny"
        decisions = [one["EvalResourceDecision"] for one in result["ResourceSpecificResults"]]
        assert decisions == ["allowed", "explicitDeny"]


def test_values_that_a_policy_needs_and_the_request_lacks_are_reported(administrator):
    """With several resources, they are reported for each, otherwise for the action."""
    statements = [
        deny("s3:PutObject", Condition={"StringNotEquals": {"aws:SourceIp": "203.0.113.7"}}),
        deny("s3:GetObject", Condition={"Null": {"s3:if-match": "true"}}),
    ]
    iam = administrator.client("iam")
    for resources, context, missing in (
        ([OBJECT], [], ["aws:SourceIp", "s3:if-none-match"]),
        ([], [], ["aws:SourceIp", "s3:if-none-match"]),
        ([OBJECT], ["AWS:sourceip", "s3:if-none-match"], []),
    ):
        answer = iam.simulate_principal_policy(
            PolicySourceArn=ROLE,
            PolicyInputList=[document(*statements)],
            ActionNames=["s3:PutObject"],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": ["x"], "ContextKeyType": "string"}
                for key in context
            ],
            **({"ResourceArns": resources} if resources else {}),
        )
        [result] = answer["EvaluationResults"]
        for specific in result["ResourceSpecificResults"]:
            assert specific["MissingContextValues"] == missing
        assert result["MissingContextValues"] == ([] if resources else missing)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param({"ResourcePolicy": json.dumps({})}, "InvalidInput", id="a bucket policy"),
        pytest.param({"PolicySourceArn": f"{ROLE}2"}, "NoSuchEntity", id="no such role"),
        pytest.param(
            {"PolicyInputList": [document(allow("s3:*", Condition={"Date": {"x:y": "z"}}))]},
            "InvalidInput",
            id="an unsupported policy",
        ),
    ],
)
def test_an_unsupported_simulation_is_refused(administrator, arguments, code):
    with pytest.raises(ClientError) as refused:
        administrator.client("iam").simulate_principal_policy(
            **{"PolicySourceArn": ROLE, "ActionNames": ["s3:PutObject"], **arguments}
        )
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("operation", "name", "longest", "arguments"),
    [
        ("create_user", "UserName", 64, {}),
        ("create_role", "RoleName", 64, {"AssumeRolePolicyDocument": document(allow("sts:*"))}),
        ("create_group", "GroupName", 128, {}),
        ("create_policy", "PolicyName", 128, {"PolicyDocument": document(allow("s3:*"))}),
        (
            "put_role_policy",
            "PolicyName",
            128,
            {"RoleName": "promoter", "PolicyDocument": document(deny("s3:*"))},
        ),
    ],
)
def test_names_that_are_too_long_are_refused(administrator, operation, name, longest, arguments):
    call = getattr(administrator.client("iam"), operation)
    with pytest.raises(ClientError, match=f"less than or equal to {longest}") as refused:
        call(**arguments, **{name: (longest + 1) * "n"})
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    call(**arguments, **{name: longest * "n"})


def test_a_simulation_respects_the_boundary(administrator):
    iam = administrator.client("iam")
    boundary = iam.create_policy(PolicyName="reads", PolicyDocument=document(allow("s3:Get*")))
    arn = iam.create_role(
        RoleName="bounded",
        AssumeRolePolicyDocument=document(allow("sts:*")),
        PermissionsBoundary=boundary["Policy"]["Arn"],
    )["Role"]["Arn"]
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn,
        PolicyInputList=[document(allow("s3:*"))],
        ActionNames=["s3:GetObject", "s3:PutObject"],
    )
    decisions = [result["EvalDecision"] for result in answer["EvaluationResults"]]
    assert decisions == ["allowed", "implicitDeny"]


@pytest.mark.parametrize("made_with_it", [True, False], ids=["made with it", "given later"])
def test_a_user_is_limited_by_its_boundary(administrator, made_with_it):
    iam, s3 = administrator.client("iam"), administrator.client("s3")
    user, put = f"bounded-{made_with_it}", {"Bucket": "backups1", "Key": "a"}
    s3.create_bucket(Bucket="backups1")
    reads = iam.create_policy(PolicyName=user, PolicyDocument=document(allow("s3:Get*")))["Policy"]
    if made_with_it:
        iam.create_user(UserName=user, PermissionsBoundary=reads["Arn"])
    else:
        iam.create_user(UserName=user)
        iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=reads["Arn"])
    everything = document(allow("s3:*"))
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=everything)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    credentials = Credentials(
        access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
    )
    bounded = Session(endpoint=administrator.endpoint, credentials=credentials).client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        bounded.put_object(**put)
    iam.delete_user_permissions_boundary(UserName=user)
    bounded.put_object(**put)
