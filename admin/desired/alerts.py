"""Who is told of what: the alert topic and its alarms; and what Lambda does with a failure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.choices import IncomingAlarm, Wishes
from admin.desired.requirement import Kind, Setting
from admin.stage import FUNCTIONS, Stage
from chalicelib.record import NAMESPACE

AN_HOUR = 3_600  # seconds
# Seconds. A sweep is made every quarter of an hour: two such periods have two passes in a row in
# them, and a single one that is lost, or comes minutes late, leaves neither empty.
SWEPT_WITHIN = 1_200
# What fails rings at once, and is over only when it has not failed for so long: something that
# fails now and then for a week is told once, not each time. (An alarm looks back a day at most,
# or is evaluated once an hour only.)
A_DAY_OF_HOURS = 24
# Uploads that are refused again and again are told once, those of another night again.
QUIET_HOURS = 6
# In hours. After an outage of a week Lambda has events of six hours to run, and the sweep catches
# up within four: that some are held back meanwhile is no news.
LONGER_THAN_CATCHING_UP = 12
# Of the settings of asynchronous invocation, in seconds: what Lambda does unless it is told.
LONGEST_EVENT_AGE = 21_600
RETRIES = 2
# S3 counts a bucket's bytes once a day (S3 user guide, "Amazon S3 daily storage metrics").
A_DAY = 86_400  # seconds


@dataclass(frozen=True, kw_only=True)
class _Trouble:
    """A metric of Lambda's: how much of it within an hour, in how many of the last hours, somebody
    should know of.
    """

    name: str
    metric: str
    at_least: int
    to_alarm: int
    within: int
    says: str
    why: str


TROUBLES = (
    _Trouble(
        name="errors",
        metric="Errors",
        # More than one could be split by the border between two hours, which moves every minute:
        # the alarm would end, and ring again, though nothing happens.
        at_least=1,
        to_alarm=1,
        within=A_DAY_OF_HOURS,
        says="an alarm rings when {function} fails",
        why="Lambda tries it three times; then the next sweep has to make up for it.",
    ),
    _Trouble(
        name="throttles",
        metric="Throttles",
        # Uploads of many servers at the full hour wait for each other some seconds, and are tried
        # a few times each. An event that cannot run is tried twelve times an hour.
        at_least=60,
        to_alarm=LONGER_THAN_CATCHING_UP,
        within=LONGER_THAN_CATCHING_UP,
        says="an alarm rings when Lambda has held {function} back 60 times an hour for half a day",
        why="The concurrency of the function, or of the account, is used up.",
    ),
    _Trouble(
        name="dropped",
        metric="AsyncEventsDropped",
        at_least=1,
        to_alarm=1,
        within=A_DAY_OF_HOURS,
        says="an alarm rings when Lambda drops an event of {function}",
        why="It failed three times, waited for six hours, or its concurrency was set to 0; the "
        "next sweep has to make up for it.",
    ),
)


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
    yield from _of_uploads(stage, topic)
    yield from _of_lambda(stage, topic)
    yield from _of_incoming(stage, wishes.incoming_alarm, topic)


def functions(stage: Stage) -> Iterator[Setting]:
    for function in FUNCTIONS:
        name = stage.function_name(function)
        yield Setting(
            kind=Kind.ASYNCHRONOUS,
            target=name,
            want={
                "retries": RETRIES,
                "give_up_after_seconds": LONGEST_EVENT_AGE,
                "on_success": None,
                "on_failure": None,
            },
            says=f"{function} is tried three times, and its events go nowhere else",
            why="The alarms tell of failures, and the sweep makes up for them.",
            waits_for=name,
        )
        yield Setting(
            kind=Kind.RECURSION,
            target=name,
            want="Terminate",
            says=f"Lambda stops {function} if it should ever run in a loop",
            why="Nothing here invokes itself; whatever did would cost money without end.",
            waits_for=name,
        )


def _of_uploads(stage: Stage, topic: str) -> Iterator[Setting]:
    """The oldest upload that waits, and what came of others.

    A plain alarm looks further back than it says while data are missing, by some periods that AWS
    does not name: it would tell of a dead sweep after more than an hour. With FILL it tells after
    40 minutes. FILL fills nothing into a metric that has no data at all: so missing data breach,
    too.
    """
    oldest = {
        "Metric": _own(stage, "OldestWaitingSeconds"),
        "Period": SWEPT_WITHIN,
        "Stat": "Minimum",  # of two passes that fall into one period, both see it
    }
    yield _alarm(
        stage,
        topic,
        name="waiting",
        says="an alarm rings when an upload waits for an hour, or there was no sweep for 40 "
        "minutes",
        why="A backup that waits is not safe yet, and only the sweep sees it.",
        waits_for=stage.function_name("sweep"),
        Metrics=[
            {"Id": "oldest", "MetricStat": oldest, "ReturnData": False},
            {
                "Id": "or_no_sweep",
                "Expression": f"FILL(oldest, {AN_HOUR})",
                "Label": "Seconds that the oldest upload has waited; 3600 without a sweep",
                "ReturnData": True,
            },
        ],
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
        Threshold=float(AN_HOUR),
        TreatMissingData="breaching",
    )
    for outcome, why in (
        ("Contested", "An upload for a slot that is taken: a mistake, or somebody else's."),
        ("Rejected", "An upload that can never be promoted is a backup that is missing."),
    ):
        yield _counting(
            stage,
            topic,
            name=outcome.lower(),
            at_least=1,
            to_alarm=1,
            within=QUIET_HOURS,
            says=f"an alarm rings when uploads are {outcome.lower()}",
            why=why,
            **_own(stage, outcome),
        )


def _of_lambda(stage: Stage, topic: str) -> Iterator[Setting]:
    for function in FUNCTIONS:
        for trouble in TROUBLES:
            yield _counting(
                stage,
                topic,
                name=f"{function}-{trouble.name}",
                at_least=trouble.at_least,
                to_alarm=trouble.to_alarm,
                within=trouble.within,
                says=trouble.says.format(function=function),
                why=trouble.why,
                Namespace="AWS/Lambda",
                MetricName=trouble.metric,
                Dimensions=[{"Name": "FunctionName", "Value": stage.function_name(function)}],
            )


def _of_incoming(stage: Stage, alarm: IncomingAlarm, topic: str) -> Iterator[Setting]:
    for name, limit in (("bytes", alarm.bytes), ("versions", alarm.versions)):
        yield _alarm(
            stage,
            topic,
            name=f"incoming-{name}",
            says=f"an alarm rings when incoming holds {limit:,} {name} of uploads or more",
            why="What fills incoming is not promoted, or should not be there; each version is kept "
            f"and paid for. --alarm-{name} of backups setup changes the number.",
            **_own(stage, f"Incoming{name.capitalize()}"),
            Statistic="Maximum",
            Period=AN_HOUR,
            EvaluationPeriods=QUIET_HOURS,
            DatapointsToAlarm=1,
            Threshold=float(limit),
            # Without a sweep nobody knows: it is then as it was last seen.
            TreatMissingData="ignore",
        )
    yield _alarm(
        stage,
        topic,
        name="incoming-size",
        says=f"an alarm rings when incoming holds {alarm.bytes:,} bytes or more, those of "
        "unfinished uploads included",
        why="Parts of an upload that is never completed are seen by no sweep, only by S3, once a "
        "day.",
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
        Threshold=float(alarm.bytes),
        # Of an empty bucket S3 says nothing.
        TreatMissingData="notBreaching",
    )


def _counting(
    stage: Stage,
    topic: str,
    *,
    name: str,
    at_least: int,
    to_alarm: int,
    within: int,
    says: str,
    why: str,
    **metric: Any,
) -> Setting:
    """An alarm on a sum over an hour. Where nothing was counted there are no data, and no harm."""
    return _alarm(
        stage,
        topic,
        name=name,
        says=says,
        why=why,
        **metric,
        Statistic="Sum",
        Period=AN_HOUR,
        EvaluationPeriods=within,
        DatapointsToAlarm=to_alarm,
        Threshold=float(at_least),
        TreatMissingData="notBreaching",
    )


def _alarm(
    stage: Stage,
    topic: str,
    *,
    name: str,
    says: str,
    why: str,
    waits_for: str | None = None,
    **want: Any,
) -> Setting:
    return Setting(
        kind=Kind.ALARM,
        target=f"{stage.topic}-{name}",
        want={
            "AlarmDescription": why,  # which the mail has
            **want,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "AlarmActions": [topic],
            "OKActions": [topic],
            "ActionsEnabled": True,
        },
        says=says,
        why=why,
        waits_for=waits_for,
    )


def _own(stage: Stage, name: str) -> dict[str, Any]:
    """A metric that the functions of this stage write."""
    return {
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Dimensions": [{"Name": "service", "Value": stage.service}],
    }
