"""No error of S3 counts as absence or as success, and none loses a backup."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.policy.decision import Outcome, Stored, Upload
from chalicelib.promotion import multipart
from chalicelib.promotion.buckets import CONFLICT, Situation
from chalicelib.promotion.promotion import ATTEMPTS, is_worth_another_look
from tests.support.faults import (
    Fault,
    Killed,
    answers,
    does_it_and_answers,
    does_it_and_is_silent,
    never_answers,
)
from tests.support.wire import Wire
from tests.support.world import DAILY, PARTS, World

# botocore sends a request three times, and a multipart copy sends each of its requests ten times.
LASTING = 30
COPIES = {"copied in one request": "CopyObject", "copied in parts": "CompleteMultipartUpload"}


@pytest.fixture(params=list(COPIES))
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def either_path(path: str, world: World) -> World:
    return world if path == "copied in one request" else world.with_tuning(PARTS)


@pytest.mark.parametrize("status", [403, 500, 503])
@pytest.mark.parametrize("number", [1, 2], ids=["the upload", "the slot"])
def test_an_error_of_a_lookup_is_never_absence(
    either_path: World, wire: Wire, number: int, status: int
) -> None:
    """The original app treated every error as "does not exist", and overwrote the old backup."""
    first = either_path.upload(b"good")
    either_path.promote(first)
    vault = either_path.vault()
    notification = either_path.upload(b"rubbish")
    wire.sent.clear()
    earlier: list[Fault | None] = [None] * (number - 1)
    wire.fail("HeadObject", *earlier, *[answers(status, str(status))] * 3)
    with pytest.raises(ClientError):
        either_path.promote(notification)
    assert either_path.vault() == vault
    assert either_path.incoming() == [DAILY]
    assert not {"CopyObject", "CreateMultipartUpload"} & set(wire.sent)


def test_a_head_that_is_denied_or_invalid_raises(world: World, wire: Wire) -> None:
    notification = world.upload(b"files")
    # botocore retries a HEAD after a 400, which can mean that the bucket is in another region.
    for status, requests in ((400, 2), (403, 1)):
        wire.fail("HeadObject", *[answers(status, str(status))] * requests)
        with pytest.raises(ClientError):
            world.promote(notification)
    assert world.bodies() == {}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(does_it_and_is_silent, id="no response"),
        pytest.param(does_it_and_answers(500), id="500"),
        pytest.param(does_it_and_answers(503, "SlowDown"), id="503"),
        pytest.param(does_it_and_answers(200), id="an error inside a 200"),
    ],
)
def test_a_copy_whose_response_is_lost_is_found_by_the_retry(
    either_path: World, path: str, wire: Wire, fault: Fault
) -> None:
    """botocore sends the request again, and gets 412 because of our own copy."""
    notification = either_path.upload(b"files")
    wire.fail(COPIES[path], fault)
    assert either_path.promote(notification).outcome is Outcome.PROMOTED
    assert list(either_path.bodies().values()) == [b"files"]
    assert either_path.incoming() == []
    assert either_path.unfinished() == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(never_answers, id="no response"),
        pytest.param(answers(500, "InternalError"), id="500"),
        pytest.param(answers(503, "SlowDown"), id="503"),
        pytest.param(answers(200, "InternalError"), id="an error inside a 200"),
        pytest.param(answers(409, "ConditionalRequestConflict"), id="409"),
    ],
)
def test_a_transient_error_is_retried(
    either_path: World, path: str, wire: Wire, fault: Fault
) -> None:
    notification = either_path.upload(b"files")
    wire.fail(COPIES[path], fault)
    assert either_path.promote(notification).outcome is Outcome.PROMOTED
    assert list(either_path.bodies().values()) == [b"files"]
    assert either_path.unfinished() == []


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([never_answers] * LASTING, id="no response"),
        pytest.param([answers(500, "InternalError")] * LASTING, id="500"),
        pytest.param([answers(403, "AccessDenied")], id="403"),
        pytest.param([answers(409, "OperationAborted")], id="another 409"),
        pytest.param([answers(404, "NoSuchUpload")], id="404 NoSuchUpload"),
        pytest.param([answers(409, "ConditionalRequestConflict")] * 5, id="409"),
        pytest.param([answers(412, "PreconditionFailed")], id="412 although the slot is free"),
    ],
)
def test_a_lasting_error_is_raised_and_the_next_run_completes(
    either_path: World, path: str, wire: Wire, faults: list[Fault]
) -> None:
    notification = either_path.upload(b"files")
    wire.fail(COPIES[path], *faults)
    with pytest.raises((ClientError, BotoCoreError)):
        either_path.promote(notification)
    assert either_path.bodies() == {}
    assert either_path.incoming() == [DAILY]
    assert either_path.unfinished() == []

    wire.mend()
    assert either_path.promote(notification).outcome is Outcome.PROMOTED
    assert list(either_path.bodies().values()) == [b"files"]


def test_a_failed_part_ends_the_copy_and_leaves_no_parts(world: World, wire: Wire) -> None:
    world = world.with_tuning(PARTS)
    notification = world.upload(b"several parts of four")
    wire.fail("UploadPartCopy", None, answers(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        world.promote(notification)
    assert world.bodies() == {}
    assert world.unfinished() == []


def test_a_failed_abort_does_not_hide_the_error_of_the_copy(world: World, wire: Wire) -> None:
    world = world.with_tuning(PARTS)
    notification = world.upload(b"files")
    wire.fail("CompleteMultipartUpload", answers(403, "AccessDenied"))
    wire.fail("AbortMultipartUpload", answers(400, "BadRequest"))
    with pytest.raises(ClientError, match="CompleteMultipartUpload") as failure:
        world.promote(notification)
    assert "could not be removed" in failure.value.__notes__[0]


def test_running_parts_end_before_a_failed_copy_is_aborted(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that reaches S3 after the abort would stay."""
    world = world.with_tuning(PARTS)
    notification = world.upload(b"two parts at once")
    is_running, can_end = threading.Event(), threading.Event()
    events: list[str] = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *args: Any, **kwargs: Any) -> None:
            can_end.set()
            super().shutdown(*args, **kwargs)

    def slow_part(_: Any, do_it: Any) -> Any:
        is_running.set()
        can_end.wait()
        events.append("the part ended")
        return do_it()

    def failed_part(request: Any, do_it: Any) -> Any:
        is_running.wait()
        return answers(403, "AccessDenied")(request, do_it)

    def abort(_: Any, do_it: Any) -> Any:
        events.append("aborted")
        can_end.set()
        return do_it()

    monkeypatch.setattr(multipart, "ThreadPoolExecutor", Pool)
    by_number = {"partNumber=1": failed_part, "partNumber=2": slow_part}

    def part_fault(request: Any, do_it: Any) -> Any:
        [fault] = [fault for number, fault in by_number.items() if number in request.url]
        return fault(request, do_it)

    wire.fail("UploadPartCopy", part_fault, part_fault)
    wire.fail("AbortMultipartUpload", abort)
    with pytest.raises(ClientError, match="AccessDenied"):
        world.promote(notification)
    assert events == ["the part ended", "aborted"]
    assert world.unfinished() == []


