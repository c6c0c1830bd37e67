"""A chain of runs keeps what was copied while S3 is out of reach, and has an end."""

import contextlib
import io
import json
import threading
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.handover import Handover, Run, StalledCopyError
from chalicelib.part_plan import plan_parts
from chalicelib.policy import Outcome
from chalicelib.record import Record
from localcloud.faults import (
    EVERY_FAULT,
    Fault,
    answers,
    at,
    dropped_before,
    time_for,
)
from localcloud.wire import Wire
from tests.chained import BODY, EVENING, ONE_BY_ONE, SLOT, begun, copied_parts, run
from tests.world import DAILY, World

# The app tries a part ten times, and botocore each time three times.
LASTING = 30
MAY_PASS = {name: fault for name, fault in EVERY_FAULT.items() if name != "409"}


@pytest.fixture
def here(world: World) -> World:
    return world.with_limits(ONE_BY_ONE)


# While S3 is out of reach


@pytest.mark.parametrize("fault", MAY_PASS)
def test_a_part_that_s3_cannot_copy_now_is_left_to_the_next_run(
    here: World, wire: Wire, fault: str
) -> None:
    notice, handed = begun(here, parts=8)
    wire.fail("UploadPartCopy", *[MAY_PASS[fault]] * LASTING)
    record = run(here, notice, parts=99, handed=handed)
    assert record.outcome is Outcome.CONTINUED
    wire.mend()
    wire.calls.clear()
    assert run(here, notice, parts=99, handed=record.handover).outcome is Outcome.PROMOTED
    assert copied_parts(wire) in ([9, 10], [10])
    assert here.bodies() == {SLOT: BODY}
    assert here.unfinished() == []


def test_the_log_says_what_a_copy_was_interrupted_for(
    here: World, wire: Wire, log: io.StringIO
) -> None:
    notice, handed = begun(here)
    wire.fail("UploadPartCopy", *[answers(503, "SlowDown")] * LASTING)
    run(here, notice, parts=99, handed=handed)
    assert "given up for now: ClientError: An error occurred (SlowDown)" in log.getvalue()


def test_what_was_given_up_for_one_part_is_tried_for_no_other(here: World, wire: Wire) -> None:
    notice, handed = begun(here)
    wire.calls.clear()
    wire.fail("UploadPartCopy", *[answers(503, "SlowDown")] * 999)
    run(here, notice, parts=99, handed=handed)
    assert set(copied_parts(wire)) == {5}


@pytest.mark.parametrize("fault", MAY_PASS)
def test_a_completion_that_s3_cannot_make_now_is_left_to_the_next_run(
    here: World, wire: Wire, fault: str
) -> None:
    notice, handed = begun(here)
    wire.fail("CompleteMultipartUpload", *[MAY_PASS[fault]] * 3)
    record = run(here, notice, parts=99, handed=handed)
    assert record.outcome is Outcome.CONTINUED
    wire.mend()
    wire.calls.clear()
    done = run(here, notice, parts=99, handed=record.handover).outcome
    was_done = "CompleteMultipartUpload" not in wire.names()
    assert done is (Outcome.ALREADY_PROMOTED if was_done else Outcome.PROMOTED)
    assert copied_parts(wire) == []
    assert here.bodies() == {SLOT: BODY}
    assert here.incoming() == []
    assert here.unfinished() == []


def test_a_slot_that_is_taken_meanwhile_is_not_gone_on_with(here: World, wire: Wire) -> None:
    notice, handed = begun(here)

    def somebody_wins(request: Any, do_it: Any) -> Any:
        here.s3.put_object(Bucket="backups2", Key=SLOT, Body=b"theirs")
        return answers(500, "InternalError")(request, do_it)

    wire.fail("CompleteMultipartUpload", somebody_wins, *[answers(500, "InternalError")] * 2)
    record = run(here, notice, parts=99, handed=handed)
    outcome = run(here, notice, parts=99, handed=record.handover).outcome
    assert outcome is Outcome.CONTESTED
    assert here.unfinished() == []


@pytest.mark.parametrize("number", range(1, 9))
def test_while_nothing_at_all_answers_no_part_is_lost(here: World, wire: Wire, number: int) -> None:
    """From any request on. What cannot even look fails, and Lambda tries it again."""
    notice, handed = begun(here, parts=8)
    wire.calls.clear()
    wire.plan(at(number, *[answers(503, "ServiceUnavailable")] * (LASTING + 5)))
    going_on: Handover | None = handed
    while going_on:
        with contextlib.suppress(ClientError):
            going_on = run(here, notice, parts=99, handed=going_on).handover
    assert set(copied_parts(wire)) == {9, 10}
    assert here.bodies() == {SLOT: BODY}
    assert here.incoming() == []


def test_without_a_next_run_what_lasts_is_raised_and_nothing_stays(here: World, wire: Wire) -> None:
    notice = here.upload(BODY, at=EVENING)
    wire.fail("UploadPartCopy", *[answers(503, "SlowDown")] * LASTING)
    with pytest.raises(ClientError, match="SlowDown"):
        here.promote(notice)
    assert here.unfinished() == []


def test_a_part_is_tried_until_there_is_time_no_more(here: World, wire: Wire) -> None:
    notice = here.upload(BODY, at=EVENING)
    wire.fail("UploadPartCopy", *[answers(503, "SlowDown")] * (LASTING - 3))
    assert here.promote(notice).outcome is Outcome.PROMOTED
    assert here.bodies() == {SLOT: BODY}

    again = here.upload(BODY, at=EVENING + timedelta(days=1))
    wire.calls.clear()
    wire.fail("UploadPartCopy", *[answers(503, "SlowDown")] * 99)
    assert run(here, again, parts=4).outcome is Outcome.CONTINUED
    assert copied_parts(wire) == [1] * 4


