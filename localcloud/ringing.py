"""CloudWatch's alarms: evaluated each minute of the cloud's clock, and reported to topics."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from moto.cloudwatch.models import Alarm, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult

from localcloud import alarm_messages
from localcloud.alarms import LOOKS_FURTHER_BACK, MINUTE, NO_DATA, Metric, Transition, transitions
from localcloud.clock import Worker, clock
from localcloud.functions.lambda_functions import REGION
from localcloud.functions.queued_event import LONGEST_AGE
from localcloud.iam.topic_policies import CLOUDWATCH
from localcloud.metrics import Metrics
from localcloud.sns.topics import Topics

# This machine's seconds between two evaluations: a fast clock passes many minutes in that time.
PAUSE = 0.5
LONGEST_WAIT = timedelta(seconds=LONGEST_AGE)
# Arguments of PutMetricAlarm that an evaluation needs, and that moto keeps in another form.
_DEFINITION = (
    "Namespace",
    "MetricName",
    "Dimensions",
    "Statistic",
    "Period",
    "Metrics",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
)


class Alarms:
    """Evaluates the alarms of moto's CloudWatch.

    A new alarm has no data yet. When its state changes, the change is published to the topics among
    its actions, if these allow it. `throttled` returns how many events wait for concurrency, by
    function name. `tell` gets a line for each alarm that cannot be evaluated here.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        topics: Topics,
        throttled: Callable[[], Mapping[str, int]],
        tell: Callable[[str], None],
    ) -> None:
        self._metrics = metrics
        self._topics = topics
        self._throttled = throttled
        self._tell = tell
        self._worker = Worker("alarms", self._run_due)
        self._evaluated: dict[str, datetime] = {}
        """The last evaluated minute, by the alarm's name."""
        self._counted = _minute(clock.now())
        """The last minute for which throttles were counted."""

    def run_due(self) -> None:
        """Evaluate all minutes that have passed, and publish all changes in order."""
        with self._worker.changed:
            self._run_due()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Evaluate alarms each minute, even if the clock is moved, until the block ends."""
        put = CloudWatchResponse.put_metric_alarm

        def put_metric_alarm(request: CloudWatchResponse) -> ActionResult:
            alarms = request.cloudwatch_backend.alarms
            name = request._get_param("AlarmName")
            with self._worker.changed:
                before = alarms.get(name)
                answer = put(request)
                self._define(alarms[name], request, before)
                self._worker.wake()
            return answer

        # moto's backend reads AWS_PROFILE on first use, so it is used here, not later in the
        # thread.
        _alarms()
        with (
            mock.patch.object(CloudWatchResponse, "put_metric_alarm", put_metric_alarm),
            self._worker.running(),
        ):
            yield

    def _run_due(self) -> float | None:
        """Evaluate every minute that has ended. Returns the seconds until the next one ends."""
        alarms = _alarms()
        if not alarms:
            return None
        now = _minute(clock.now())
        self._count_throttles(now)
        values = self._metrics.snapshot()
        changes = [
            (change.at, alarm.name, alarm, change)
            for alarm in alarms
            for change in self._changes(alarm, values, now=now)
        ]
        for _, _, alarm, change in sorted(changes, key=lambda each: each[:2]):
            self._ring(alarm, change)
        return _seconds_until_next_minute()

    def _define(self, alarm: Alarm, request: CloudWatchResponse, before: Alarm | None) -> None:
        """Store the alarm as it was put. An alarm that is put again keeps its state."""
        arguments = {name: request._get_param(name) for name in _DEFINITION}
        given = {name: value for name, value in arguments.items() if value is not None}
        vars(alarm)["definition"] = {"TreatMissingData": "missing", "Dimensions": [], **given}
        alarm.configuration_updated_timestamp = clock.now()
        if before is None:
            alarm.state_value = NO_DATA
            alarm.state_updated_timestamp = clock.now()
            self._evaluated[alarm.name] = _minute(clock.now())
        else:
            alarm.state_value = before.state_value
            alarm.state_reason = before.state_reason
            alarm.state_updated_timestamp = before.state_updated_timestamp

    def _count_throttles(self, now: datetime) -> None:
        """Lambda retries throttled events at increasing intervals of up to five minutes."""
        minute, self._counted = max(self._counted, now - LONGEST_WAIT), now
        throttled = self._throttled()
        while throttled and (minute := minute + MINUTE) <= now:
            for function, events in throttled.items():
                if minute.minute % 5 == 0:
                    self._metrics.count("Throttles", function, events, at=minute)

    def _changes(
        self, alarm: Alarm, values: Mapping[Metric, Any], *, now: datetime
    ) -> list[Transition]:
        definition = vars(alarm).get("definition")
        last = self._evaluated.get(alarm.name, now)
        self._evaluated[alarm.name] = now
        changes: list[Transition] = []
        if definition is None:  # a composite alarm, or one that cannot be evaluated here
            return changes
        try:
            for begin, end in _spans(definition, values, last=last, now=now):
                state = changes[-1].state if changes else alarm.state_value
                changes += transitions(
                    {**definition, **_actions(alarm)}, values, begin=begin, end=end, state=state
                )
        except (KeyError, ValueError) as error:
            del vars(alarm)["definition"]
            self._tell(f"{alarm.name}: alarm not evaluated: {error}")
        return changes

    def _ring(self, alarm: Alarm, change: Transition) -> None:
        before = alarm.state_value
        alarm.update_state(alarm_messages.reason(alarm, change), "{}", change.state)
        alarm.state_updated_timestamp = change.at
        message = alarm_messages.body(
            alarm, change, definition=vars(alarm)["definition"], before=before
        )
        for topic in change.actions:
            self._topics.publish(
                topic,
                message,
                subject=alarm_messages.subject(alarm, change),
                service=CLOUDWATCH,
                source=alarm.alarm_arn,
                account=DEFAULT_ACCOUNT_ID,
            )


def _alarms() -> list[Alarm]:
    return list(cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION].alarms.values())


def _actions(alarm: Alarm) -> dict[str, Any]:
    return {
        "ActionsEnabled": alarm.actions_enabled,
        "AlarmActions": alarm.alarm_actions,
        "OKActions": alarm.ok_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    }


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _seconds_until_next_minute() -> float | None:
    seconds = clock.seconds_until(_minute(clock.now()) + MINUTE)
    return None if seconds is None else max(PAUSE, seconds)


def _spans(
    definition: Mapping[str, Any],
    values: Mapping[Metric, Any],
    *,
    last: datetime,
    now: datetime,
) -> list[tuple[datetime, datetime]]:
    """The minutes after `last` in which the state can change: the first and the last.

    The state cannot change once all data is too old for the alarm. This matters if the clock was
    moved by months.
    """
    queries = definition.get("Metrics", ())
    stats = [query["MetricStat"] for query in queries if "MetricStat" in query]
    period = timedelta(seconds=max(stat["Period"] for stat in stats or [definition]))
    # FILL looks back by the same time again, from the oldest period of the alarm.
    sight = 2 * period * (definition["EvaluationPeriods"] + LOOKS_FURTHER_BACK) + MINUTE
    metrics = [Metric.of(stat["Metric"]) for stat in stats] or [Metric.of(definition)]
    moments = (_minute(at) for metric in metrics for at, _ in values.get(metric, ()))
    spans: list[tuple[datetime, datetime]] = []
    for moment in sorted({last, *(moment for moment in moments if last < moment < now)}):
        begin, end = moment + MINUTE, min(moment + sight, now)
        if spans and begin <= spans[-1][1] + MINUTE:
            begin, _ = spans.pop()
        if begin <= end:
            spans.append((begin, end))
    return spans
