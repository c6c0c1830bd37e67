"""The functions: what Lambda does with a failed event, and the alarms on what Lambda measures."""

from collections.abc import Iterator
from dataclasses import dataclass

from admin.config.reading import FUNCTIONS
from admin.desired.alarms import hourly_alarm
from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage

# An alarm on failures goes off at once and ends after a day without any: something that fails now
# and then for a week sends one mail, not one each time. (An alarm that looks back further than a
# day is evaluated only once an hour.)
HOURS_OF_A_DAY = 24
# Hours. After an outage of a week Lambda has the events of six hours to run, and the sweep catches
# up within four: throttling meanwhile is expected.
LONGER_THAN_CATCHING_UP = 12
# Lambda's defaults for asynchronous invocation; the age is in seconds.
LONGEST_EVENT_AGE = 21_600
RETRIES = 2


@dataclass(frozen=True, kw_only=True)
class _LambdaAlarm:
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


LAMBDA_ALARMS = (
    _LambdaAlarm(
        name="errors",
        metric="Errors",
        # A higher count could be split between two hours, whose border moves every minute: the
        # alarm would end and go off again although nothing happened.
        at_least=1,
        to_alarm=1,
        within=HOURS_OF_A_DAY,
        summary="alarm on failures of {function}",
        why="Lambda retries twice; after that the next sweep has to promote the upload.",
    ),
    _LambdaAlarm(
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
    _LambdaAlarm(
        name="dropped",
        metric="AsyncEventsDropped",
        at_least=1,
        to_alarm=1,
        within=HOURS_OF_A_DAY,
        summary="alarm on events of {function} that Lambda drops",
        why="The event failed three times, waited for six hours, or the function's concurrency is "
        "0; "
        "the next sweep has to promote the upload.",
    ),
)


def functions(stage: Stage) -> Iterator[Requirement]:
    for function in FUNCTIONS:
        name = stage.function_name(function)
        yield Requirement(
            kind=Kind.ASYNCHRONOUS,
            resource=name,
            desired={
                "retries": RETRIES,
                "give_up_after_seconds": LONGEST_EVENT_AGE,
                "on_success": None,
                "on_failure": None,
            },
            summary=f"{function}: retry failed events twice",
            why="The alarms report failures, and the next sweep or audit picks up what is left.",
            needs_deployment=name,
        )
        yield Requirement(
            kind=Kind.RECURSION,
            resource=name,
            desired="Terminate",
            summary=f"{function}: stop recursive loops",
            why="Nothing here invokes itself; a loop would run up costs without limit.",
            needs_deployment=name,
        )


def function_alarms(stage: Stage, topic: str) -> Iterator[Requirement]:
    for function in FUNCTIONS:
        for alarm in LAMBDA_ALARMS:
            yield hourly_alarm(
                stage,
                topic,
                name=f"{function}-{alarm.name}",
                at_least=alarm.at_least,
                to_alarm=alarm.to_alarm,
                within=alarm.within,
                summary=alarm.summary.format(function=function),
                why=alarm.why,
                Namespace="AWS/Lambda",
                MetricName=alarm.metric,
                Dimensions=[{"Name": "FunctionName", "Value": stage.function_name(function)}],
            )