@pytest.mark.parametrize("fault", [answers(500, "InternalError"), dropped_before, answers(503)])
def test_one_fault_of_every_stream_fails_nothing(world: World, fault: Fault) -> None:
    """Together they repeat more requests than botocore allows a client to."""
    streams = 120
    s3 = boto3.client(
        "s3",
        config=Config(
            max_pool_connections=streams, retries={"mode": "standard", "total_max_attempts": 5}
        ),
    )
    limits = replace(ONE_BY_ONE, streams=streams)
    here = replace(world, promoter=replace(world.promoter, s3=s3, limits=limits))
    body = bytes(8 * 258)
    assert len(plan_parts(len(body), limits)) == streams
    notice = here.upload(body, at=EVENING)
    all_under_way = threading.Barrier(streams)

    def once_all_are_under_way(request: Any, do_it: Any) -> Any:
        all_under_way.wait(60)
        return fault(request, do_it)

    wire = Wire(s3)
    wire.fail("UploadPartCopy", *[once_all_are_under_way] * streams)
    with patch("botocore.endpoint.time.sleep"):
        assert here.promote(notice).outcome is Outcome.PROMOTED


def test_a_silent_s3_does_not_cost_the_end_of_a_run(here: World, wire: Wire) -> None:
    """Lambda would end it before it could hand over."""
    notice = here.upload(BODY, at=EVENING)
    limits, clock = here.promoter.limits, [900.0]

    def silent(request: Any, _: Any) -> Any:
        clock[0] -= limits.patience
        raise ReadTimeoutError(endpoint_url=request.url)

    wire.fail("UploadPartCopy", silent)
    clock[0] = limits.patience + limits.reserve + 0.1
    here.promoter.promote(notice, now=datetime.now(UTC), seconds_left=lambda: clock[0])
    assert clock[0] >= limits.reserve


# The chain has an end


def test_runs_that_have_no_time_for_a_single_part_end_loudly_and_leave_nothing(
    here: World,
) -> None:
    notice, handed = begun(here, parts=0)
    assert handed.idle == 1
    with pytest.raises(StalledCopyError, match="raise lambda_timeout"):
        run(here, notice, parts=0, handed=handed)
    assert here.unfinished() == []
    assert here.incoming() == [DAILY]
    assert here.promote(notice).outcome is Outcome.PROMOTED


def test_runs_that_find_s3_out_of_reach_end_with_what_it_said(here: World, wire: Wire) -> None:
    notice, handed = begun(here)
    wire.fail("UploadPartCopy", *[answers(503, "SlowDown")] * 2 * LASTING)
    handed = run(here, notice, parts=99, handed=handed).handover
    with pytest.raises(StalledCopyError, match=r"6 parts are missing.*SlowDown"):
        run(here, notice, parts=99, handed=handed)
    assert here.unfinished() == []


def test_one_part_is_progress(here: World) -> None:
    notice, handed = begun(here, parts=0)
    after_one = run(here, notice, parts=1, handed=handed).handover
    assert after_one is not None
    assert (after_one.idle, after_one.run) == (0, 3)
    idle = run(here, notice, parts=0, handed=after_one).handover
    assert idle is not None
    with pytest.raises(StalledCopyError):
        run(here, notice, parts=0, handed=idle)


def test_a_copy_by_one_request_is_never_handed_over(world: World) -> None:
    assert run(world, world.upload(b"files"), parts=0).outcome is Outcome.PROMOTED


def test_no_part_is_started_that_could_not_end(here: World) -> None:
    notice = here.upload(BODY, at=EVENING)

    def record(seconds: float) -> Record:
        return here.promoter.promote(notice, now=datetime.now(UTC), seconds_left=lambda: seconds)

    assert record(209.9).outcome is Outcome.CONTINUED
    assert record(210.1).outcome is Outcome.PROMOTED


def always(operation: str, fault: Fault) -> Any:
    return lambda asked: fault if asked == operation else None


def last_part_fails(request: Any, do_it: Any) -> Any:
    fails = answers(500, "InternalError")
    return fails(request, do_it) if "partNumber=10" in request.url else do_it()


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            always("CompleteMultipartUpload", answers(403, "AccessDenied")), id="no right to"
        ),
        pytest.param(
            always("CompleteMultipartUpload", answers(400, "BadDigest")), id="another checksum"
        ),
        pytest.param(always("CompleteMultipartUpload", answers(500, "InternalError")), id="unwell"),
        pytest.param(always("UploadPartCopy", last_part_fails), id="the last part"),
    ],
)
def test_a_copy_that_always_fails_comes_to_an_end(here: World, wire: Wire, plan: Any) -> None:
    """Lambda tries each event three times, also one that a run has handed over."""
    here.upload(BODY, at=EVENING)
    event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": DAILY}}}]}
    queue: deque[tuple[Any, int]] = deque([(event, 1)])
    wire.plan(plan)
    for _ in range(50):
        event, attempt = queue.popleft()
        this = Run(
            seconds_left=time_for(4),
            invoke_next=lambda event: queue.append((json.loads(json.dumps(event)), 1)),
        )
        with contextlib.suppress(ExceptionGroup):
            here.promoter.promote_all(event, now=datetime.now(UTC), run=this)
            continue
        if attempt < 3:
            queue.append((event, attempt + 1))
        if not queue:
            break
    assert not queue
    assert here.bodies() == {}
    assert here.incoming() == [DAILY]
    assert here.unfinished() == []
