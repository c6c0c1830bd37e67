"""The functions: what Lambda does with a failed event, and the alarms on what Lambda measures."""

from collections.abc import Iterator
from typing import Any

from admin.config.reading import FUNCTIONS
from admin.desired.alarms import AN_HOUR, alarm, removed_alarm, sum_alarm
from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage

# An alarm on failures goes off at once and ends after a day without any: something that fails
# occasionally for a week sends one mail, not one each time. (An alarm that looks back further than
# a day is evaluated only once an hour.)
HOURS_OF_A_DAY = 24
# Lambda's defaults for asynchronous invocation; the age is in seconds.
LONGEST_EVENT_AGE = 21_600
RETRIES = 2


# The alarms of earlier versions, which had one for each function: in an outage, each sent its own
# mail.
FORMER_ALARMS = tuple(
    f"{function}-{metric}"
    for function in ("promote", "sweep")
    for metric in ("errors", "throttles", "dropped")
    if (function, metric) != ("promote", "dropped")
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
    """One alarm for the failures of all functions, and one for the uploads that Lambda drops.

    Dropped sweeps and audits, and all throttled runs, are noticed by their absence: by the alarms
    `waiting` and `no-audit`.
    """
    yield alarm(
        stage,
        topic,
        name="errors",
        summary=f"alarm on failures of {' and '.join(FUNCTIONS)}",
        why=f"A run of {', '.join(FUNCTIONS[:-1])} or {FUNCTIONS[-1]} failed; the log of the "
        "function says why. Lambda retries it twice, and the sweep takes care of the uploads "
        "that are left. If this mail is the only one, nothing is lost.",
        Metrics=_all_failures(stage),
        # A higher count could be split between two hours, whose boundary moves every minute: the
        # alarm would end and go off again although nothing had happened.
        Threshold=1.0,
        EvaluationPeriods=HOURS_OF_A_DAY,
        DatapointsToAlarm=1,
        TreatMissingData="notBreaching",
    )
    yield sum_alarm(
        stage,
        topic,
        name="promote-dropped",
        at_least=1,
        to_alarm=1,
        within=HOURS_OF_A_DAY,
        summary="alarm on events of promote that Lambda drops",
        why="Lambda gave up on an upload's event: it failed three times or waited for six hours, "
        "or the concurrency of promote is 0. The next sweep has to promote the upload.",
        **_of_lambda(stage, "promote", "AsyncEventsDropped"),
    )
    for name in FORMER_ALARMS:
        why = "Other alarms replace it, so that an outage sends only a few mails."
        yield removed_alarm(stage, name, why=why)


def _all_failures(stage: Stage) -> list[dict[str, Any]]:
    """The `Metrics` of an alarm: the functions' errors in an hour, added up."""
    queries = [
        {
            "Id": function,
            "MetricStat": {
                "Metric": _of_lambda(stage, function, "Errors"),
                "Period": AN_HOUR,
                "Stat": "Sum",
            },
            "ReturnData": False,
        }
        for function in FUNCTIONS
    ]
    # The functions do not all run in every hour.
    terms = ", ".join(f"FILL({function}, 0)" for function in FUNCTIONS)
    total = {
        "Id": "total",
        "Expression": f"SUM([{terms}])",
        "Label": "Failures",
        "ReturnData": True,
    }
    return [*queries, total]


def _of_lambda(stage: Stage, function: str, name: str) -> dict[str, Any]:
    """A metric that Lambda writes for a function."""
    return {
        "Namespace": "AWS/Lambda",
        "MetricName": name,
        "Dimensions": [{"Name": "FunctionName", "Value": stage.function_name(function)}],
    }
