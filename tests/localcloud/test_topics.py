"""SNS: who publishes to a topic, and what subscribers receive."""

import json
import socket

import pytest
from botocore.exceptions import ClientError
from moto.sns.models import sns_backends

from localcloud.clock import clock
from tests.localcloud.authorized_moto import document, is_allowed, refusal
from tests.localcloud.small_functions import TRUST
from tests.support.subscriber import subscriber

ACCOUNT = "123456789012"
BUCKET = "arn:aws:s3:::vault"


def client(cloud, service):
    return cloud.session(cloud.administrator).client(service)


@pytest.fixture
def topic(patient):
    """The ARN of a topic with SNS's default policy, and a bucket."""
    client(patient, "s3").create_bucket(Bucket="vault")
    return client(patient, "sns").create_topic(Name="sirens")["TopicArn"]


def allow(cloud, topic, principal, **condition):
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "sns:Publish",
        "Resource": topic,
        **({"Condition": condition} if condition else {}),
    }
    client(cloud, "sns").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=document(statement)
    )


def allow_s3(cloud, topic, *, service="s3", bucket=BUCKET, account=ACCOUNT):
    allow(
        cloud,
        topic,
        {"Service": f"{service}.amazonaws.com"},
        ArnLike={"aws:SourceArn": bucket},
        StringEquals={"aws:SourceAccount": account},
    )


def published(topic):
    """Subject and body of each message that the topic has accepted."""
    notifications = sns_backends[ACCOUNT]["us-east-1"].topics[topic].sent_notifications
    return [(subject, json.loads(body)) for _, body, subject, _, _ in notifications]


def notify(cloud, topic, *events):
    client(cloud, "s3").put_bucket_notification_configuration(
        Bucket="vault",
        NotificationConfiguration={
            "TopicConfigurations": [{"TopicArn": topic, "Events": list(events)}]
        },
    )


# S3's notifications


def test_s3_sends_a_test_event_when_a_topic_is_configured(patient, topic):
    allow_s3(patient, topic)
    notify(patient, topic, "s3:ObjectRemoved:*")
    [(subject, body)] = published(topic)
    assert subject == "Amazon S3 Notification"
    assert (body["Event"], body["Bucket"]) == ("s3:TestEvent", "vault")
    assert body["Time"] == "2026-11-25T12:00:00.000Z"


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(None, id="SNS's default policy"),
        pytest.param({"bucket": f"{BUCKET}2"}, id="for another bucket"),
        pytest.param({"account": "999999999999"}, id="for another account"),
        pytest.param({"service": "events"}, id="to another service"),
    ],
)
def test_a_bucket_can_only_notify_topics_that_allow_it(patient, topic, allowed):
    if allowed is not None:
        allow_s3(patient, topic, **allowed)
    with pytest.raises(ClientError, match="Unable to validate the following destination"):
        notify(patient, topic, "s3:ObjectRemoved:*")
    assert published(topic) == []


def test_a_bucket_cannot_notify_a_topic_that_does_not_exist(patient, topic):
    with pytest.raises(ClientError, match="Unable to validate the following destination"):
        notify(patient, f"{topic}2", "s3:ObjectRemoved:*")


def test_s3_notifies_a_topic_of_what_happens_to_objects(patient, topic):
    allow_s3(patient, topic)
    notify(patient, topic, "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put")
    s3 = client(patient, "s3")
    s3.put_bucket_versioning(Bucket="vault", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="vault", Key="slot", Tagging="a=b")["VersionId"]
    tags = {"TagSet": [{"Key": "a", "Value": "c"}]}
    s3.put_object_tagging(Bucket="vault", Key="slot", Tagging=tags)
    s3.delete_object_tagging(Bucket="vault", Key="slot")
    s3.put_object_acl(Bucket="vault", Key="slot", ACL="public-read")
    s3.delete_object(Bucket="vault", Key="slot")
    s3.delete_object(Bucket="vault", Key="slot", VersionId=version)
    _, *events = published(topic)
    records = [body["Records"][0] for _, body in events]
    assert [record["eventName"] for record in records] == [
        "ObjectTagging:Put",
        "ObjectTagging:Delete",
        "ObjectAcl:Put",
        "ObjectRemoved:DeleteMarkerCreated",
        "ObjectRemoved:Delete",
    ]
    assert {record["s3"]["object"]["key"] for record in records} == {"slot"}
    assert records[-1]["s3"]["object"]["versionId"] == version


