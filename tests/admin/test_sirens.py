"""The sirens: what sets them off, who can publish, and how `setup` installs and restores them."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.models import EventPattern

from admin.account import Account
from admin.cli import cli
from admin.desired.alerts import alerts
from admin.desired.permissions import Document
from admin.desired.requirement import Kind, Requirement
from admin.desired.sirens import api_calls, siren_rule, sirens_topic, vault_notification
from admin.setup.plan import execute, make_plan, requirements_of
from admin.stage import Stage
from admin.target import Target
from chalicelib.settings import Settings
from localcloud.iam.service_principals import ServiceCall, allows
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, STAGE

ACCOUNT, REGION, STRANGER = DEFAULT_ACCOUNT_ID, "us-east-1", "210987654321"
TOPICS = f"arn:aws:sns:{REGION}:{ACCOUNT}"
SIRENS = f"{TOPICS}:{STAGE.sirens}"
PROMOTE = STAGE.function_name("promote")
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{PROMOTE}"
# EventBridge user guide, "Amazon EventBridge quotas".
LONGEST_PATTERN = 2_048


def rings(service: str, name: str, parameters: dict[str, Any], *, error: str = "") -> bool:
    """Whether our rule matches the record of an API call, as CloudTrail writes it."""
    detail = {
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "requestParameters": parameters,
        **({"errorCode": error} if error else {}),
    }
    event: Any = {
        "source": f"aws.{service}",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": detail,
    }
    pattern = api_calls(STAGE, account=ACCOUNT, region=REGION)
    return EventPattern.load(json.dumps(pattern)).matches_event(event)


ALARMS = [f"{STAGE.topic}-waiting", "shop-is-slow"]
SUBSCRIPTION = f"{TOPICS}:{STAGE.topic}:1338bf78-9583-4f79-ad29-82b689b50d32"
WEAKENINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("s3", "PutBucketPolicy", {"bucketName": "backups2", "policy": ""}),
    ("s3", "DeleteBucketPolicy", {"bucketName": "backups2"}),
    ("lambda", "UpdateFunctionCode20150331v2", {"functionName": PROMOTE}),
    ("lambda", "UpdateFunctionConfiguration20150331v2", {"functionName": FUNCTION}),
    ("lambda", "DeleteFunction20150331", {"functionName": f"{FUNCTION}:1"}),
    ("lambda", "PutFunctionConcurrency20171031", {"functionName": f"function:{PROMOTE}"}),
    ("lambda", "RemovePermission20150331v2", {"functionName": f"{ACCOUNT}:function:{PROMOTE}"}),
    ("lambda", "UpdateFunctionCode", {"functionName": PROMOTE}),
    ("events", "PutRule", {"name": f"{STAGE.service}-sweep-event"}),
    ("events", "DisableRule", {"name": STAGE.sirens}),
    ("events", "DeleteRule", {"name": STAGE.sirens}),
    ("events", "RemoveTargets", {"rule": STAGE.sirens, "ids": ["sirens"]}),
    ("events", "PutTargets", {"rule": STAGE.sirens, "targets": []}),
    ("monitoring", "DeleteAlarms", {"alarmNames": ALARMS}),
    ("monitoring", "DisableAlarmActions", {"alarmNames": ALARMS}),
    ("monitoring", "PutMetricAlarm", {"alarmName": ALARMS[0]}),
    ("monitoring", "PutAlarmMuteRule", {"name": "quiet", "muteTargets": {"alarmNames": ALARMS}}),
    ("sns", "SetTopicAttributes", {"topicArn": f"{TOPICS}:{STAGE.topic}"}),
    ("sns", "SetTopicAttributes", {"topicArn": SIRENS}),
    ("sns", "DeleteTopic", {"topicArn": SIRENS}),
    ("sns", "RemovePermission", {"topicArn": f"{TOPICS}:{STAGE.topic}", "label": "AlarmsPublish"}),
    ("sns", "PutDataProtectionPolicy", {"resourceArn": f"{TOPICS}:{STAGE.topic}"}),
    ("sns", "Unsubscribe", {"subscriptionArn": SUBSCRIPTION}),
    ("sns", "SetSubscriptionAttributes", {"subscriptionArn": SUBSCRIPTION}),
    ("cloudtrail", "StopLogging", {"name": "immutable-backups"}),
    ("cloudtrail", "StopLogging", {"name": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/all"}),
    ("cloudtrail", "DeleteTrail", {"name": "all"}),
    ("cloudtrail", "UpdateTrail", {"name": "all"}),
    ("cloudtrail", "PutEventSelectors", {"trailName": "all"}),
]


@pytest.mark.parametrize(
    ("service", "name", "parameters"),
    [pytest.param(*each, id=f"{each[1]} of {[*each[2].values()]}") for each in WEAKENINGS],
)
def test_a_weakening_sets_off_the_sirens_unless_it_is_denied(
    service: str, name: str, parameters: dict[str, Any]
) -> None:
    assert rings(service, name, parameters)
    assert not rings(service, name, parameters, error="AccessDenied")


@pytest.mark.parametrize(
    ("service", "name", "parameters"),
    [
        ("s3", "PutBucketPolicy", {"bucketName": "backups2-old"}),
        ("s3", "PutBucketPolicy", {"bucketName": "backups1"}),
        ("s3", "GetBucketPolicy", {"bucketName": "backups2"}),
        ("lambda", "UpdateFunctionCode20150331v2", {"functionName": "shop"}),
        ("lambda", "GetFunction20150331v2", {"functionName": PROMOTE}),
        ("lambda", "Invoke", {"functionName": PROMOTE}),
        ("events", "PutRule", {"name": "shop"}),
        ("events", "EnableRule", {"name": STAGE.sirens}),
        ("monitoring", "DeleteAlarms", {"alarmNames": ["shop-is-slow"]}),
        ("monitoring", "DescribeAlarms", {"alarmNames": ALARMS}),
        ("monitoring", "PutAlarmMuteRule", {"muteTargets": {"alarmNames": ["shop-is-slow"]}}),
        ("sns", "SetTopicAttributes", {"topicArn": f"{TOPICS}:shop"}),
        ("sns", "Subscribe", {"topicArn": f"{TOPICS}:{STAGE.topic}"}),
        ("sns", "Unsubscribe", {"subscriptionArn": f"{TOPICS}:shop:1338bf78"}),
        ("cloudtrail", "StartLogging", {"name": "all"}),
        ("iam", "PutUserPolicy", {"userName": "web1"}),
    ],
)
def test_what_weakens_nothing_sets_off_nothing(
    service: str, name: str, parameters: dict[str, Any]
) -> None:
    assert not rings(service, name, parameters)


def test_the_pattern_fits_with_the_longest_names() -> None:
    long = replace(
        STAGE,
        name="s" * 34,
        settings=Settings(incoming_bucket="b" * 63, vault_bucket="v" * 63),
    )
    pattern = api_calls(long, account=ACCOUNT, region="ap-northeast-99")
    assert len(json.dumps(pattern, separators=(",", ":"))) <= LONGEST_PATTERN


# Who can publish


def policy_of(stage: Stage) -> list[Document]:
    topic = sirens_topic(stage, account=ACCOUNT, region=REGION)
    statements: list[Document] = topic.desired["policy"]
    return statements


def publishes(service: str, *, arn: str, account: str = ACCOUNT, stage: Stage = STAGE) -> bool:
    context = {"aws:SourceArn": arn, "aws:SourceAccount": account}
    call = ServiceCall(service=f"{service}.amazonaws.com", action="sns:Publish", context=context)
    return allows(policy_of(stage), call)


ELSEWHERE = replace(STAGE, settings=replace(STAGE.settings, vault_owner=STRANGER))


@pytest.mark.parametrize(
    ("stage", "bucket", "account", "can"),
    [
        pytest.param(STAGE, "backups2", ACCOUNT, True, id="the vault"),
        pytest.param(STAGE, "backups2", STRANGER, False, id="a stranger's bucket of that name"),
        pytest.param(STAGE, "backups1", ACCOUNT, False, id="another bucket"),
        pytest.param(ELSEWHERE, "backups2", STRANGER, True, id="a vault in another account"),
        pytest.param(ELSEWHERE, "backups2", ACCOUNT, False, id="where the vault is not"),
    ],
)
def test_only_the_vault_notifies_the_topic(
    stage: Stage, bucket: str, account: str, *, can: bool
) -> None:
    assert publishes("s3", arn=f"arn:aws:s3:::{bucket}", account=account, stage=stage) is can


def test_eventbridge_publishes_without_a_condition_because_it_could_not_meet_one() -> None:
    call = ServiceCall(service="events.amazonaws.com", action="sns:Publish", context={})
    assert allows(policy_of(STAGE), call)
    target = siren_rule(STAGE, account=ACCOUNT, region=REGION).desired["Targets"]
    assert target == [{"Id": "sirens", "Arn": SIRENS}]  # a role would prevent the delivery


@pytest.mark.parametrize("service", ["lambda", "cloudwatch", "ses"])
def test_no_other_service_publishes(service: str) -> None:
    assert not publishes(service, arn=f"arn:aws:s3:::{STAGE.settings.vault_bucket}")


def test_the_alarm_mails_to_those_who_get_the_alerts() -> None:
    [alarm] = (
        each
        for each in alerts(STAGE, STAGE.options, f"{TOPICS}:{STAGE.topic}")
        if each.resource == f"{STAGE.topic}-sirens"
    )
    assert alarm.desired["AlarmDescription"].startswith(
        "Somebody changed the vault or its monitoring. If you ran backups setup or deploy just "
        "now, this was it."
    )
    assert alarm.desired["Dimensions"] == [{"Name": "TopicName", "Value": STAGE.sirens}]
    assert alarm.desired["AlarmActions"] == [f"{TOPICS}:{STAGE.topic}"]


# Setup


def sirens(account: Account) -> tuple[Requirement, ...]:
    """The requirements of the sirens and of their bucket."""
    target = Target(account=account, stage=STAGE, policy=POLICY)
    return tuple(
        one
        for one in requirements_of(target)
        if one.resource in {"backups2", SIRENS, STAGE.sirens, f"{STAGE.topic}-sirens"}
    )


def set_up(account: Account) -> list[str]:
    plan = make_plan(account, sirens(account), lock_named=False)
    with closing(execute(account, plan)) as steps:
        return [change.requirement.kind.value for change in steps]


def notifications(account: Account) -> dict[str, Any]:
    s3 = account.client("s3")
    answer: dict[str, Any] = s3.get_bucket_notification_configuration(Bucket="backups2")
    del answer["ResponseMetadata"]
    return answer


def test_the_topic_is_there_before_s3_validates_it_and_the_door_closes_last(
    account: Account,
) -> None:
    done = set_up(account)
    assert done[0] == "topic"
    assert done.index("notification") < done.index("bucket policy")
    assert set_up(account) == []


def test_a_removed_notification_is_restored_through_the_door(account: Account) -> None:
    set_up(account)
    before, s3 = notifications(account), account.client("s3")
    with past_the_door(s3):
        s3.put_bucket_notification_configuration(Bucket="backups2", NotificationConfiguration={})
    assert set_up(account) == ["notification"]
    assert notifications(account) == before
    assert set_up(account) == []


@pytest.fixture
def foreign(account: Account) -> Iterator[Account]:
    """A vault that already notifies a queue, a topic and EventBridge of new backups."""
    queue, topic = account.client("sqs"), account.client("sns")
    queue.create_queue(QueueName="names")
    s3 = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**s3, "Resource": "*"}]})
    topic.create_topic(Name="names", Attributes={"Policy": policy})
    account.client("s3").create_bucket(Bucket="backups2", ObjectLockEnabledForBucket=True)
    account.client("s3").put_bucket_notification_configuration(
        Bucket="backups2",
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "Id": "queue",
                    "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:names",
                    "Events": ["s3:ObjectCreated:Put"],
                }
            ],
            "TopicConfigurations": [
                {
                    "Id": "topic",
                    "TopicArn": f"{TOPICS}:names",
                    "Events": ["s3:ObjectCreated:Copy"],
                }
            ],
            "EventBridgeConfiguration": {},
        },
    )
    return account


def test_notifications_of_others_are_kept_and_shown(foreign: Account) -> None:
    before = notifications(foreign)
    plan = make_plan(foreign, sirens(foreign), lock_named=False)
    assert [entry["Id"] for _, entry in plan.foreign] == ["topic", "queue", "EventBridge"]
    shown = CliRunner().invoke(cli, ["setup"]).stdout
    assert "= backups2: notification queue was added by somebody else and is kept" in shown
    set_up(foreign)
    after = notifications(foreign)
    assert {name: after[name] for name in before if name != "TopicConfigurations"} == {
        name: before[name] for name in before if name != "TopicConfigurations"
    }
    theirs, ours = sorted(after["TopicConfigurations"], key=lambda each: each["Id"] != "topic")
    assert [theirs] == before["TopicConfigurations"]
    notification = vault_notification(STAGE, account=ACCOUNT, region=REGION)
    assert ours["TopicArn"] == SIRENS
    assert sorted(ours["Events"]) == sorted(notification.desired[0]["Events"])
    assert set_up(foreign) == []


def test_another_target_of_the_same_events_is_an_obstacle(account: Account) -> None:
    account.client("sqs").create_queue(QueueName="deletions")
    s3 = account.client("s3")
    s3.create_bucket(Bucket="backups2", ObjectLockEnabledForBucket=True)
    removed = {
        "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:deletions",
        "Events": ["s3:ObjectRemoved:Delete"],
    }
    s3.put_bucket_notification_configuration(
        Bucket="backups2", NotificationConfiguration={"QueueConfigurations": [removed]}
    )
    shown = CliRunner().invoke(cli, ["setup"]).stdout
    assert "! backups2 already sends s3:ObjectRemoved:Delete to arn:aws:sqs:us-east-1" in shown


def test_a_foreign_target_of_the_rule_is_removed(account: Account) -> None:
    set_up(account)
    events = account.client("events")
    another = {"Id": "copy", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:names"}
    events.put_targets(Rule=STAGE.sirens, Targets=[another])
    assert set_up(account) == [Kind.EVENT_RULE.value]
    assert events.list_targets_by_rule(Rule=STAGE.sirens)["Targets"] == [
        {"Id": "sirens", "Arn": SIRENS}
    ]
