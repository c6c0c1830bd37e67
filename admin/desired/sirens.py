"""The sirens: any change to the vault, or to what monitors it, sets off an alarm at once.

S3 and EventBridge publish to a topic without subscribers, and one alarm counts its messages: ten
thousand deletions cause one mail.
"""

from collections.abc import Iterator
from typing import Any

from admin.desired.alarms import sum_alarm
from admin.desired.permissions import Document
from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage

# The name of our notification; all other notifications belong to others.
OUR_NOTIFICATION = "immutable-backups-sirens"
TARGET = "sirens"
# Nothing should do this to stored backups: S3's own lifecycle sends other events (S3 user guide,
# "Supported event types for SQS, SNS, and Lambda").
DONE_TO_BACKUPS = ["s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"]
# SNS can report a message a few minutes late; within an hour it still counts. The alarm ends after
# an hour without another message.
FIVE_MINUTES, AN_HOUR_OF_THEM = 300, 12


def sirens_topic(stage: Stage, *, account: str, region: str) -> Requirement:
    """The topic, which S3 validates before it accepts the vault's notification."""
    topic = stage.sirens_arn(account=account, region=region)
    return Requirement(
        kind=Kind.TOPIC,
        resource=topic,
        desired={"policy": _publishers(stage, topic, account=account), "key": None},
        summary=f"topic {stage.sirens}, which nobody subscribes to",
        why="S3 and EventBridge publish to it when the vault or its monitoring changes.",
    )


def _publishers(stage: Stage, topic: str, *, account: str) -> list[Document]:
    """The statements of the topic's policy: only the two services publish.

    EventBridge's statement has no condition: "You can't use Condition blocks in Amazon SNS topic
    policies for EventBridge" (AWS re:Post, "Why isn't my Amazon SNS topic receiving EventBridge
    notifications?"). Another rule could set off the alarm, but with a condition perhaps no rule
    could. A vault in another account can use the topic: S3 names the bucket's owner (SNS developer
    guide, "Allow Amazon S3 event notifications to publish to a topic").
    """
    allowed = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    return [
        {"Sid": "RulesPublish", "Principal": {"Service": "events.amazonaws.com"}, **allowed},
        {
            "Sid": "VaultPublishes",
            "Principal": {"Service": "s3.amazonaws.com"},
            **allowed,
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{stage.settings.vault_bucket}"},
                "StringEquals": {"aws:SourceAccount": stage.settings.vault_owner or account},
            },
        },
    ]


def vault_notification(stage: Stage, *, account: str, region: str) -> Requirement:
    """The vault's notification, which its policy lets nobody remove."""
    topic = stage.sirens_arn(account=account, region=region)
    bucket = stage.settings.vault_bucket
    return Requirement(
        kind=Kind.NOTIFICATION,
        resource=bucket,
        desired=[{"Id": OUR_NOTIFICATION, "TopicArn": topic, "Events": DONE_TO_BACKUPS}],
        summary=f"{bucket}: notify {stage.sirens} of removed, hidden and tagged backups",
        why="The bucket policy denies all of this: if it happens, somebody has opened it.",
    )


def siren_rule(stage: Stage, *, account: str, region: str) -> Requirement:
    """The EventBridge rule on API calls that weaken the vault or silence what monitors it."""
    topic = stage.sirens_arn(account=account, region=region)
    return Requirement(
        kind=Kind.EVENT_RULE,
        resource=stage.sirens,
        desired={
            "EventPattern": api_calls(stage, account=account, region=region),
            "State": "ENABLED",
            # No role: the topic's policy lets EventBridge publish (EventBridge user guide, "Using
            # resource-based policies").
            "Targets": [{"Id": TARGET, "Arn": topic}],
        },
        summary=f"EventBridge rule {stage.sirens} on changes to the vault's policy, functions, "
        "rules, alarms and topics",
        why="All ways to weaken the vault lead through its bucket policy, and an intruder "
        "would first silence its monitoring. EventBridge is notified only while a trail logs "
        "management events.",
    )