def test_a_copy_that_another_run_aborted_is_made_by_the_next_run(world: World, wire: Wire) -> None:
    world = world.with_tuning(PARTS)
    notification = world.upload(b"files")

    def abort_all(operation: str) -> None:
        if operation == "CompleteMultipartUpload":
            wire.before_each = None
            [multipart] = world.s3.list_multipart_uploads(Bucket="backups2")["Uploads"]
            world.s3.abort_multipart_upload(
                Bucket="backups2", Key=multipart["Key"], UploadId=multipart["UploadId"]
            )

    wire.before_each = abort_all
    with pytest.raises(ClientError, match="NoSuchUpload"):
        world.promote(notification)
    assert world.promote(notification).outcome is Outcome.PROMOTED


@pytest.mark.parametrize("outcome", ["promoted", "contested"])
def test_stale_copies_that_cannot_be_listed_fail_no_promotion(
    world: World, wire: Wire, outcome: str
) -> None:
    world = world.with_tuning(PARTS)
    if outcome == "contested":
        world.promote(world.upload(b"first"))
    notification = world.upload(b"files")
    wire.fail("ListMultipartUploads", answers(403, "AccessDenied"))
    assert world.promote(notification).outcome == outcome


def test_a_slot_that_is_filled_before_the_last_attempt_is_contested(
    world: World, wire: Wire
) -> None:
    notification = world.upload(b"files")
    slot = world.promoter.policy.slot_of(DAILY, datetime.now(UTC)).name

    def competing_upload(request: Any, _: Any) -> Any:
        world.s3.put_object(Bucket="backups2", Key=slot, Body=b"theirs")
        return answers(409, "ConditionalRequestConflict")(request, _)

    wire.fail("CopyObject", *[answers(409, "ConditionalRequestConflict")] * 4, competing_upload)
    assert world.promote(notification).outcome is Outcome.CONTESTED


def test_a_400_for_another_reason_than_the_sender_s_key_raises(world: World, wire: Wire) -> None:
    notification = world.upload(b"files")
    wire.fail("HeadObject", *[answers(400, "400")] * 2)
    wire.fail("GetObject", *[answers(400, "ExpiredToken")] * 2)
    with pytest.raises(ClientError, match="HeadObject"):
        world.promote(notification)


def test_a_stale_copy_that_another_run_aborts_first_fails_no_promotion(
    world: World, wire: Wire
) -> None:
    world = world.with_tuning(PARTS)
    notification = world.upload(b"files")
    slot = world.promoter.policy.slot_of(DAILY, datetime.now(UTC)).name
    for _ in range(2):
        world.s3.create_multipart_upload(Bucket="backups2", Key=slot)
    wire.fail("AbortMultipartUpload", does_it_and_answers(404, "NoSuchUpload"))
    assert world.promote(notification).outcome is Outcome.PROMOTED
    assert world.unfinished() == []


