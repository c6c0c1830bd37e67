"""EventBridge's rules with a rate invoke their functions by the cloud's clock."""

from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from botocore.exceptions import ClientError

from localcloud.clock import clock
from localcloud.cloud import running
from tests.localcloud.small_functions import ANSWERS, create

RULE = "arn:aws:events:us-east-1:123456789012:rule/tick"


@pytest.fixture
def ticking(patient):
    """A cloud with a rule that has invoked a function every 15 minutes since noon."""
    schedule(patient, function_arn=create(patient, ANSWERS))
    return patient


def schedule(cloud, *, function_arn, permitted=RULE):
    put_rule(cloud, "rate(15 minutes)")
    aim(cloud, function_arn=function_arn, permitted=permitted)


def aim(cloud, *, function_arn, permitted=RULE):
    """Let the rule invoke the function."""
    administrator = cloud.session(cloud.administrator)
    administrator.client("events").put_targets(
        Rule="tick", Targets=[{"Id": "1", "Arn": function_arn}]
    )
    administrator.client("lambda").add_permission(
        FunctionName="function",
        StatementId="tick",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=permitted,
    )


def put_rule(cloud, expression, **more):
    events = cloud.session(cloud.administrator).client("events")
    events.put_rule(Name="tick", ScheduleExpression=expression, **more)


def times(cloud, **moved):
    """The times in the events of all runs, after moving the clock."""
    clock.advance(timedelta(**moved))
    cloud.run_schedules()
    cloud.functions.wait_until_quiet(timeout=60)
    return sorted(result.event["time"][11:] for result in cloud.functions.results)


def test_a_scheduled_event_has_the_format_of_eventbridge(ticking):
    times(ticking, minutes=15)
    [result] = ticking.functions.results
    assert result.error is None
    assert len(result.event.pop("id")) == 36
    assert result.event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-25T12:15:00Z",
        "region": "us-east-1",
        "resources": [RULE],
        "detail": {},
    }


def test_each_due_time_that_the_clock_has_passed_runs_once(ticking):
    assert times(ticking, minutes=14, seconds=59) == []
    assert times(ticking, seconds=1) == ["12:15:00Z"]
    assert times(ticking, minutes=44) == ["12:15:00Z", "12:30:00Z", "12:45:00Z"]
    assert len(times(ticking)) == 3


def test_a_disabled_rule_skips_its_due_times(ticking):
    events = ticking.session(ticking.administrator).client("events")
    events.disable_rule(Name="tick")
    assert times(ticking, hours=1) == []
    events.enable_rule(Name="tick")
    assert times(ticking, minutes=15) == ["13:15:00Z"]


def test_a_rule_that_is_put_again_keeps_its_schedule(ticking):
    clock.advance(timedelta(minutes=10))
    put_rule(ticking, "rate(15 minutes)")
    assert times(ticking, minutes=5) == ["12:15:00Z"]


def test_a_rule_with_a_new_rate_starts_over(ticking):
    clock.advance(timedelta(minutes=10))
    put_rule(ticking, "rate(1 hour)")
    assert times(ticking, minutes=59) == []
    assert times(ticking, minutes=1) == ["13:10:00Z"]


def test_a_rule_without_a_target_and_a_removed_rule_run_nothing(ticking):
    events = ticking.session(ticking.administrator).client("events")
    events.remove_targets(Rule="tick", Ids=["1"])
    assert times(ticking, minutes=15) == []
    events.delete_rule(Name="tick")
    assert times(ticking, hours=1) == []


@pytest.mark.parametrize(
    "permitted",
    [
        pytest.param(f"{RULE}s", id="another rule"),
        pytest.param(RULE.replace("123456789012", "210987654321"), id="another account"),
    ],
)
def test_only_a_rule_that_the_functions_policy_allows_invokes_it(patient, permitted):
    arn = create(patient, ANSWERS)
    schedule(patient, function_arn=arn, permitted=permitted)
    assert times(patient, minutes=15) == []
    denial = f"{arn} does not allow events.amazonaws.com to invoke it for {RULE}"
    assert patient.functions.logs == [f"tick: event not delivered: {denial}"]


def test_a_rule_stops_when_its_permission_is_removed(ticking):
    assert times(ticking, minutes=15) == ["12:15:00Z"]
    client = ticking.session(ticking.administrator).client("lambda")
    client.remove_permission(FunctionName="function", StatementId="tick")
    assert times(ticking, minutes=15) == ["12:15:00Z"]


def test_a_rule_for_a_missing_function_is_logged(ticking):
    client = ticking.session(ticking.administrator).client("lambda")
    client.delete_function(FunctionName="function")
    assert times(ticking, minutes=15) == []
    [line] = ticking.functions.logs
    assert line.startswith("tick: event not delivered: Function not found: ")


def test_moving_the_clock_back_does_not_stop_the_schedule(ticking):
    clock.stand_at(datetime(2026, 11, 20, 6, tzinfo=UTC))
    assert times(ticking) == []
    assert times(ticking, minutes=15) == ["06:15:00Z"]


def test_schedules_run_on_a_running_clock():
    ran = Event()
    with running(on_result=lambda _: ran.set()) as cloud:
        schedule(cloud, function_arn=create(cloud, ANSWERS))
        clock.advance(timedelta(minutes=15, seconds=-0.5))
        assert ran.wait(timeout=60)


def test_schedules_run_nothing_when_functions_are_run_by_hand():
    with running(by_hand=True) as cloud:
        schedule(cloud, function_arn=create(cloud, ANSWERS))
        assert times(cloud, hours=1) == []


def test_a_cron_rule_is_due_on_the_hour_and_says_so(patient):
    clock.stand_at(datetime(2026, 11, 25, 12, 20, tzinfo=UTC))
    put_rule(patient, "cron(0 * * * ? *)")
    aim(patient, function_arn=create(patient, ANSWERS))
    assert times(patient, minutes=39) == []
    assert times(patient, hours=2) == ["13:00:00Z", "14:00:00Z"]


@pytest.mark.parametrize("expression", ["cron(0 12 1 * ? *)", "rate(0 minutes)"])
def test_an_unsupported_schedule_is_refused(cloud, expression):
    with pytest.raises(ClientError, match=r"only supports schedules such as rate\(15 minutes\)"):
        put_rule(cloud, expression)
