"""A copy ends within its run, or leaves nothing behind and reports what to change."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.copy_plan import BEST_BYTES_PER_SECOND, seconds_to_end
from chalicelib.promotion.multipart import OutOfTimeError
from tests.support.faults import answers, does_it_and_answers, slow_down
from tests.support.wire import Wire
from tests.support.world import DAILY, PARTS, World

BODY = b"five parts of eight bytes, two at a time"
NOW = datetime.now(UTC)


@pytest.fixture
def in_parts(world: World) -> World:
    return world.with_tuning(PARTS)


def test_the_first_wave_of_parts_always_starts(in_parts: World) -> None:
    notification = in_parts.upload(BODY[:16])
    record = in_parts.promoter.promote(notification, now=NOW, seconds_left=lambda: 3)
    assert record.outcome is Outcome.PROMOTED


def test_a_copy_that_cannot_end_in_its_run_leaves_no_parts_and_says_what_to_change(
    in_parts: World, wire: Wire
) -> None:
    notification = in_parts.upload(BODY)
    with pytest.raises(OutOfTimeError) as failure:
        in_parts.promoter.promote(notification, now=NOW, seconds_left=lambda: 120)
    for detail in ("40 bytes", "120 seconds", "lambda_timeout", ".chalice/config.json"):
        assert detail in str(failure.value)
    assert wire.sent.count("UploadPartCopy") == 2
    assert in_parts.unfinished() == []
    assert in_parts.bodies() == {}
    assert in_parts.incoming() == [DAILY]


def test_a_copy_continues_while_its_next_part_can_end(in_parts: World) -> None:
    left = seconds_to_end(8, PARTS)
    record = in_parts.promoter.promote(in_parts.upload(BODY), now=NOW, seconds_left=lambda: left)
    assert record.outcome is Outcome.PROMOTED


def test_a_part_is_not_retried_when_the_time_is_up(in_parts: World, wire: Wire) -> None:
    notification = in_parts.upload(BODY[:16])
    wire.fail("UploadPartCopy", *[slow_down] * 6)
    with pytest.raises(ClientError, match="SlowDown"):
        in_parts.promoter.promote(notification, now=NOW, seconds_left=lambda: 3)
    assert in_parts.unfinished() == []
    # botocore itself sends each of the two requests three times.
    assert wire.sent.count("UploadPartCopy") <= 6


def test_a_copy_that_was_completed_without_a_response_counts_as_promoted_in_a_short_run_too(
    in_parts: World, wire: Wire
) -> None:
    notification = in_parts.upload(BODY[:16])
    wire.fail("CompleteMultipartUpload", *[does_it_and_answers(500)] * 3)
    record = in_parts.promoter.promote(notification, now=NOW, seconds_left=lambda: 3)
    assert record.outcome is Outcome.PROMOTED


def test_no_part_starts_after_a_part_has_failed(in_parts: World, wire: Wire) -> None:
    sequential = in_parts.with_tuning(replace(PARTS, streams=1))
    notification = in_parts.upload(BODY)
    wire.fail("UploadPartCopy", None, answers(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        sequential.promote(notification)
    assert wire.sent.count("UploadPartCopy") == 2


def test_an_upload_that_no_run_can_copy_is_rejected_before_a_byte_is_copied(
    in_parts: World, wire: Wire
) -> None:
    in_parts.upload(BODY)
    event: dict[str, Any] = {
        "Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": DAILY}}}]
    }
    wire.sent.clear()
    too_short = (len(BODY) - 0.5) / BEST_BYTES_PER_SECOND
    [record] = in_parts.promoter.promote_all(event, now=NOW, seconds_left=lambda: too_short)
    assert record.outcome is Outcome.REJECTED
    assert "lambda_timeout" in record.reason
    assert set(wire.sent) == {"HeadObject"}
    assert in_parts.incoming() == [DAILY]
