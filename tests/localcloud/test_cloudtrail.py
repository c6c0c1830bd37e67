"""EventBridge receives API calls only where a trail logs them."""

import json

import pytest

from localcloud.iam.callers import Credentials
from tests.localcloud.authorized_moto import allow as allowing
from tests.localcloud.authorized_moto import document, is_allowed, refusal
from tests.localcloud.small_functions import ANSWERS, TRUST, bundle, create
from tests.localcloud.test_event_rules import allow_events
from tests.localcloud.test_topics import client, published, topic

__all__ = ["topic"]
ACCOUNT = "123456789012"
HARMLESS = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "s3:ListBucket",
    "Resource": "arn:aws:s3:::vault",
}


@pytest.fixture
def heard(patient, topic):
    """Everything that EventBridge receives arrives at the topic. There is no trail yet."""
    allow_events(patient, topic)
    events = client(patient, "events")
    events.put_rule(
        Name="sirens",
        EventPattern=json.dumps({"detail-type": ["AWS API Call via CloudTrail"]}),
    )
    events.put_targets(Rule="sirens", Targets=[{"Id": "1", "Arn": topic}])
    create(patient, ANSWERS)
    allow_delivery(patient)
    client(patient, "cloudtrail").create_trail(Name="trail", S3BucketName="logs")
    return patient


