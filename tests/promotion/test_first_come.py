"""The slot belongs to the first upload that is eligible for it, not to the fastest copy."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.buckets import MOST_LOOKS
from chalicelib.promotion.notification import Notification
from localcloud.clock import clock
from localcloud.s3.versions import Order, ordered_by
from tests.support.faults import answers
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, World

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
SLOT = f"{NOON:%Y-%m-%d}.tar.gz.gpg"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SEALED = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


@pytest.fixture(params=["begun", "completed"], ids=["by begin", "by completion"])
def order(request: pytest.FixtureRequest, world: World) -> Any:
    with ordered_by(request.param):
        yield request.param


@pytest.fixture
def here(versioned: World, order: Order) -> World:
    return versioned


def begin(here: World, *, at: datetime) -> dict[str, Any]:
    clock.stand_at(at)
    place = {"Bucket": "backups1", "Key": DAILY}
    return place | {"UploadId": here.s3.create_multipart_upload(**place)["UploadId"]}


def complete(here: World, begun: dict[str, Any], body: bytes, *, at: datetime) -> Notification:
    clock.stand_at(at)
    part = here.s3.upload_part(**begun, PartNumber=1, Body=body)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    done = here.s3.complete_multipart_upload(**begun, MultipartUpload={"Parts": parts})
    return Notification(key=DAILY, version_id=done["VersionId"])


def at_once(here: World, body: bytes, *, at: datetime, **more: Any) -> Notification:
    clock.stand_at(at)
    return here.upload(body, **more)


def test_whoever_uploads_while_a_backup_waits_comes_too_late(here: World) -> None:
    first = at_once(here, b"first", at=NOON)
    second = at_once(here, b"second", at=NOON + MINUTE)
    record = here.promote(second, now=NOON + 2 * MINUTE)
    assert record.outcome is Outcome.WAITING
    assert record.slot == SLOT
    assert here.bodies() == {}
    assert here.promote(first, now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert here.promote(second, now=NOON + HOUR).outcome is Outcome.CONTESTED
    assert here.bodies() == {SLOT: b"first"}


def test_whoever_uploads_while_a_backup_is_copied_comes_too_late(here: World, wire: Wire) -> None:
    first = at_once(here, b"first, copied", at=NOON)
    told: list[Outcome] = []

    def arrives(operation: str) -> None:
        if operation in {"CopyObject", "UploadPartCopy"}:
            wire.before_each = None
            told.append(here.promote(here.upload(b"second"), now=NOON).outcome)

    wire.before_each = arrives
    assert here.promote(first, now=NOON).outcome is Outcome.PROMOTED
    assert told == [Outcome.WAITING]
    assert here.bodies() == {SLOT: b"first, copied"}


def test_a_younger_upload_holds_nobody_back(here: World) -> None:
    first = at_once(here, b"first", at=NOON)
    at_once(here, b"second", at=NOON + MINUTE)
    assert here.promote(first, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_uploads_of_other_slots_and_keys_hold_nobody_back(here: World) -> None:
    at_once(here, b"yesterday's", at=NOON - 24 * HOUR)
    at_once(here, b"tables", at=NOON, key=HOURLY)
    at_once(here, b"?", at=NOON, key=f"{DAILY}.old")
    notice = at_once(here, b"files", at=NOON)
    assert here.promote(notice, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_what_can_never_be_promoted_holds_nobody_back(here: World, wire: Wire) -> None:
    at_once(here, b"", at=NOON)
    at_once(here, b"archived", at=NOON, StorageClass="GLACIER")
    at_once(here, b"sealed", at=NOON, **SEALED)
    gone = at_once(here, b"removed", at=NOON)
    here.s3.delete_object(Bucket="backups1", Key=DAILY, VersionId=gone.version_id)
    notice = at_once(here, b"files", at=NOON)
    assert here.promote(notice, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_an_upload_in_parts_is_older_than_what_came_while_it_was_sent_if_s3_lists_it_so(
    here: World, order: Order
) -> None:
    """Either way both agree on who is first."""
    begun = begin(here, at=NOON)
    between = at_once(here, b"between", at=NOON + 30 * MINUTE)
    in_parts = complete(here, begun, b"in parts", at=NOON + HOUR)
    first, second = (in_parts, between) if order == "begun" else (between, in_parts)
    now = NOON + 2 * HOUR
    assert here.promote(second, now=now).outcome is Outcome.WAITING
    assert here.promote(first, now=now).outcome is Outcome.PROMOTED
    assert here.promote(second, now=now).outcome is Outcome.CONTESTED


def test_an_upload_in_parts_of_an_older_slot_hides_no_older_upload_of_this_one(
    here: World,
) -> None:
    """It may have been begun before the slot and completed in it."""
    begun = begin(here, at=NOON - 24 * HOUR)
    older = at_once(here, b"older", at=NOON)
    complete(here, begun, b"begun yesterday", at=NOON + HOUR)
    younger = at_once(here, b"younger", at=NOON + 2 * HOUR)
    assert here.promote(younger, now=NOON + 3 * HOUR).outcome is Outcome.WAITING
    assert here.promote(older, now=NOON + 3 * HOUR).outcome is Outcome.PROMOTED


def test_the_list_ends_at_what_came_at_once_before_the_slot(versioned: World, wire: Wire) -> None:
    for day in range(5, 0, -1):
        at_once(versioned, b"old", at=NOON - day * 24 * HOUR)
    notice = at_once(versioned, b"files", at=NOON)
    pages = listing(versioned, by=2)
    wire.sent.clear()
    assert versioned.promote(notice, now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert wire.sent.count("ListObjectVersions") == 1
    assert pages


def listing(here: World, *, by: int) -> list[Any]:
    """Let S3 list so many versions on a page; the pages that were asked for."""
    asked: list[Any] = []

    def fewer(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = by
        asked.append(params)

    here.s3.meta.events.register("provide-client-params.s3.ListObjectVersions", fewer)
    return asked


def test_an_older_upload_is_found_behind_pages_of_rubbish(here: World) -> None:
    at_once(here, b"first", at=NOON)
    for _ in range(7):
        at_once(here, b"", at=NOON + MINUTE)
    notice = at_once(here, b"second", at=NOON + 2 * MINUTE)
    pages = listing(here, by=3)
    assert here.promote(notice, now=NOON + HOUR).outcome is Outcome.WAITING
    assert len(pages) == 3


def test_it_does_not_matter_whether_the_list_begins_with_the_upload_itself(
    here: World, wire: Wire
) -> None:
    """AWS's pages disagree on whether the version that is the marker comes back."""
    notice = at_once(here, b"files", at=NOON)

    def comes_back(parsed: dict[str, Any], **_: Any) -> None:
        marker = here.s3.head_object(Bucket="backups1", Key=DAILY)
        own = {"Key": DAILY, "VersionId": notice.version_id, "Size": 5, "ETag": marker["ETag"]}
        parsed.setdefault("Versions", []).insert(0, own | {"LastModified": NOON})

    here.s3.meta.events.register("after-call.s3.ListObjectVersions", comes_back)
    assert here.promote(notice, now=NOON + HOUR).outcome is Outcome.PROMOTED


