"""Asynchronous events run or are dropped when Lambda would do so, by the cloud's clock."""

import os
from datetime import timedelta

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.clock import clock
from localcloud.cloud import running
from localcloud.functions.event_queue import Throttled
from tests.localcloud.small_functions import ANSWERS, FAILS, PID, configure_events, create, reserve


def test_a_failing_function_is_tried_three_times_and_then_its_event_is_dropped(cloud):
    arn = create(cloud, "def handler(event, context): raise ValueError(event['why'])")
    cloud.functions.deliver(arn, {"why": "no luck"})
    cloud.functions.wait_until_quiet(timeout=60)
    tried = [
        (result.attempt, result.event, result.error["errorType"], result.error["errorMessage"])
        for result in cloud.functions.results
    ]
    assert tried == [(n, {"why": "no luck"}, "ValueError", "no luck") for n in (1, 2, 3)]
    assert cloud.functions.logs[-1] == "function: event dropped after 3 attempts"
    assert cloud.functions.logs.count("ValueError: no luck") == 3


def test_a_retry_that_succeeds_is_the_last(cloud):
    arn = create(
        cloud,
        """
attempts = []
def handler(event, context):
    attempts.append(event)
    if len(attempts) == 1:
        raise RuntimeError("once")
    return len(attempts)
""",
    )
    cloud.functions.deliver(arn, {})
    cloud.functions.wait_until_quiet(timeout=60)
    assert [result.payload for result in cloud.functions.results] == [None, 2]


def attempts_after(cloud, **moved):
    """The number of attempts after moving the clock, once no more can follow."""
    clock.advance(timedelta(**moved))
    cloud.functions.wait_until_stalled(timeout=60)
    return len(cloud.functions.results)


def test_retries_follow_after_one_and_two_minutes_by_the_clouds_clock(patient):
    arn = create(patient, FAILS)
    patient.functions.deliver(arn, {})
    assert attempts_after(patient) == 1
    assert attempts_after(patient, seconds=59) == 1
    assert attempts_after(patient, seconds=1) == 2
    assert attempts_after(patient, seconds=119) == 2
    assert attempts_after(patient, seconds=1) == 3
    assert patient.functions.logs[-1] == "function: event dropped after 3 attempts"
    assert attempts_after(patient, hours=6) == 3
    assert patient.functions.dropped == {"function": 1}


def test_a_function_can_configure_fewer_retries(patient):
    arn = create(patient, FAILS)
    configure_events(patient, MaximumRetryAttempts=1)
    patient.functions.deliver(arn, {})
    assert attempts_after(patient) == 1
    assert attempts_after(patient, minutes=1) == 2
    assert patient.functions.logs[-1] == "function: event dropped after 2 attempts"


def test_a_function_without_concurrency_runs_its_events_once_it_has_some(patient):
    arn = create(patient, ANSWERS)
    reserve(patient, 0)
    patient.functions.deliver(arn, "first")
    clock.advance(timedelta(hours=3))
    patient.functions.deliver(arn, "second")
    assert attempts_after(patient, hours=2) == 0
    reserve(patient, 1)
    patient.functions.wait_until_quiet(timeout=60)
    assert [result.payload for result in patient.functions.results] == ["first", "second"]


def test_a_functions_events_run_when_its_reservation_is_removed(patient):
    arn = create(patient, ANSWERS)
    reserve(patient, 0)
    patient.functions.deliver(arn, {})
    assert attempts_after(patient) == 0
    client = patient.session(patient.administrator).client("lambda")
    client.delete_function_concurrency(FunctionName="function")
    patient.functions.wait_until_quiet(timeout=60)
    assert len(patient.functions.results) == 1


def test_an_event_without_concurrency_is_dropped_after_six_hours(patient):
    arn = create(patient, ANSWERS)
    reserve(patient, 0)
    patient.functions.deliver(arn, {})
    assert attempts_after(patient, hours=5, minutes=59, seconds=59) == 0
    assert patient.functions.dropped == {}
    clock.advance(timedelta(seconds=1))
    patient.functions.wait_until_quiet(timeout=60)
    assert patient.functions.logs == ["function: event dropped after 6:00:00 in the queue"]
    assert patient.functions.dropped == {"function": 1}
    reserve(patient, 10)
    assert attempts_after(patient) == 0


def test_a_function_can_configure_the_age_at_which_its_events_are_dropped(patient):
    arn = create(patient, ANSWERS)
    configure_events(patient, MaximumEventAgeInSeconds=60)
    reserve(patient, 0)
    patient.functions.deliver(arn, {})
    assert attempts_after(patient, seconds=59) == 0
    assert patient.functions.dropped == {}
    clock.advance(timedelta(seconds=1))
    patient.functions.wait_until_quiet(timeout=60)
    assert patient.functions.logs == ["function: event dropped after 0:01:00 in the queue"]


