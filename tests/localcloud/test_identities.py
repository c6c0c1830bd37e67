"""The administrator's identity, and IAM's policy simulation."""

import json

import pytest
from botocore.exceptions import ClientError

from localcloud.cloud import running
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
    assert (result["EvalActionName"], result["EvalResourceName"]) == (action, OBJECT)
    assert result["EvalDecision"] == decision


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
