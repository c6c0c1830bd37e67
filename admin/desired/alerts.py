"""The topic for alerts, and the alarms on uploads and on what incoming holds."""

from collections.abc import Iterator

from admin.choices import IncomingAlarm, SetupOptions
from admin.desired.alarms import AN_HOUR, alarm, own_metric, sum_alarm
from admin.desired.audit import audit_alarms
from admin.desired.functions import function_alarms
from admin.desired.permissions import Document
from admin.desired.requirement import Kind, Requirement
from admin.desired.sirens import siren_alarm
from admin.stage import Stage

# Seconds. The sweep runs every 15 minutes: a period this long stays empty only if two runs in a row
# are lost, not if one is lost or some minutes late.
SWEPT_WITHIN = 1_200
# Repeated refusals send one mail; those of the next night send another.
QUIET_HOURS = 6
# S3 counts a bucket's bytes once a day (S3 user guide, "Amazon S3 daily storage metrics").
A_DAY = 86_400  # seconds


def alerts(stage: Stage, options: SetupOptions, topic: str) -> Iterator[Requirement]:
    yield Requirement(
        kind=Kind.TOPIC,
        resource=topic,
        desired={"policy": [_alarms_can_publish(topic)], "key": None},
        summary=f"topic {stage.topic} for alerts",
        why="Somebody must be notified of every failure.",
    )
    for subscriber in with_subscriber(stage, options.alert_email):
        if "@" not in subscriber:  # a URL or an ARN, which has to be subscribed in another way
            continue
        yield Requirement(
            kind=Kind.SUBSCRIPTION,
            resource=topic,
            desired=subscriber,
            summary=f"subscription of {subscriber} to the alerts",
            why="Without a subscriber nobody receives the alerts.",
        )
    yield from _upload_alarms(stage, topic)
    yield from function_alarms(stage, topic)
    yield from audit_alarms(stage, topic)
    yield siren_alarm(stage, topic)
    yield from _incoming_alarms(stage, options.incoming_alarm, topic)


def with_subscriber(stage: Stage, email: str | None) -> tuple[str, ...]:
    """Everyone who should receive the alerts, including `email`."""
    known = stage.alert_subscribers
    return known if email is None or email in known else (*known, email)


def _alarms_can_publish(topic: str) -> Document:
    """The only statement of the topic's policy; the function audit publishes with its own rights.

    The default policy of SNS lets everyone in the account do anything with the topic. Source: SNS
    developer guide, "Allow CloudWatch alarms to publish to a topic in a different account".
    """
    region, account = topic.split(":")[3:5]
    return {
        "Sid": "AlarmsPublish",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{region}:{account}:alarm:*"},
            "StringEquals": {"aws:SourceAccount": account},
        },
    }


def _upload_alarms(stage: Stage, topic: str) -> Iterator[Requirement]:
    """Alarms on the oldest waiting upload, and on contested and rejected uploads.

    While data is missing, a plain alarm looks back further than configured, by an undocumented
    number of periods: it would report a dead sweep only after more than an hour. With FILL, it does
    so after 40 minutes. FILL adds nothing to a metric without any data, so missing data must breach
    as well.
    """
    oldest = {
        "Metric": own_metric(stage, "OldestWaitingSeconds"),
        "Period": SWEPT_WITHIN,
        "Stat": "Minimum",  # if two sweeps run in one period, both must find it
    }
    yield alarm(
        stage,
        topic,
        name="waiting",
        summary="alarm on uploads that wait for an hour, or no sweep for 40 minutes",
        why="An upload has waited to be stored for an hour, or no sweep has run for 40 minutes. "
        "Run backups check: it shows what is waiting. After the first deployment, the first sweep "
        "ends this alarm within half an hour.",
        needs_deployment=stage.function_name("sweep"),
        Metrics=[
            {"Id": "oldest", "MetricStat": oldest, "ReturnData": False},
            {
                "Id": "or_no_sweep",
                "Expression": f"FILL(oldest, {AN_HOUR})",
                "Label": "Age of the oldest waiting upload in seconds; 3600 without a sweep",
                "ReturnData": True,
            },
        ],
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
        Threshold=float(AN_HOUR),
        TreatMissingData="breaching",
    )
    for outcome, why in (
        ("Contested", "An upload is for a slot that is already filled: a mistake, or an intruder."),
        ("Rejected", "An upload can never be stored, so this backup is missing."),
    ):
        yield sum_alarm(
            stage,
            topic,
            name=outcome.lower(),
            at_least=1,
            to_alarm=1,
            within=QUIET_HOURS,
            summary=f"alarm on {outcome.lower()} uploads",
            why=f"{why} Run backups audit: it says which upload, and what to do.",
            **own_metric(stage, outcome),
        )


def _incoming_alarms(stage: Stage, limits: IncomingAlarm, topic: str) -> Iterator[Requirement]:
    for name, limit in (("bytes", limits.bytes), ("versions", limits.versions)):
        yield alarm(
            stage,
            topic,
            name=f"incoming-{name}",
            summary=f"alarm on incoming holding {limit:,} {name} of uploads or more",
            why=f"Incoming holds {limit:,} {name} of uploads or more. They are not stored, or "
            "should not be there, and every version is billed. Run backups check: it says what "
            f"waits. To change the limit, use backups setup --alarm-{name}.",
            **own_metric(stage, f"Incoming{name.capitalize()}"),
            Statistic="Maximum",
            Period=AN_HOUR,
            EvaluationPeriods=QUIET_HOURS,
            DatapointsToAlarm=1,
            Threshold=float(limit),
            # Without a sweep there is no data: the alarm keeps its last state.
            TreatMissingData="ignore",
        )
    yield alarm(
        stage,
        topic,
        name="incoming-size",
        summary=f"alarm on incoming holding {limits.bytes:,} bytes or more, including unfinished "
        "uploads",
        why=f"Incoming holds {limits.bytes:,} bytes or more, with the parts of unfinished uploads, "
        "which only S3 counts, once a day. All of it is billed. Find out which server uploads so "
        "much.",
        Namespace="AWS/S3",
        MetricName="BucketSizeBytes",
        Dimensions=[
            {"Name": "BucketName", "Value": stage.settings.incoming_bucket},
            {"Name": "StorageType", "Value": "StandardStorage"},
        ],
        Statistic="Maximum",
        Period=A_DAY,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        Threshold=float(limits.bytes),
        # S3 reports nothing for an empty bucket.
        TreatMissingData="notBreaching",
    )