def test_a_retry_is_due_when_the_clock_jumps_past_it(patient):
    arn = create(patient, FAILS)
    patient.functions.deliver(arn, {})
    assert attempts_after(patient) == 1
    assert attempts_after(patient, hours=7) == 2


# Opening a FIFO waits for the other end: a function that runs alone would wait forever.
MEET = """
import os
def handler(event, context):
    os.close(os.open(event["fifo"], os.O_RDONLY if event["reads"] else os.O_WRONLY))
    return "met"
"""


def test_events_run_at_the_same_time(cloud, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    arn = create(cloud, MEET)
    for reads in (True, False):
        cloud.functions.deliver(arn, {"fifo": str(tmp_path / "fifo"), "reads": reads})
    cloud.functions.wait_until_quiet(timeout=60)
    assert [result.payload for result in cloud.functions.results] == ["met", "met"]


READS = "def handler(event, context): return open(event).read()"


@pytest.mark.parametrize(
    ("account", "reserved"),
    [
        pytest.param(1, None, id="of the account"),
        pytest.param(10, 1, id="reserved for the function"),
    ],
)
def test_concurrency_limits_how_many_functions_run_at_a_time(tmp_path, account, reserved):
    os.mkfifo(tmp_path / "fifo")
    with running(concurrency=account) as cloud:
        arn = create(cloud, READS)
        if reserved:
            reserve(cloud, reserved)
        cloud.functions.deliver(arn, str(tmp_path / "fifo"))
        with (tmp_path / "fifo").open("w") as fifo:  # both ends are open: the function runs
            cloud.functions.deliver(arn, os.devnull)
            with pytest.raises(Throttled):
                cloud.functions.invoke("function", os.devnull)
            fifo.write("the first")
        cloud.functions.wait_until_quiet(timeout=60)
        assert [result.payload for result in cloud.functions.results] == ["the first", ""]


def test_a_timeout_of_wait_until_quiet_names_the_unfinished_events(cloud, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    arn = create(cloud, MEET)
    cloud.functions.deliver(arn, {"fifo": str(fifo), "reads": True})
    with pytest.raises(TimeoutError, match=r"1 event\(s\) are not finished after 0.01 s"):
        cloud.functions.wait_until_quiet(timeout=0.01)
    fifo.open("w").close()
    cloud.functions.wait_until_quiet(timeout=60)


def test_an_event_for_a_missing_function_is_dropped_and_logged(cloud):
    nowhere = "arn:aws:lambda:us-east-1:123456789012:function:nowhere"
    cloud.functions.deliver(nowhere, {})
    cloud.functions.wait_until_quiet(timeout=60)
    assert cloud.functions.logs == [f"event dropped: Function not found: {nowhere}"]


def test_the_lambda_api_queues_events(cloud):
    create(cloud, ANSWERS)
    client = cloud.session(cloud.administrator).client("lambda")
    answer = client.invoke(FunctionName="function", InvocationType="Event", Payload=b'{"n": 1}')
    assert answer["StatusCode"] == 202
    cloud.functions.wait_until_quiet(timeout=60)
    assert [result.payload for result in cloud.functions.results] == [{"n": 1}]


def test_the_lambda_api_throttles_synchronous_invocations(cloud):
    create(cloud, PID)
    reserve(cloud, 0)
    client = cloud.session(cloud.administrator).client(
        "lambda", config=Config(retries={"total_max_attempts": 1})
    )
    with pytest.raises(ClientError) as error:
        client.invoke(FunctionName="function")
    assert error.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert cloud.functions.results == []


def test_the_event_configuration_can_be_put_read_and_removed(cloud):
    create(cloud, PID)
    client = cloud.session(cloud.administrator).client("lambda")
    named = {"FunctionName": "function"}
    topic = {"OnFailure": {"Destination": "arn:aws:sns:us-east-1:123456789012:alerts"}}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(**named)
    configure_events(cloud, DestinationConfig=topic)
    assert client.get_function_event_invoke_config(**named)["DestinationConfig"] == topic
    configure_events(cloud, MaximumRetryAttempts=2)
    answer = client.get_function_event_invoke_config(**named)
    assert answer["MaximumRetryAttempts"] == 2
    assert "OnFailure" not in answer.get("DestinationConfig", {}), "put replaces all of it"
    client.delete_function_event_invoke_config(**named)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(**named)