def allow_delivery(cloud, *, trail="trail", prefix="AWSLogs/", service="cloudtrail"):
    """A bucket with the policy from CloudTrail's user guide."""
    arn = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/{trail}"
    both = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}}
    source = {"aws:SourceArn": arn}
    reads = {
        **both,
        "Action": "s3:GetBucketAcl",
        "Resource": "arn:aws:s3:::logs",
        "Condition": {"StringEquals": source},
    }
    writes = {
        **both,
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::logs/{prefix}{ACCOUNT}/*",
        "Condition": {"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}},
    }
    client(cloud, "s3").create_bucket(Bucket="logs")
    client(cloud, "s3").put_bucket_policy(Bucket="logs", Policy=document(reads, writes))


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param({"trail": "another"}, id="for another trail"),
        pytest.param({"service": "s3"}, id="to another service"),
        pytest.param({"prefix": "logs/AWSLogs/"}, id="elsewhere in the bucket"),
    ],
)
def test_a_trail_needs_a_bucket_that_cloudtrail_can_write_to(patient, allowed):
    allow_delivery(patient, **allowed)
    cloudtrail = client(patient, "cloudtrail")
    create = {"Name": "trail", "S3BucketName": "logs"}
    assert refusal(cloudtrail.create_trail, **create) == (
        400,
        "InsufficientS3BucketPolicyException",
    )
    assert cloudtrail.describe_trails()["trailList"] == []


def start(cloud, **selectors):
    client(cloud, "cloudtrail").start_logging(Name="trail")
    if selectors:
        client(cloud, "cloudtrail").put_event_selectors(TrailName="trail", **selectors)


def calls(topic):
    return [event["detail"]["eventName"] for _, event in published(topic)]


@pytest.mark.parametrize(
    ("call", "name", "parameters"),
    [
        (
            ("s3", "put_bucket_policy", {"Bucket": "vault", "Policy": document(HARMLESS)}),
            "PutBucketPolicy",
            {"bucketName": "vault", "policy": "", "bucketPolicy": json.loads(document(HARMLESS))},
        ),
        (
            ("s3", "delete_bucket_policy", {"Bucket": "vault"}),
            "DeleteBucketPolicy",
            {"bucketName": "vault", "policy": ""},
        ),
        (
            (
                "s3",
                "put_bucket_lifecycle_configuration",
                {"Bucket": "vault", "LifecycleConfiguration": {"Rules": []}},
            ),
            "PutBucketLifecycle",
            {"bucketName": "vault", "lifecycle": ""},
        ),
        (
            (
                "s3",
                "put_public_access_block",
                {"Bucket": "vault", "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
            ),
            "PutBucketPublicAccessBlock",
            {"bucketName": "vault", "publicAccessBlock": ""},
        ),
        (("s3", "create_bucket", {"Bucket": "new"}), "CreateBucket", {"bucketName": "new"}),
        (
            (
                "lambda",
                "update_function_code",
                {"FunctionName": "function", "ZipFile": bundle(ANSWERS)},
            ),
            "UpdateFunctionCode20150331v2",
            {"functionName": "function"},
        ),
        (
            ("lambda", "update_function_configuration", {"FunctionName": "function", "Timeout": 9}),
            "UpdateFunctionConfiguration20150331v2",
            {"functionName": "function", "timeout": 9},
        ),
        (
            (
                "lambda",
                "put_function_concurrency",
                {"FunctionName": "function", "ReservedConcurrentExecutions": 0},
            ),
            "PutFunctionConcurrency20171031",
            {"functionName": "function", "reservedConcurrentExecutions": 0},
        ),
        (
            ("lambda", "delete_function", {"FunctionName": "function"}),
            "DeleteFunction20150331",
            {"functionName": "function"},
        ),
        (("events", "disable_rule", {"Name": "other"}), "DisableRule", {"name": "other"}),
        (
            ("events", "remove_targets", {"Rule": "other", "Ids": ["1"]}),
            "RemoveTargets",
            {"rule": "other", "ids": ["1"]},
        ),
        (
            ("cloudwatch", "delete_alarms", {"AlarmNames": ["a", "b"]}),
            "DeleteAlarms",
            {"alarmNames": ["a", "b"]},
        ),
        (
            ("cloudwatch", "disable_alarm_actions", {"AlarmNames": ["a"]}),
            "DisableAlarmActions",
            {"alarmNames": ["a"]},
        ),
        (
            (
                "sns",
                "unsubscribe",
                {"SubscriptionArn": "arn:aws:sns:us-east-1:123456789012:sirens:1"},
            ),
            "Unsubscribe",
            {"subscriptionArn": "arn:aws:sns:us-east-1:123456789012:sirens:1"},
        ),
        (("sns", "create_topic", {"Name": "more"}), "CreateTopic", {"name": "more"}),
        (("cloudtrail", "stop_logging", {"Name": "trail"}), "StopLogging", {"name": "trail"}),
    ],
)
def test_a_call_is_reported_with_cloudtrail_s_names(heard, topic, call, name, parameters):
    service, operation, arguments = call
    client(heard, "events").put_rule(Name="other", ScheduleExpression="rate(1 day)")
    start(heard)
    getattr(client(heard, service), operation)(**arguments)
    source = {"cloudwatch": "monitoring"}.get(service, service)
    _, event = published(topic)[-1]
    detail = event["detail"]
    assert event["source"] == f"aws.{source}"
    assert (detail["eventSource"], detail["eventName"]) == (f"{source}.amazonaws.com", name)
    assert parameters.items() <= detail["requestParameters"].items()
    assert "zipFile" not in detail["requestParameters"]
    assert detail["readOnly"] is False
    assert "errorCode" not in detail


def test_without_a_trail_that_logs_nothing_is_reported(heard, topic):
    client(heard, "s3").delete_bucket_policy(Bucket="vault")
    assert calls(topic) == []
    start(heard)
    client(heard, "s3").delete_bucket_policy(Bucket="vault")
    client(heard, "cloudtrail").stop_logging(Name="trail")
    client(heard, "s3").delete_bucket_policy(Bucket="vault")
    assert calls(topic) == ["StartLogging", "DeleteBucketPolicy", "StopLogging"]


MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}


@pytest.mark.parametrize(
    ("selectors", "told"),
    [
        pytest.param(
            {"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "WriteOnly"}]},
            True,
            id="writes",
        ),
        pytest.param(
            {"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "ReadOnly"}]},
            False,
            id="reads only",
        ),
        pytest.param(
            {"EventSelectors": [{"IncludeManagementEvents": False}]}, False, id="no management"
        ),
        pytest.param(
            {"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT]}]}, True, id="advanced"
        ),
        pytest.param(
            {
                "AdvancedEventSelectors": [
                    {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}
                ]
            },
            False,
            id="advanced, data only",
        ),
        pytest.param(
            {
                "AdvancedEventSelectors": [
                    {"FieldSelectors": [MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]}]}
                ]
            },
            False,
            id="advanced, reads only",
        ),
    ],
)
def test_a_trail_logs_what_its_selectors_name(heard, topic, selectors, told):
    start(heard, **selectors)
    client(heard, "s3").delete_bucket_policy(Bucket="vault")
    assert ("DeleteBucketPolicy" in calls(topic)) is told


def test_reads_and_data_events_are_not_reported(heard, topic):
    start(heard)
    s3 = client(heard, "s3")
    s3.list_buckets()
    s3.get_bucket_versioning(Bucket="vault")
    s3.put_object(Bucket="vault", Key="slot")
    s3.delete_objects(Bucket="vault", Delete={"Objects": [{"Key": "slot"}]})
    client(heard, "lambda").list_functions()
    client(heard, "lambda").invoke(FunctionName="function")
    client(heard, "cloudwatch").describe_alarms()
    other = client(heard, "sns").create_topic(Name="other")["TopicArn"]
    client(heard, "sns").publish(TopicArn=other, Message="m")
    assert calls(topic) == ["StartLogging", "CreateTopic"]


def test_a_denied_call_is_reported_with_its_error(heard, topic):
    start(heard)
    iam = client(heard, "iam")
    iam.create_user(UserName="web1")
    key = iam.create_access_key(UserName="web1")["AccessKey"]
    web1 = heard.session(
        Credentials(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
    )
    assert not is_allowed(web1.client("s3").delete_bucket_policy, Bucket="vault")
    _, event = published(topic)[-1]
    assert event["detail"]["errorCode"] == "AccessDenied"
    assert event["detail"]["userIdentity"] == {
        "type": "IAMUser",
        "principalId": event["detail"]["userIdentity"]["principalId"],
        "arn": f"arn:aws:iam::{ACCOUNT}:user/web1",
        "accountId": ACCOUNT,
        "accessKeyId": key["AccessKeyId"],
        "userName": "web1",
    }


def test_a_session_of_a_role_is_reported_with_its_role(heard, topic):
    start(heard)
    iam = client(heard, "iam")
    arn = iam.create_role(RoleName="audit", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
        "Arn"
    ]
    iam.put_role_policy(
        RoleName="audit",
        PolicyName="own",
        PolicyDocument=document(allowing("s3:DeleteBucketPolicy", "vault")),
    )
    heard.session(heard.assume(arn)).client("s3").delete_bucket_policy(Bucket="vault")
    identity = published(topic)[-1][1]["detail"]["userIdentity"]
    assert identity["type"] == "AssumedRole"
    assert identity["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/audit/local"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == arn
    assert identity["sessionContext"]["sessionIssuer"]["userName"] == "audit"
