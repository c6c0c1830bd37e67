"""A slot belongs to the first upload that is eligible for it, not to the fastest copy."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.buckets import MOST_LOOKS
from chalicelib.promotion.notification import Notification
from localcloud.clock import clock
from localcloud.s3.versions import Order, ordered_by
from tests.support.faults import answers
from tests.support.flood import flood
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, World

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
SLOT = f"{NOON:%Y-%m-%d}.tar.gz.gpg"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SEALED = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


@pytest.fixture(params=["begun", "completed"], ids=["ordered by start", "ordered by completion"])
def order(request: pytest.FixtureRequest, world: World) -> Any:
    with ordered_by(request.param):
        yield request.param


@pytest.fixture
def any_order(versioned: World, order: Order) -> World:
    return versioned


def begin(world: World, *, at: datetime) -> dict[str, Any]:
    clock.stand_at(at)
    address = {"Bucket": "backups1", "Key": DAILY}
    return address | {"UploadId": world.s3.create_multipart_upload(**address)["UploadId"]}


def complete(world: World, multipart: dict[str, Any], body: bytes, *, at: datetime) -> Notification:
    clock.stand_at(at)
    part = world.s3.upload_part(**multipart, PartNumber=1, Body=body)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    response = world.s3.complete_multipart_upload(**multipart, MultipartUpload={"Parts": parts})
    return Notification(key=DAILY, version_id=response["VersionId"])


def upload(world: World, body: bytes, *, at: datetime, **arguments: Any) -> Notification:
    clock.stand_at(at)
    return world.upload(body, **arguments)


def test_an_upload_while_a_backup_waits_comes_too_late(any_order: World) -> None:
    first = upload(any_order, b"first", at=NOON)
    second = upload(any_order, b"second", at=NOON + MINUTE)
    record = any_order.promote(second, now=NOON + 2 * MINUTE)
    assert record.outcome is Outcome.WAITING
    assert record.slot == SLOT
    assert any_order.bodies() == {}
    assert any_order.promote(first, now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert any_order.promote(second, now=NOON + HOUR).outcome is Outcome.CONTESTED
    assert any_order.bodies() == {SLOT: b"first"}


def test_an_upload_while_a_backup_is_copied_comes_too_late(any_order: World, wire: Wire) -> None:
    first = upload(any_order, b"first, copied", at=NOON)
    outcomes: list[Outcome] = []

    def second_upload(operation: str) -> None:
        if operation in {"CopyObject", "UploadPartCopy"}:
            wire.before_each = None
            outcomes.append(any_order.promote(any_order.upload(b"second"), now=NOON).outcome)

    wire.before_each = second_upload
    assert any_order.promote(first, now=NOON).outcome is Outcome.PROMOTED
    assert outcomes == [Outcome.WAITING]
    assert any_order.bodies() == {SLOT: b"first, copied"}


def test_a_younger_upload_does_not_block_an_older_one(any_order: World) -> None:
    first = upload(any_order, b"first", at=NOON)
    upload(any_order, b"second", at=NOON + MINUTE)
    assert any_order.promote(first, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_uploads_of_other_slots_and_keys_block_no_upload(any_order: World) -> None:
    upload(any_order, b"yesterday's", at=NOON - 24 * HOUR)
    upload(any_order, b"tables", at=NOON, key=HOURLY)
    upload(any_order, b"?", at=NOON, key=f"{DAILY}.old")
    notification = upload(any_order, b"files", at=NOON)
    assert any_order.promote(notification, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_an_upload_that_can_never_be_promoted_blocks_no_other(any_order: World, wire: Wire) -> None:
    upload(any_order, b"", at=NOON)
    upload(any_order, b"archived", at=NOON, StorageClass="GLACIER")
    upload(any_order, b"sealed", at=NOON, **SEALED)
    removed = upload(any_order, b"removed", at=NOON)
    any_order.s3.delete_object(Bucket="backups1", Key=DAILY, VersionId=removed.version_id)
    notification = upload(any_order, b"files", at=NOON)
    assert any_order.promote(notification, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_an_upload_in_parts_counts_from_its_start_or_completion_as_s3_lists_it(
    any_order: World, order: Order
) -> None:
    """In either case, both uploads agree on which of them is first."""
    multipart = begin(any_order, at=NOON)
    between = upload(any_order, b"between", at=NOON + 30 * MINUTE)
    in_parts = complete(any_order, multipart, b"in parts", at=NOON + HOUR)
    first, second = (in_parts, between) if order == "begun" else (between, in_parts)
    now = NOON + 2 * HOUR
    assert any_order.promote(second, now=now).outcome is Outcome.WAITING
    assert any_order.promote(first, now=now).outcome is Outcome.PROMOTED
    assert any_order.promote(second, now=now).outcome is Outcome.CONTESTED


def test_an_upload_in_parts_of_an_older_slot_hides_no_older_upload_of_this_slot(
    any_order: World,
) -> None:
    """It could have been initiated before the slot, and completed in it."""
    multipart = begin(any_order, at=NOON - 24 * HOUR)
    older = upload(any_order, b"older", at=NOON)
    complete(any_order, multipart, b"begun yesterday", at=NOON + HOUR)
    younger = upload(any_order, b"younger", at=NOON + 2 * HOUR)
    assert any_order.promote(younger, now=NOON + 3 * HOUR).outcome is Outcome.WAITING
    assert any_order.promote(older, now=NOON + 3 * HOUR).outcome is Outcome.PROMOTED


def test_the_list_ends_at_an_upload_in_one_request_before_the_slot(
    versioned: World, wire: Wire
) -> None:
    for day in range(5, 0, -1):
        upload(versioned, b"old", at=NOON - day * 24 * HOUR)
    notification = upload(versioned, b"files", at=NOON)
    pages = limit_pages(versioned, versions=2)
    wire.sent.clear()
    assert versioned.promote(notification, now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert wire.sent.count("ListObjectVersions") == 1
    assert pages


def limit_pages(world: World, *, versions: int) -> list[Any]:
    """Let S3 list at most this many versions on a page; return the list of requested pages."""
    requests: list[Any] = []

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = versions
        requests.append(params)

    world.s3.meta.events.register("provide-client-params.s3.ListObjectVersions", limit)
    return requests


def test_an_older_upload_is_found_after_pages_of_empty_uploads(any_order: World) -> None:
    upload(any_order, b"first", at=NOON)
    for _ in range(7):
        upload(any_order, b"", at=NOON + MINUTE)
    notification = upload(any_order, b"second", at=NOON + 2 * MINUTE)
    pages = limit_pages(any_order, versions=3)
    assert any_order.promote(notification, now=NOON + HOUR).outcome is Outcome.WAITING
    assert len(pages) == 3


def test_it_does_not_matter_whether_the_list_begins_with_the_upload_itself(
    any_order: World, wire: Wire
) -> None:
    """AWS's pages disagree on whether the list includes the marker's version."""
    notification = upload(any_order, b"files", at=NOON)

    def include_marker(parsed: dict[str, Any], **_: Any) -> None:
        head = any_order.s3.head_object(Bucket="backups1", Key=DAILY)
        marker = {
            "Key": DAILY,
            "VersionId": notification.version_id,
            "Size": 5,
            "ETag": head["ETag"],
        }
        parsed.setdefault("Versions", []).insert(0, marker | {"LastModified": NOON})

    any_order.s3.meta.events.register("after-call.s3.ListObjectVersions", include_marker)
    assert any_order.promote(notification, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_a_flood_of_uploads_that_only_head_shows_as_rejected_is_not_looked_up_for_ever(
    versioned: World, wire: Wire
) -> None:
    """Then the upload waits, because it is not known to be the first."""
    flood(versioned, b"sealed", at=NOON, times=MOST_LOOKS + 5, **SEALED)
    notification = upload(versioned, b"files", at=NOON + MINUTE)
    wire.sent.clear()
    assert versioned.promote(notification, now=NOON + HOUR).outcome is Outcome.WAITING
    # Each lookup of such an upload ends with this request.
    assert wire.sent.count("GetObject") == MOST_LOOKS


# Uploads without a version, or from before versions were kept


def suspend(world: World) -> None:
    world.s3.put_bucket_versioning(
        Bucket="backups1", VersioningConfiguration={"Status": "Suspended"}
    )


def test_an_upload_from_before_versions_were_kept_is_first(either_path: World) -> None:
    either_path.upload(b"first", at=NOON)
    either_path.keep_versions()
    second = either_path.upload(b"second", at=NOON + MINUTE)
    now = NOON + HOUR
    assert either_path.promote(second, now=now).outcome is Outcome.WAITING
    first = either_path.promote(Notification(key=DAILY, version_id="null"), now=now)
    assert (first.outcome, first.version_id) == (Outcome.PROMOTED, "null")
    assert either_path.bodies() == {SLOT: b"first"}
    assert either_path.incoming() == [DAILY]


def test_without_a_version_in_the_event_the_current_version_is_promoted(
    versioned: World, wire: Wire
) -> None:
    notification = versioned.upload(b"files", at=NOON)
    wire.calls.clear()
    record = versioned.promote(Notification(key=DAILY), now=NOON + HOUR)
    assert (record.outcome, record.version_id) == (Outcome.PROMOTED, notification.version_id)
    sources = [sent["CopySource"] for _, sent in wire.calls if "CopySource" in sent]
    assert {source["VersionId"] for source in sources} == {notification.version_id}
    assert dict(wire.calls)["DeleteObject"]["VersionId"] == notification.version_id


def test_while_versioning_is_suspended_null_is_looked_up_again_before_it_is_removed(
    either_path: World, wire: Wire
) -> None:
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"first", at=NOON)

    def second_upload(operation: str) -> None:
        if operation == "HeadObject" and "DeleteObject" not in wire.sent and copied(wire):
            wire.before_each = None
            either_path.upload(b"other", at=NOON + MINUTE)

    wire.before_each = second_upload
    record = either_path.promote(Notification(key=DAILY), now=NOON + HOUR)
    assert (record.outcome, record.version_id) == (Outcome.PROMOTED, "null")
    assert either_path.bodies() == {SLOT: b"first"}
    assert either_path.incoming() == [DAILY]
    assert "DeleteObject" not in wire.sent


def copied(wire: Wire) -> bool:
    return bool({"CopyObject", "CompleteMultipartUpload"} & set(wire.sent))


def test_while_versioning_is_suspended_an_upload_is_removed_as_version_null(
    either_path: World, wire: Wire
) -> None:
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"files", at=NOON)
    assert either_path.promote(Notification(key=DAILY), now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert dict(wire.calls)["DeleteObject"]["VersionId"] == "null"
    assert either_path.incoming() == []
    markers = either_path.s3.list_object_versions(Bucket="backups1").get("DeleteMarkers", [])
    assert markers == []


def test_version_null_can_be_another_upload_later(either_path: World) -> None:
    """Another object was version `null` when the upload was promoted."""
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"first", at=NOON)
    either_path.promote(Notification(key=DAILY, version_id="null"), now=NOON + HOUR)
    either_path.upload(b"other", at=NOON)
    record = either_path.promote(Notification(key=DAILY, version_id="null"), now=NOON + HOUR)
    assert record.outcome is Outcome.CONTESTED
    assert either_path.incoming() == [DAILY]


def test_after_a_fault_the_run_continues_with_the_same_version(
    versioned: World, wire: Wire
) -> None:
    """The event names no version, and another upload arrives meanwhile."""
    first = versioned.upload(b"first, copied", at=NOON)

    def second_upload(operation: str) -> None:
        if operation in {"CopyObject", "UploadPartCopy"}:
            wire.before_each = None
            versioned.upload(b"second", at=NOON + MINUTE)

    wire.before_each = second_upload
    conflict = answers(409, "ConditionalRequestConflict")
    wire.fail("CopyObject", conflict)
    wire.fail("CompleteMultipartUpload", conflict)
    record = versioned.promote(Notification(key=DAILY), now=NOON + HOUR)
    assert (record.outcome, record.version_id) == (Outcome.PROMOTED, first.version_id)
    assert versioned.bodies() == {SLOT: b"first, copied"}


def test_a_delete_marker_as_version_null_means_that_the_upload_is_gone(either_path: World) -> None:
    """While versioning is suspended, a delete replaces `null` with a delete marker."""
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"files", at=NOON)
    either_path.s3.delete_object(Bucket="backups1", Key=DAILY)
    record = either_path.promote(Notification(key=DAILY, version_id="null"), now=NOON + HOUR)
    assert record.outcome is Outcome.GONE


def test_uploads_in_parts_from_long_ago_end_the_list_too(versioned: World, wire: Wire) -> None:
    """These were completed, or aborted by incoming's lifecycle rule, before the slot began."""
    clock.stand_at(NOON - 12 * 24 * HOUR)
    for _ in range(4):
        complete(versioned, begin(versioned, at=clock.now()), b"flood", at=clock.now())
    notification = upload(versioned, b"files", at=NOON)
    pages = limit_pages(versioned, versions=2)
    assert versioned.promote(notification, now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert len(pages) == 1