def test_a_conflict_of_the_removal_is_retried(either_path: World, wire: Wire) -> None:
    notification = either_path.upload(b"files")
    wire.fail("DeleteObject", answers(409, "ConditionalRequestConflict"))
    assert either_path.promote(notification).outcome is Outcome.PROMOTED
    assert either_path.incoming() == []


def test_a_failed_removal_is_completed_by_the_next_run(either_path: World, wire: Wire) -> None:
    notification = either_path.upload(b"files")
    wire.fail("DeleteObject", *[answers(403, "AccessDenied")] * 2)
    with pytest.raises(ClientError, match="AccessDenied"):
        either_path.promote(notification)
    vault = either_path.vault()
    assert either_path.promote(notification).outcome is Outcome.ALREADY_PROMOTED
    assert either_path.vault() == vault
    assert either_path.incoming() == []


def test_another_owner_s_bucket_is_neither_read_nor_written(either_path: World, wire: Wire) -> None:
    notification = either_path.upload(b"files")
    for name in ("incoming", "vault"):
        bucket = replace(getattr(either_path.promoter, name), owner="999999999999")
        promoter: Any = replace(either_path.promoter, **{name: bucket})
        with pytest.raises(ClientError):
            replace(either_path, promoter=promoter).promote(notification)
    assert either_path.bodies() == {}


@pytest.mark.parametrize("keeps_versions", [False, True], ids=["unversioned", "versioned"])
def test_killed_between_any_two_requests_the_next_run_ends_in_the_same_state(
    either_path: World, wire: Wire, keeps_versions: bool
) -> None:
    if keeps_versions:
        either_path.keep_versions()

    def end_state() -> tuple[Any, ...]:
        [stored] = either_path.vault().values()
        versions = either_path.s3.list_object_versions(Bucket="backups2")["Versions"]
        compared = {"Body", "ContentLength", "StorageClass", "ChecksumCRC32"}
        return (
            {key: value for key, value in stored.items() if key in compared},
            set(stored["Metadata"]),
            len(versions),
            either_path.incoming(),
            either_path.unfinished(),
        )

    def empty_vault() -> None:
        for version in either_path.s3.list_object_versions(Bucket="backups2").get("Versions", []):
            either_path.s3.delete_object(
                Bucket="backups2", Key=version["Key"], VersionId=version["VersionId"]
            )

    either_path.promote(either_path.upload(b"several parts"))
    expected = end_state()
    requests = len([name for name in wire.sent if name in EVERY_REQUEST])
    empty_vault()

    cut_points = 0
    for cut in range(1, requests + 1):
        notification = either_path.upload(b"several parts")
        wire.sent.clear()
        wire.killed_at = cut
        try:
            either_path.promote(notification)
        except Killed:
            cut_points += 1
        wire.killed_at = None
        either_path.promote(notification)
        assert end_state() == expected, f"killed after request {cut}: {wire.sent[:cut]}"
        empty_vault()
    assert cut_points >= 4


EVERY_REQUEST = {
    "HeadObject",
    "CopyObject",
    "CreateMultipartUpload",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "ListMultipartUploads",
    "AbortMultipartUpload",
    "DeleteObject",
}


UPLOAD = Upload(key=DAILY, etag="abc", size=5, last_modified=datetime(2026, 11, 23, tzinfo=UTC))
FREE = Situation(upload=UPLOAD)
FILLED = replace(FREE, stored=Stored(size=5, last_modified=UPLOAD.last_modified, etag="abc"))
REPLACED = replace(FREE, upload=replace(UPLOAD, etag="def"))
WAITING = replace(FREE, older=UPLOAD.last_modified)


@pytest.mark.parametrize(
    ("after", "code", "attempt", "is_worth_it"),
    [
        pytest.param(FREE, "AccessDenied", 1, False, id="nothing has changed"),
        pytest.param(FREE, "PreconditionFailed", 1, False, id="the error alone proves nothing"),
        pytest.param(FREE, CONFLICT, 1, True, id="S3 asks for a retry"),
        pytest.param(FREE, CONFLICT, ATTEMPTS, False, id="S3 asks for too many retries"),
        pytest.param(FILLED, "AccessDenied", 1, True, id="the slot is filled"),
        pytest.param(
            FILLED, "AccessDenied", ATTEMPTS, True, id="the slot is filled in the last attempt"
        ),
        pytest.param(Situation(), "AccessDenied", 1, True, id="the upload is gone"),
        pytest.param(REPLACED, "AccessDenied", 1, True, id="the upload is replaced"),
        pytest.param(
            REPLACED, "AccessDenied", ATTEMPTS, False, id="the upload is replaced too often"
        ),
        pytest.param(WAITING, "AccessDenied", 1, True, id="an older upload waits"),
    ],
)
def test_after_an_error_the_situation_says_whether_to_decide_again(
    after: Situation, code: str, attempt: int, is_worth_it: bool
) -> None:
    """The slot was free before."""
    error = ClientError({"Error": {"Code": code}}, "CopyObject")
    assert is_worth_another_look(FREE, after, error, attempt=attempt) is is_worth_it