def test_messages_are_lost_once_the_topic_no_longer_allows_them(patient, topic):
    allow_s3(patient, topic)
    notify(patient, topic, "s3:ObjectRemoved:*")
    allow_s3(patient, topic, bucket=f"{BUCKET}2")
    client(patient, "s3").put_object(Bucket="vault", Key="slot")
    client(patient, "s3").delete_object(Bucket="vault", Key="slot")
    assert len(published(topic)) == 1  # the test event
    [line] = patient.functions.logs
    denial = f"{topic} does not allow s3.amazonaws.com to publish to it for {BUCKET}"
    assert line == f"vault: message not delivered: {denial}"


# Roles and users


def role(cloud, *statements):
    iam = client(cloud, "iam")
    arn = iam.create_role(RoleName="audit", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
        "Arn"
    ]
    if statements:
        iam.put_role_policy(
            RoleName="audit", PolicyName="own", PolicyDocument=document(*statements)
        )
    return arn, cloud.session(cloud.assume(arn)).client("sns")


def test_a_role_publishes_by_its_own_policy(patient, topic):
    own = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    _, audit = role(patient, own)
    audit.publish(TopicArn=topic, Subject="a gap", Message="{}")
    assert published(topic) == [("a gap", {})]
    entries = [{"Id": "1", "Message": "{}"}]
    assert is_allowed(audit.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries)


def test_a_role_publishes_by_the_topic_s_policy(patient, topic):
    arn, audit = role(patient)
    assert not is_allowed(audit.publish, TopicArn=topic, Message="{}")
    allow(patient, topic, {"AWS": arn})
    assert is_allowed(audit.publish, TopicArn=topic, Message="{}")
    assert is_allowed(audit.publish, TargetArn=topic, Message="{}")


def test_a_denial_of_the_topic_s_policy_wins(patient, topic):
    own = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    arn, audit = role(patient, own)
    statement = {**own, "Effect": "Deny", "Principal": {"AWS": arn}}
    client(patient, "sns").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=document(statement)
    )
    assert not is_allowed(audit.publish, TopicArn=topic, Message="{}")


@pytest.mark.parametrize("subject", ["a" * 100, "a\nb", "a\x1b[2J"])
def test_sns_refuses_a_subject_that_is_too_long_or_has_control_characters(patient, topic, subject):
    sns = client(patient, "sns")
    publish = {"TopicArn": topic, "Message": "{}"}
    assert refusal(sns.publish, Subject=subject, **publish) == (400, "InvalidParameter")
    sns.publish(Subject="a" * 99, **publish)
    assert [subject for subject, _ in published(topic)] == ["a" * 99]


# Subscribers by HTTP


def test_a_subscriber_receives_sns_s_document(patient, topic):
    sns = client(patient, "sns")
    with subscriber() as receiver:
        arn = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)[
            "SubscriptionArn"
        ]
        sent = sns.publish(TopicArn=topic, Subject="web1: a gap", Message="since 02:00")
        document = receiver.next()
    assert document == {
        "Type": "Notification",
        "MessageId": sent["MessageId"],
        "TopicArn": topic,
        "Subject": "web1: a gap",
        "Message": "since 02:00",
        "Timestamp": "2026-11-25T12:00:00.000Z",
    }
    [headers] = receiver.headers
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-subscription-arn"] == arn


def test_a_message_without_subject_has_none(patient, topic):
    sns = client(patient, "sns")
    with subscriber() as receiver:
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)
        sns.publish(TopicArn=topic, Message="m")
        assert "Subject" not in receiver.next()


def test_nobody_waits_for_a_subscriber_that_is_dead_or_refuses(patient, topic):
    sns = client(patient, "sns")
    with (
        subscriber() as receiver,
        subscriber() as refusing,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        closed.close()
        refusing.answer = 500
        for url in (dead, refusing.url, "http://192.0.2.1/", receiver.url):
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        for _ in range(2):
            sns.publish(TopicArn=topic, Message="m")
        assert [receiver.next()["Message"], receiver.next()["Message"]] == ["m", "m"]
    assert patient.functions.logs[:3] == [
        f"SNS: message not delivered to {dead}: ConnectionError",
        f"SNS: message not delivered to {refusing.url}: HTTP 500 Internal Server Error",
        "SNS: message not delivered to http://192.0.2.1/: the local cloud only reaches 127.0.0.1",
    ]


def test_messages_are_dated_by_the_cloud_s_clock(patient, topic):
    sns = client(patient, "sns")
    with subscriber() as receiver:
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)
        clock.stand_at(clock.now().replace(year=2030))
        sns.publish(TopicArn=topic, Message="m")
        assert receiver.next()["Timestamp"].startswith("2030-11-25")