def test_a_flood_of_what_only_a_look_refuses_is_not_looked_at_for_ever(
    versioned: World, wire: Wire
) -> None:
    """Then the upload waits: nobody knows that it is the first."""
    for _ in range(MOST_LOOKS + 5):
        at_once(versioned, b"sealed", at=NOON, **SEALED)
    notice = at_once(versioned, b"files", at=NOON + MINUTE)
    wire.sent.clear()
    assert versioned.promote(notice, now=NOON + HOUR).outcome is Outcome.WAITING
    # Each look at such an upload ends with this request.
    assert wire.sent.count("GetObject") == MOST_LOOKS


# Versions that are not kept, or not yet


def suspend(here: World) -> None:
    here.s3.put_bucket_versioning(
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


def test_without_a_version_in_the_event_the_one_that_is_looked_at_is_promoted(
    versioned: World, wire: Wire
) -> None:
    notice = versioned.upload(b"files", at=NOON)
    wire.calls.clear()
    record = versioned.promote(Notification(key=DAILY), now=NOON + HOUR)
    assert (record.outcome, record.version_id) == (Outcome.PROMOTED, notice.version_id)
    sources = [sent["CopySource"] for _, sent in wire.calls if "CopySource" in sent]
    assert {source["VersionId"] for source in sources} == {notice.version_id}
    assert dict(wire.calls)["DeleteObject"]["VersionId"] == notice.version_id


def test_while_versioning_is_suspended_null_is_looked_up_again_before_it_is_removed(
    either_path: World, wire: Wire
) -> None:
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"first", at=NOON)

    def arrives(operation: str) -> None:
        if operation == "HeadObject" and "DeleteObject" not in wire.sent and copied(wire):
            wire.before_each = None
            either_path.upload(b"other", at=NOON + MINUTE)

    wire.before_each = arrives
    record = either_path.promote(Notification(key=DAILY), now=NOON + HOUR)
    assert (record.outcome, record.version_id) == (Outcome.PROMOTED, "null")
    assert either_path.bodies() == {SLOT: b"first"}
    assert either_path.incoming() == [DAILY]
    assert "DeleteObject" not in wire.sent


