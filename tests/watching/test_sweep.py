"""Which uploads the sweep counts, hands over to `promote`, and leaves to other runs."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.policy.decision import Outcome
from chalicelib.policy.file import parse_policy
from chalicelib.policy.rules import DRILL_UPLOAD
from chalicelib.promotion.buckets import MOST_LOOKS
from chalicelib.promotion.copy_plan import BEST_BYTES_PER_SECOND
from chalicelib.promotion.notification import Notification
from chalicelib.record import Swept
from chalicelib.watching.sweep import MOST_OF_A_KEY
from localcloud.clock import clock
from localcloud.s3.kms_keys import kms_keys
from tests.support.faults import answers
from tests.support.flood import flood
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, World

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
SLOT = f"{NOON:%Y-%m-%d}.tar.gz.gpg"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(params=["with versions", "without versions"])
def any_layout(request: pytest.FixtureRequest, world: World) -> World:
    if request.param == "with versions":
        world.keep_versions()
    return world


@pytest.fixture
def versioned(world: World) -> World:
    world.keep_versions()
    return world


def test_an_upload_whose_event_was_lost_is_promoted(any_layout: World) -> None:
    any_layout.upload(b"files", at=NOON)
    swept, [record] = any_layout.sweep(now=NOON + 5 * MINUTE)
    assert record.outcome is Outcome.PROMOTED
    assert any_layout.bodies() == {SLOT: b"files"}
    assert any_layout.incoming() == []
    assert (swept.waiting, swept.handed_over, swept.complete) == (1, 1, True)
    assert swept.oldest_waiting_seconds == 300


def test_a_young_upload_is_left_to_its_event(any_layout: World) -> None:
    any_layout.upload(b"files", at=NOON)
    swept, records = any_layout.sweep(now=NOON + 4 * MINUTE)
    assert records == []
    assert (swept.waiting, swept.oldest_waiting_seconds) == (1, 240)


def test_the_sweep_itself_only_reads(versioned: World, wire: Wire) -> None:
    versioned.upload(b"first", at=NOON)
    versioned.upload(b"second", at=NOON)
    versioned.sweeper(lambda _: None).sweep(now=NOON + HOUR, scheduled=NOON + HOUR)
    reads = {"HeadObject", "ListObjectVersions", "ListMultipartUploads", "PutObject"}
    assert set(wire.sent) == reads
    assert wire.sent.count("PutObject") == 2  # by the test itself


def test_the_first_of_several_uploads_gets_the_slot_and_the_others_are_reported(
    versioned: World,
) -> None:
    for minute, body in enumerate((b"first", b"second", b"third")):
        versioned.upload(body, at=NOON + minute * MINUTE)
    clock.stand_at(NOON + 30 * MINUTE)
    swept, _ = versioned.sweep(now=clock.now())
    assert (swept.waiting, swept.contested) == (3, 0)
    assert versioned.bodies() == {SLOT: b"first"}
    assert versioned.incoming() == [DAILY, DAILY]

    swept, records = versioned.sweep(now=NOON + 45 * MINUTE)
    assert (swept.waiting, swept.contested) == (0, 2)
    assert [record.outcome for record in records] == [Outcome.CONTESTED] * 2
    swept, records = versioned.sweep(now=NOON + HOUR)
    assert (swept.contested, records) == (2, [])


def test_an_upload_that_is_already_stored_is_handed_over_to_be_removed(versioned: World) -> None:
    """A run was killed before the removal, or a client sent the same bytes twice."""
    versioned.promote(versioned.upload(b"files", at=NOON))
    for _ in range(2):
        versioned.upload(b"files", at=NOON)
    swept, records = versioned.sweep(now=NOON + HOUR)
    assert [record.outcome for record in records] == [Outcome.ALREADY_PROMOTED] * 2
    assert (swept.waiting, swept.contested) == (0, 0)
    assert versioned.incoming() == []


def test_an_upload_that_is_being_copied_does_not_count_as_waiting_but_its_age_is_reported(
    versioned: World,
) -> None:
    """A copy that never ends within its run is retried again and again, which must be noticed."""
    versioned.upload(b"files", at=NOON)
    clock.stand_at(NOON + HOUR)
    versioned.s3.create_multipart_upload(Bucket="backups2", Key=SLOT)
    swept, records = versioned.sweep(now=NOON + HOUR + 29 * MINUTE)
    assert (swept.waiting, swept.oldest_waiting_seconds, records) == (0, 89 * 60, [])


def test_a_copy_that_was_begun_before_any_current_run_blocks_no_upload(
    versioned: World,
) -> None:
    versioned.upload(b"files", at=NOON)
    versioned.s3.create_multipart_upload(Bucket="backups2", Key=SLOT)
    swept, [record] = versioned.sweep(now=datetime.now(UTC) + 31 * MINUTE)
    assert (swept.waiting, record.outcome) == (1, Outcome.PROMOTED)


def test_an_upload_that_can_never_be_promoted_is_counted_and_blocks_no_other(
    versioned: World,
) -> None:
    versioned.upload(b"", at=NOON)
    versioned.upload(b"sealed", at=NOON, **SEALED)
    versioned.upload(b"archived", at=NOON, StorageClass="GLACIER")
    versioned.upload(b"files", at=NOON)
    swept, records = versioned.sweep(now=NOON + HOUR)
    assert [record.outcome for record in records] == [Outcome.PROMOTED]
    assert versioned.bodies() == {SLOT: b"files"}
    assert (swept.waiting, swept.rejected) == (1, 3)


SEALED = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


def quarter_hours(start: datetime, number: int) -> Iterator[datetime]:
    for quarter in range(number):
        yield start + quarter * 15 * MINUTE


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=40), 7 * MINUTE])
@pytest.mark.parametrize("uploaded", [NOON, NOON + 10 * MINUTE, NOON + 14 * MINUTE])
def test_a_rejected_upload_is_reported_by_exactly_one_pass_even_if_the_pass_is_late(
    versioned: World, uploaded: datetime, late: timedelta
) -> None:
    versioned.upload(b"", at=uploaded)
    passes = [
        versioned.sweep(now=tick + late, scheduled=tick + late / 8)[1]
        for tick in quarter_hours(NOON, 6)
    ]
    assert [len(records) for records in passes].count(1) == 1
    assert sum(map(len, passes)) == 1


def test_an_upload_that_has_become_too_late_is_reported_once(versioned: World) -> None:
    versioned.upload(b"files", at=NOON)
    too_late = NOON + 168 * HOUR
    records = [
        record
        for tick in quarter_hours(too_late + 15 * MINUTE, 4)
        for record in versioned.sweep(now=tick)[1]
    ]
    assert [record.outcome for record in records] == [Outcome.REJECTED]


def test_a_pass_fills_ten_slots_of_a_key_the_oldest_first(versioned: World) -> None:
    for hour in range(25):
        versioned.upload(b"%d" % hour, key=HOURLY, at=NOON + hour * HOUR)
    versioned.upload(b"files", at=NOON)
    now = NOON + 25 * HOUR
    counts = []
    for _ in range(3):
        swept, records = versioned.sweep(now=now)
        counts.append((swept.waiting, sum(record.rule == HOURLY for record in records)))
    assert counts == [(26, 10), (15, 10), (5, 5)]
    assert len(versioned.bodies()) == 26
    assert MOST_OF_A_KEY == 10


def test_a_flood_of_contested_uploads_is_reported_ten_at_a_time(versioned: World) -> None:
    clock.stand_at(NOON)
    versioned.promote(versioned.upload(b"first", at=NOON))
    for number in range(30):
        versioned.upload(b"rubbish %d" % number, at=NOON)
    swept, records = versioned.sweep(now=NOON + 15 * MINUTE)
    assert swept.contested == 30
    assert len(records) == MOST_OF_A_KEY


def test_unknown_keys_count_only_towards_the_size_of_incoming(any_layout: World) -> None:
    for key in ("a", DAILY, f"{DAILY}.old", "z"):
        any_layout.upload(b"12345", key=key, at=NOON)
    swept, records = any_layout.sweep(now=NOON + HOUR)
    assert (swept.versions, swept.size, swept.waiting) == (4, 20, 1)
    assert [record.upload for record in records] == [DAILY]


def test_a_drill_s_upload_is_handed_over_but_not_counted(versioned: World) -> None:
    """Otherwise a drill would set off an alarm within a quarter of an hour."""
    versioned.upload(b"first", key=DRILL_UPLOAD, at=NOON)
    versioned.upload(b"", key=DRILL_UPLOAD, at=NOON)
    versioned.upload(b"files", key="drill/taken", at=NOON)
    swept, [record] = versioned.sweep(now=NOON + HOUR)
    assert (record.upload, record.outcome) == (DRILL_UPLOAD, Outcome.PROMOTED)
    versioned.upload(b"second", key=DRILL_UPLOAD, at=NOON)
    assert [swept, versioned.sweep(now=NOON + HOUR)[0]] == [Swept(), Swept()]


def test_a_key_is_encoded_in_an_event_as_s3_does(versioned: World) -> None:
    policy = parse_policy(
        'timezone = "Etc/UTC"\n[[rule]]\nupload = "all-(files)!"\nstore_as = "%Y-%m-%d"'
    )
    any_layout = versioned.with_policy(policy)
    any_layout.upload(b"files", key="all-(files)!", at=NOON)
    events: list[dict[str, Any]] = []
    any_layout.sweeper(events.append).sweep(now=NOON + HOUR, scheduled=NOON + HOUR)
    [[item]] = [event["Records"] for event in events]
    assert item["s3"]["object"]["key"] == "all-%28files%29%21"
    [record] = any_layout.promoter.promote_all(events[0], now=NOON + HOUR)
    assert record.outcome is Outcome.PROMOTED


def test_every_pass_writes_its_metrics_even_if_they_are_zero(
    any_layout: World, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    any_layout.sweep(now=NOON)
    [blob] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    zeros = {
        "WaitingUploads": [0.0],
        "OldestWaitingSeconds": [0.0],
        "ContestedUploads": [0.0],
        "RejectedUploads": [0.0],
        "IncomingBytes": [0.0],
        "IncomingVersions": [0.0],
    }
    assert {name: blob[name] for name in zeros} == zeros
    [metrics] = blob["_aws"]["CloudWatchMetrics"]
    assert (metrics["Namespace"], metrics["Dimensions"]) == ("ImmutableBackups", [["service"]])
    [line] = map(json.loads, log.getvalue().splitlines())
    assert line["message"] == "swept: 0 waiting, 0 handed over"
    assert line["complete"] is True


def test_a_pass_that_could_not_list_everything_writes_no_metrics_and_fails_after_all_keys(
    versioned: World, wire: Wire, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    versioned.upload(b"tables", key=HOURLY, at=NOON)
    events: list[Any] = []
    wire.fail("ListObjectVersions", answers(403, "AccessDenied"))
    with pytest.raises(ExceptionGroup) as failure:
        versioned.sweeper(events.append).sweep(now=NOON + HOUR, scheduled=NOON + HOUR)
    assert failure.group_contains(ClientError, match="AccessDenied")
    assert len(events) == 1
    assert "_aws" not in capsys.readouterr().out
    assert "AccessDenied" in log.getvalue()


def test_a_failed_invocation_fails_the_pass_but_blocks_no_other_key(versioned: World) -> None:
    versioned.upload(b"files", at=NOON)
    versioned.upload(b"tables", key=HOURLY, at=NOON)
    keys: list[str] = []

    def invoke(event: dict[str, Any]) -> None:
        keys.append(event["Records"][0]["s3"]["object"]["key"])
        if keys[-1] == DAILY:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")

    with pytest.raises(ExceptionGroup):
        versioned.sweeper(invoke).sweep(now=NOON + HOUR, scheduled=NOON + HOUR)
    assert sorted(keys) == [DAILY, HOURLY]


def test_a_pass_ends_in_time_and_says_that_it_is_incomplete(
    versioned: World, capsys: pytest.CaptureFixture[str]
) -> None:
    versioned.upload(b"files", at=NOON)
    left = iter([900.0, 900.0, 900.0])
    swept = versioned.sweeper(lambda _: None).sweep(
        now=NOON + HOUR, scheduled=NOON + HOUR, seconds_left=lambda: next(left, 59.0)
    )
    assert (swept.complete, swept.versions, swept.waiting) == (False, 1, 0)
    # The age of the oldest upload is unknown, so the metric is missing, which raises the alarm.
    [blob] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert blob["WaitingUploads"] == [0.0]
    assert "OldestWaitingSeconds" not in blob


def test_an_upload_that_no_run_can_copy_blocks_no_other(versioned: World) -> None:
    """`promote` would reject it, so it must not be handed over instead of another."""
    versioned.upload(b"far too large", at=NOON)
    versioned.upload(b"files", at=NOON + MINUTE)
    events: list[dict[str, Any]] = []
    seconds = 5 / BEST_BYTES_PER_SECOND
    swept = versioned.sweeper(events.append).sweep(
        now=NOON + HOUR, scheduled=NOON + HOUR, seconds_left=lambda: seconds
    )
    [event] = events
    [record] = versioned.promoter.promote_all(event, now=NOON + HOUR, seconds_left=lambda: seconds)
    assert (swept.rejected, record.outcome) == (1, Outcome.PROMOTED)
    assert versioned.bodies() == {SLOT: b"files"}


def test_after_more_rejected_uploads_than_a_pass_looks_up_an_upload_counts_as_waiting(
    versioned: World,
) -> None:
    flood(versioned, b"sealed", at=NOON, times=MOST_LOOKS + 1, **SEALED)
    versioned.upload(b"files", at=NOON + MINUTE)
    swept, records = versioned.sweep(now=NOON + 2 * HOUR)
    assert (swept.waiting, swept.rejected, records) == (2, MOST_LOOKS, [])
    assert swept.oldest_waiting_seconds == 2 * 60 * 60


def test_an_upload_with_a_disabled_kms_key_is_rejected_and_blocks_no_other(
    versioned: World,
) -> None:
    versioned.upload(b"sealed", at=NOON, ServerSideEncryption="aws:kms", SSEKMSKeyId="k1")
    kms_keys.disable("k1")
    second = versioned.upload(b"files", at=NOON + MINUTE)
    versioned.upload(b"tables", key=HOURLY, at=NOON)
    assert versioned.promote(second, now=NOON + HOUR).outcome is Outcome.PROMOTED
    swept, [record] = versioned.sweep(now=NOON + HOUR)
    assert record.upload == HOURLY
    assert swept.contested == 1


def test_a_slot_that_cannot_be_looked_up_blocks_no_other_slot_of_its_key(
    versioned: World, wire: Wire
) -> None:
    for hour in range(3):
        versioned.upload(b"%d" % hour, key=HOURLY, at=NOON + hour * HOUR)
    # Three slots are looked up, then the first upload of the first slot.
    wire.fail("HeadObject", None, None, None, *[answers(500, "InternalError")] * 3)
    events: list[Any] = []
    with pytest.raises(ExceptionGroup):
        versioned.sweeper(events.append).sweep(now=NOON + 4 * HOUR, scheduled=NOON + 4 * HOUR)
    assert len(events) == 2


def test_an_upload_that_is_removed_meanwhile_does_not_count_as_rejected(
    versioned: World, wire: Wire
) -> None:
    notification = versioned.upload(b"files", at=NOON)

    def remove_upload(operation: str) -> None:
        if operation == "ListMultipartUploads":
            wire.before_each = None
            versioned.s3.delete_object(
                Bucket="backups1", Key=DAILY, VersionId=notification.version_id
            )

    wire.before_each = remove_upload
    swept, records = versioned.sweep(now=NOON + HOUR)
    assert (swept.waiting, swept.rejected, records) == (0, 0, [])


def test_an_upload_that_was_just_stored_is_left_to_the_run_that_removes_it(
    versioned: World,
) -> None:
    versioned.promote(versioned.upload(b"files", at=NOON))
    versioned.upload(b"files", at=NOON)
    assert versioned.sweep(now=NOON + 4 * MINUTE)[1] == []


def test_an_upload_from_before_versioning_is_swept_as_version_null(world: World) -> None:
    """`null` is a valid address, but does not identify an upload."""
    world.upload(b"first", at=NOON)
    world.keep_versions()
    world.upload(b"second", at=NOON + MINUTE)
    swept, [record] = world.sweep(now=NOON + HOUR)
    assert (swept.waiting, record.outcome, record.version_id) == (2, Outcome.PROMOTED, "null")
    assert world.bodies() == {SLOT: b"first"}
    assert "source-version-id" not in world.look(SLOT)["Metadata"]
    assert world.incoming() == [DAILY]
    assert world.promote(Notification(key=DAILY)).outcome is Outcome.CONTESTED
