"""Who can invoke a function: S3 if the function allows it, and Lambda if its role trusts Lambda."""

import json
from datetime import timedelta

import pytest

from localcloud.clock import clock
from tests.localcloud.authorized_moto import document, refusal
from tests.localcloud.small_functions import ANSWERS, TRUST, create

BUCKET = "arn:aws:s3:::incoming"


@pytest.fixture
def function(patient):
    """The ARN of a function that nobody is allowed to invoke, and a bucket."""
    client(patient, "s3").create_bucket(Bucket="incoming")
    return create(patient, ANSWERS)


def client(cloud, service):
    return cloud.session(cloud.administrator).client(service)


def notify(cloud, function):
    client(cloud, "s3").put_bucket_notification_configuration(
        Bucket="incoming",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )


def permit(cloud, *, principal="s3.amazonaws.com", source=BUCKET, account="123456789012"):
    client(cloud, "lambda").add_permission(
        FunctionName="function",
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal=principal,
        SourceArn=source,
        SourceAccount=account,
    )


@pytest.mark.parametrize(
    "permission",
    [
        pytest.param(None, id="none"),
        pytest.param({"source": f"{BUCKET}2"}, id="for another bucket"),
        pytest.param({"account": "999999999999"}, id="for another account"),
        pytest.param({"principal": "events.amazonaws.com"}, id="to another service"),
    ],
)
def test_a_bucket_can_only_notify_functions_that_allow_it(patient, function, permission):
    if permission is not None:
        permit(patient, **permission)
    assert refusal(notify, cloud=patient, function=function) == (400, "InvalidArgument")


def test_a_bucket_cannot_notify_a_function_that_does_not_exist(patient, function):
    missing = function.replace("function:function", "function:missing")
    assert refusal(notify, cloud=patient, function=missing) == (400, "InvalidArgument")


def test_events_are_lost_once_the_function_no_longer_allows_them(patient, function):
    permit(patient)
    notify(patient, function)
    client(patient, "s3").put_object(Bucket="incoming", Key="first")
    patient.functions.wait_until_quiet(timeout=60)
    client(patient, "lambda").remove_permission(FunctionName="function", StatementId="events")
    client(patient, "s3").put_object(Bucket="incoming", Key="second")
    patient.functions.wait_until_quiet(timeout=60)
    [result] = patient.functions.results
    assert result.payload["Records"][0]["s3"]["object"]["key"] == "first"
    assert patient.functions.logs[-1].startswith("incoming: event not delivered: ")


@pytest.mark.parametrize(
    "trust",
    [
        {"Principal": {"Service": "ec2.amazonaws.com"}},
        {"Principal": {"AWS": "123456789012"}},
        {"Action": "sts:TagSession"},
        {"Effect": "Deny"},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}},
    ],
    ids=str,
)
def test_a_function_runs_only_if_its_role_trusts_lambda(patient, function, trust):
    distrust = document({**TRUST["Statement"], **trust})
    client(patient, "iam").update_assume_role_policy(RoleName="function", PolicyDocument=distrust)
    invoke = client(patient, "lambda").invoke
    assert refusal(invoke, FunctionName="function") == (403, "AccessDeniedException")

    invoke(FunctionName="function", InvocationType="Event", Payload=b"{}")
    patient.functions.wait_until_stalled(timeout=60)
    assert patient.functions.results == []
    assert "cannot be assumed by Lambda" in patient.functions.logs[-1]
    client(patient, "iam").update_assume_role_policy(
        RoleName="function", PolicyDocument=json.dumps(TRUST)
    )
    clock.advance(timedelta(minutes=1))
    patient.functions.wait_until_quiet(timeout=60)
    assert [result.attempt for result in patient.functions.results] == [2]


def test_the_credentials_of_a_role_that_does_not_exist_cannot_be_had(patient, function):
    client(patient, "iam").delete_role(RoleName="function")
    assert refusal(client(patient, "lambda").invoke, FunctionName="function") == (
        403,
        "AccessDeniedException",
    )
