"""One run, one copy: it ends in time, or leaves nothing behind and says what to change."""

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
def here(world: World) -> World:
    return world.with_limits(PARTS)


def test_the_first_wave_of_parts_starts_however_little_time_is_left(here: World) -> None:
    notice = here.upload(BODY[:16])
    record = here.promoter.promote(notice, now=NOW, seconds_left=lambda: 3)
    assert record.outcome is Outcome.PROMOTED


def test_a_copy_that_cannot_end_in_its_run_leaves_no_parts_and_says_what_to_change(
    here: World, wire: Wire
) -> None:
    notice = here.upload(BODY)
    with pytest.raises(OutOfTimeError) as failure:
        here.promoter.promote(notice, now=NOW, seconds_left=lambda: 120)
    for told in ("40 bytes", "120 seconds", "lambda_timeout", ".chalice/config.json"):
        assert told in str(failure.value)
    assert wire.sent.count("UploadPartCopy") == 2
    assert here.unfinished() == []
    assert here.bodies() == {}
    assert here.incoming() == [DAILY]


def test_a_copy_goes_on_for_as_long_as_its_next_part_can_end(here: World) -> None:
    left = seconds_to_end(8, PARTS)
    record = here.promoter.promote(here.upload(BODY), now=NOW, seconds_left=lambda: left)
    assert record.outcome is Outcome.PROMOTED


def test_a_part_is_not_tried_again_when_the_time_is_up(here: World, wire: Wire) -> None:
    notice = here.upload(BODY[:16])
    wire.fail("UploadPartCopy", *[slow_down] * 6)
    with pytest.raises(ClientError, match="SlowDown"):
        here.promoter.promote(notice, now=NOW, seconds_left=lambda: 3)
    assert here.unfinished() == []
    # As often as botocore itself tries, for each of the two.
    assert wire.sent.count("UploadPartCopy") <= 6


def test_a_copy_that_was_completed_without_an_answer_counts_as_promoted_in_a_short_run_too(
    here: World, wire: Wire
) -> None:
    notice = here.upload(BODY[:16])
    wire.fail("CompleteMultipartUpload", *[does_it_and_answers(500)] * 3)
    record = here.promoter.promote(notice, now=NOW, seconds_left=lambda: 3)
    assert record.outcome is Outcome.PROMOTED


def test_a_part_that_fails_for_good_lets_no_other_begin(here: World, wire: Wire) -> None:
    one_at_a_time = here.with_limits(replace(PARTS, streams=1))
    notice = here.upload(BODY)
    wire.fail("UploadPartCopy", None, answers(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        one_at_a_time.promote(notice)
    assert wire.sent.count("UploadPartCopy") == 2


def test_what_no_run_can_copy_is_rejected_before_a_byte_is_copied(here: World, wire: Wire) -> None:
    here.upload(BODY)
    event: dict[str, Any] = {
        "Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": DAILY}}}]
    }
    wire.sent.clear()
    too_short = (len(BODY) - 0.5) / BEST_BYTES_PER_SECOND
    [record] = here.promoter.promote_all(event, now=NOW, seconds_left=lambda: too_short)
    assert record.outcome is Outcome.REJECTED
    assert "lambda_timeout" in record.reason
    assert set(wire.sent) == {"HeadObject"}
    assert here.incoming() == [DAILY]