def copied(wire: Wire) -> bool:
    return bool({"CopyObject", "CompleteMultipartUpload"} & set(wire.sent))


def test_while_versioning_is_suspended_an_upload_is_removed_by_its_address(
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


def test_null_names_no_upload_for_ever(either_path: World) -> None:
    """Another object had that name when it was promoted."""
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"first", at=NOON)
    either_path.promote(Notification(key=DAILY, version_id="null"), now=NOON + HOUR)
    either_path.upload(b"other", at=NOON)
    record = either_path.promote(Notification(key=DAILY, version_id="null"), now=NOON + HOUR)
    assert record.outcome is Outcome.CONTESTED
    assert either_path.incoming() == [DAILY]


def test_after_a_fault_the_run_goes_on_with_the_version_that_it_began_with(
    versioned: World, wire: Wire
) -> None:
    """The event named none, and meanwhile somebody else uploads."""
    first = versioned.upload(b"first, copied", at=NOON)

    def arrives(operation: str) -> None:
        if operation in {"CopyObject", "UploadPartCopy"}:
            wire.before_each = None
            versioned.upload(b"second", at=NOON + MINUTE)

    wire.before_each = arrives
    conflict = answers(409, "ConditionalRequestConflict")
    wire.fail("CopyObject", conflict)
    wire.fail("CompleteMultipartUpload", conflict)
    record = versioned.promote(Notification(key=DAILY), now=NOON + HOUR)
    assert (record.outcome, record.version_id) == (Outcome.PROMOTED, first.version_id)
    assert versioned.bodies() == {SLOT: b"first, copied"}


def test_a_null_that_is_a_delete_marker_is_an_upload_that_is_gone(either_path: World) -> None:
    """While versioning is suspended, a delete puts one in the place of `null`."""
    either_path.keep_versions()
    suspend(either_path)
    either_path.upload(b"files", at=NOON)
    either_path.s3.delete_object(Bucket="backups1", Key=DAILY)
    record = either_path.promote(Notification(key=DAILY, version_id="null"), now=NOON + HOUR)
    assert record.outcome is Outcome.GONE


def test_uploads_in_parts_of_long_ago_end_the_list_too(versioned: World, wire: Wire) -> None:
    """Whatever was begun so long ago was complete, or aborted by incoming, before the slot."""
    clock.stand_at(NOON - 12 * 24 * HOUR)
    for _ in range(4):
        complete(versioned, begin(versioned, at=clock.now()), b"flood", at=clock.now())
    notice = at_once(versioned, b"files", at=NOON)
    pages = listing(versioned, by=2)
    assert versioned.promote(notice, now=NOON + HOUR).outcome is Outcome.PROMOTED
    assert len(pages) == 1