def siren_alarm(stage: Stage, topic: str) -> Requirement:
    """The one alarm, which sends mail through the topic for alerts."""
    return sum_alarm(
        stage,
        topic,
        name="sirens",
        at_least=1,
        to_alarm=1,
        within=AN_HOUR_OF_THEM,
        summary="alarm on changes to the vault or its monitoring",
        why="Somebody changed the vault or its monitoring. If you ran backups setup or deploy "
        "just now, this was it. If not, read docs/break-in.md and run backups check.",
        period=FIVE_MINUTES,
        Namespace="AWS/SNS",
        MetricName="NumberOfMessagesPublished",
        Dimensions=[{"Name": "TopicName", "Value": stage.sirens}],
    )


def api_calls(stage: Stage, *, account: str, region: str) -> dict[str, Any]:
    """The event pattern. Names and parameters are those of CloudTrail's records.

    CloudTrail writes parameters with a lowercase first letter (user guide, "CloudTrail record
    contents"); a denied or failed call has an errorCode, a successful one has none (same page). A
    comment at each call names the parameter that limits it, with the source of its name.
    """
    return {
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "errorCode": [{"exists": False}],
            "$or": [*_calls(stage, account=account, region=region)],
        },
    }


def _calls(stage: Stage, *, account: str, region: str) -> Iterator[dict[str, Any]]:
    ours = f"{stage.service}-"
    named_ours = [{"prefix": ours}]
    topics = [{"prefix": f"arn:aws:sns:{region}:{account}:{ours}"}]

    # Names and parameters are enough: with the services as well, the longest names would not fit
    # into a pattern.
    def calls(*names: Any, **parameters: Any) -> dict[str, Any]:
        restricted = {"requestParameters": parameters} if parameters else {}
        return {"eventName": [*names], **restricted}

    # S3 user guide, "CloudTrail log file entries for Amazon S3": bucketName.
    vault = [stage.settings.vault_bucket]
    yield calls("PutBucketPolicy", "DeleteBucketPolicy", bucketName=vault)
    # Lambda developer guide, "Logging AWS Lambda API calls using AWS CloudTrail": names end with a
    # version (UpdateFunctionCode20150331v2), and functionName is what the caller wrote: the name,
    # or an ARN, whole or in part (API reference, FunctionName). So the name can be in the middle of
    # it.
    changes = (
        "UpdateFunctionCode",
        "UpdateFunctionConfiguration",
        "DeleteFunction",
        "PutFunctionConcurrency",
        "RemovePermission",
    )
    named = ({"prefix": name} for name in changes)
    yield calls(*named, functionName=[{"wildcard": f"*{ours}*"}])
    # EventBridge user guide, "EventBridge entries in CloudTrail": PutRule has name. The other
    # requests also have name, except that those on targets have rule (API reference).
    yield calls("PutRule", "DisableRule", "DeleteRule", name=named_ours)
    # PutTargets is included, because a target that is put with the same Id replaces ours.
    yield calls("PutTargets", "RemoveTargets", rule=named_ours)
    # CloudWatch user guide, "Logging Amazon CloudWatch API calls": alarmNames, and alarmName in
    # PutMetricAlarm, which can also remove the actions.
    yield calls("DeleteAlarms", "DisableAlarmActions", alarmNames=named_ours)
    yield calls("PutMetricAlarm", alarmName=named_ours)
    # The parameters are those of the API reference, PutAlarmMuteRule.
    yield calls("PutAlarmMuteRule", muteTargets={"alarmNames": named_ours})
    # SNS developer guide, "Logging AWS SNS API calls using AWS CloudTrail": topicArn; a
    # subscription's ARN begins with its topic's. The link in a mail unsubscribes without leaving a
    # record. RemovePermission removes the alarms' statement from the policy, and a data protection
    # policy can stop every message (API reference).
    yield calls("SetTopicAttributes", "RemovePermission", "DeleteTopic", topicArn=topics)
    yield calls("PutDataProtectionPolicy", resourceArn=topics)
    yield calls("Unsubscribe", "SetSubscriptionAttributes", subscriptionArn=topics)
    # Any trail counts, because EventBridge can depend on one with any name, and a call can also
    # give its ARN.
    yield calls("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors")
