"""The alert topic, its alarms, and what Lambda does with a failed event."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.choices import IncomingAlarm, SetupOptions
from admin.config.reading import FUNCTIONS
from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage
from chalicelib.record import NAMESPACE

AN_HOUR = 3_600  # seconds
# Seconds. The sweep runs every 15 minutes: a single run that is lost or minutes late leaves no such
# period empty; two lost in a row do.
SWEPT_WITHIN = 1_200
# An alarm on failures goes off at once and ends after a day without any: something that fails now
# and then for a week sends one mail, not one each time. (An alarm that looks back further than a
# day is evaluated only once an hour.)
A_DAY_OF_HOURS = 24
# Repeated refusals send one mail; those of the next night send another.
QUIET_HOURS = 6
# Hours. After an outage of a week Lambda has the events of six hours to run, and the sweep catches
# up within four: throttling meanwhile is expected.
LONGER_THAN_CATCHING_UP = 12
# Lambda's defaults for asynchronous invocation; the age is in seconds.
LONGEST_EVENT_AGE = 21_600
RETRIES = 2
# S3 counts a bucket's bytes once a day (S3 user guide, "Amazon S3 daily storage metrics").
A_DAY = 86_400  # seconds


@dataclass(frozen=True, kw_only=True)
class _Trouble:
    """An alarm on one of Lambda's metrics.

    It goes off at `at_least` an hour, in `to_alarm` of the last `within` hours.
    """

    name: str
    metric: str
    at_least: int
    to_alarm: int
    within: int
    summary: str
    why: str


TROUBLES = (
    _Trouble(
        name="errors",
        metric="Errors",
        # A higher count could be split between two hours, whose border moves every minute: the
        # alarm would end and go off again although nothing happened.
        at_least=1,
        to_alarm=1,
        within=A_DAY_OF_HOURS,
        summary="alarm on failures of {function}",
        why="Lambda retries twice; after that the next sweep has to promote the upload.",
    ),
    _Trouble(
        name="throttles",
        metric="Throttles",
        # Uploads of many servers on the hour are throttled for some seconds and retried a few
        # times each. An event that cannot run at all is retried twelve times an hour.
        at_least=60,
        to_alarm=LONGER_THAN_CATCHING_UP,
        within=LONGER_THAN_CATCHING_UP,
        summary="alarm on {function} being throttled 60 times an hour for 12 hours",
        why="The concurrency of the function or of the account is used up.",
    ),
    _Trouble(
        name="dropped",
        metric="AsyncEventsDropped",
        at_least=1,
        to_alarm=1,
        within=A_DAY_OF_HOURS,
        summary="alarm on events of {function} that Lambda drops",
        why="The event failed three times, waited for six hours, or the function's concurrency is "
        "0; "
        "the next sweep has to promote the upload.",
    ),
)


def alerts(stage: Stage, options: SetupOptions, topic: str) -> Iterator[Requirement]:
    yield Requirement(
        kind=Kind.TOPIC,
        target=topic,
        desired={},
        summary=f"topic {stage.topic} for alerts",
        why="A person must learn of every failure.",
    )
    if options.alert_email:
        yield Requirement(
            kind=Kind.SUBSCRIPTION,
            target=topic,
            desired=options.alert_email,
            summary=f"subscription of {options.alert_email} to the alerts",
            why="Without a subscriber nobody receives the alerts.",
        )
    yield from _of_uploads(stage, topic)
    yield from _of_lambda(stage, topic)
    yield from _of_incoming(stage, options.incoming_alarm, topic)


def functions(stage: Stage) -> Iterator[Requirement]:
    for function in FUNCTIONS:
        name = stage.function_name(function)
        yield Requirement(
            kind=Kind.ASYNCHRONOUS,
            target=name,
            desired={
                "retries": RETRIES,
                "give_up_after_seconds": LONGEST_EVENT_AGE,
                "on_success": None,
                "on_failure": None,
            },
            summary=f"failed events of {function} are retried twice; after that the sweep tries "
            "again every "
            "15 minutes",
            why="The alarms report failures, and the sweep picks up what is left.",
            needs_deployment=name,
        )
        yield Requirement(
            kind=Kind.RECURSION,
            target=name,
            desired="Terminate",
            summary=f"{function}: stop recursive loops",
            why="Nothing here invokes itself; a loop would run up costs without limit.",
            needs_deployment=name,
        )


def _of_uploads(stage: Stage, topic: str) -> Iterator[Requirement]:
    """Alarms on the oldest waiting upload, and on contested and rejected uploads.

    While data are missing, a plain alarm looks back further than configured, by a number of periods
    that AWS does not document: it would report a dead sweep after more than an hour. With FILL it
    does so after 40 minutes. FILL adds nothing to a metric without any data, so missing data breach
    as well.
    """
    oldest = {
        "Metric": _own(stage, "OldestWaitingSeconds"),
        "Period": SWEPT_WITHIN,
        "Stat": "Minimum",  # if two sweeps fall into one period, both must see it
    }
    yield _alarm(
        stage,
        topic,
        name="waiting",
        summary="alarm on uploads that wait for an hour, or no sweep for 40 minutes",
        why="A waiting backup is not safe yet, and only the sweep notices it.",
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
        ("Contested", "An upload for a slot that is already filled: a mistake, or an intruder."),
        ("Rejected", "An upload that can never be promoted is a missing backup."),
    ):
        yield _counting(
            stage,
            topic,
            name=outcome.lower(),
            at_least=1,
            to_alarm=1,
            within=QUIET_HOURS,
            summary=f"alarm on {outcome.lower()} uploads",
            why=why,
            **_own(stage, outcome),
        )


def _of_lambda(stage: Stage, topic: str) -> Iterator[Requirement]:
    for function in FUNCTIONS:
        for trouble in TROUBLES:
            yield _counting(
                stage,
                topic,
                name=f"{function}-{trouble.name}",
                at_least=trouble.at_least,
                to_alarm=trouble.to_alarm,
                within=trouble.within,
                summary=trouble.summary.format(function=function),
                why=trouble.why,
                Namespace="AWS/Lambda",
                MetricName=trouble.metric,
                Dimensions=[{"Name": "FunctionName", "Value": stage.function_name(function)}],
            )


def _of_incoming(stage: Stage, alarm: IncomingAlarm, topic: str) -> Iterator[Requirement]:
    for name, limit in (("bytes", alarm.bytes), ("versions", alarm.versions)):
        yield _alarm(
            stage,
            topic,
            name=f"incoming-{name}",
            summary=f"alarm on incoming holding {limit:,} {name} of uploads or more",
            why="These uploads are not promoted, or should not be there; every version is kept and "
            f"billed. Change the limit with backups setup --alarm-{name}.",
            **_own(stage, f"Incoming{name.capitalize()}"),
            Statistic="Maximum",
            Period=AN_HOUR,
            EvaluationPeriods=QUIET_HOURS,
            DatapointsToAlarm=1,
            Threshold=float(limit),
            # Without a sweep there are no data: the alarm keeps its last state.
            TreatMissingData="ignore",
        )
    yield _alarm(
        stage,
        topic,
        name="incoming-size",
        summary=f"alarm on incoming holding {alarm.bytes:,} bytes or more, including unfinished "
        "uploads",
        why="The sweep cannot see the parts of unfinished uploads; S3 counts them once a day.",
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
        # S3 reports nothing for an empty bucket.
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
    summary: str,
    why: str,
    **metric: Any,
) -> Requirement:
    """An alarm on an hourly sum. No data means that nothing was counted: no alarm."""
    return _alarm(
        stage,
        topic,
        name=name,
        summary=summary,
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
    summary: str,
    why: str,
    needs_deployment: str | None = None,
    **desired: Any,
) -> Requirement:
    return Requirement(
        kind=Kind.ALARM,
        target=f"{stage.topic}-{name}",
        desired={
            "AlarmDescription": why,  # which the mail quotes
            **desired,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "AlarmActions": [topic],
            "OKActions": [topic],
            "ActionsEnabled": True,
        },
        summary=summary,
        why=why,
        needs_deployment=needs_deployment,
    )


def _own(stage: Stage, name: str) -> dict[str, Any]:
    """A metric that this stage's functions write."""
    return {
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Dimensions": [{"Name": "service", "Value": stage.service}],
    }
