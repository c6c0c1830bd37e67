"""Who is told of what: the alert topic, its alarms, and what Lambda does with a failure."""

from collections.abc import Iterator
from typing import Any

from admin.setting import Kind, Setting, Wishes
from admin.stage import FUNCTIONS, Stage
from chalicelib.record import NAMESPACE, SERVICE

# S3 counts a bucket's bytes once a day (S3 user guide, "Amazon S3 daily storage metrics").
A_DAY = 86_400
# More than this in incoming, in bytes, and somebody should look: it is emptied as it fills.
INCOMING_ALARM_BYTES = 1024**4
# Seconds. Lambda keeps no event longer, and no shorter unless it is told to.
LONGEST_EVENT_AGE = 21_600
# They invoke themselves, until all is copied.
END_THEIR_OWN_CHAIN = ("promote",)


def alerts(stage: Stage, wishes: Wishes, topic: str) -> Iterator[Setting]:
    yield Setting(
        kind=Kind.TOPIC,
        target=topic,
        want={},
        says=f"alerts go to the topic {stage.topic}",
        why="Whatever is wrong must reach a person.",
    )
    if wishes.alert_email:
        yield Setting(
            kind=Kind.SUBSCRIPTION,
            target=topic,
            want=wishes.alert_email,
            says=f"{wishes.alert_email} gets the alerts",
            why="A topic that nobody reads tells nobody.",
        )
    for outcome, why in (
        ("Contested", "An upload for a slot that is taken: a mistake, or somebody else's."),
        ("Rejected", "An upload that can never be promoted is a backup that is missing."),
    ):
        yield _alarm(
            stage,
            topic,
            name=outcome.lower(),
            says=f"an alarm rings when uploads are {outcome.lower()}",
            why=why,
            Namespace=NAMESPACE,
            MetricName=outcome,
            Dimensions=[{"Name": "service", "Value": SERVICE}],
        )
    for function in FUNCTIONS:
        yield _alarm(
            stage,
            topic,
            name=f"{function}-errors",
            says=f"an alarm rings when {function} fails",
            why="Lambda tries three times and then forgets.",
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[{"Name": "FunctionName", "Value": stage.function_name(function)}],
        )
    yield _alarm(
        stage,
        topic,
        name="incoming-size",
        says="an alarm rings when incoming holds more than 1 TiB",
        why="What fills incoming is not promoted, or should not be there.",
        Namespace="AWS/S3",
        MetricName="BucketSizeBytes",
        Dimensions=[
            {"Name": "BucketName", "Value": stage.settings.incoming_bucket},
            {"Name": "StorageType", "Value": "StandardStorage"},
        ],
        Statistic="Maximum",
        Period=A_DAY,
        Threshold=float(INCOMING_ALARM_BYTES),
    )


def functions(stage: Stage, topic: str) -> Iterator[Setting]:
    for function in FUNCTIONS:
        yield Setting(
            kind=Kind.ASYNCHRONOUS,
            target=stage.function_name(function),
            want={
                "retries": 2,
                "on_failure": topic,
                "give_up_after_seconds": LONGEST_EVENT_AGE,
            },
            says=f"{function} is tried three times, and then somebody is told",
            why="An event that is given up in silence is a backup that stays behind.",
            waits=True,
        )
    for function in END_THEIR_OWN_CHAIN:
        yield Setting(
            kind=Kind.RECURSION,
            target=stage.function_name(function),
            want="Allow",
            says=f"{function} may go on in a run of its own as often as it takes",
            why="Lambda would stop the copy of a large backup after 16 runs.",
            waits=True,
        )


def _alarm(stage: Stage, topic: str, *, name: str, says: str, why: str, **metric: Any) -> Setting:
    return Setting(
        kind=Kind.ALARM,
        target=f"{stage.topic}-{name}",
        want={
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [topic],
            "ActionsEnabled": True,
            **metric,
        },
        says=says,
        why=why,
    )
