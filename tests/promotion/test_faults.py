"""Whatever S3 answers is never taken for absence or for success, and ends no backup."""

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

# botocore sends a request three times, and a copy in parts each of its requests ten times.
LASTING = 30
COPIES = {"copied at once": "CopyObject", "copied in parts": "CompleteMultipartUpload"}


@pytest.fixture(params=list(COPIES))
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def here(path: str, world: World) -> World:
    return world if path == "copied at once" else world.with_limits(PARTS)


@pytest.mark.parametrize("status", [403, 500, 503])
@pytest.mark.parametrize("number", [1, 2], ids=["the upload", "the slot"])
def test_an_error_of_a_look_is_never_absence(
    here: World, wire: Wire, number: int, status: int
) -> None:
    """The original took every error for "does not exist", and copied over the old backup."""
    first = here.upload(b"good")
    here.promote(first)
    vault = here.vault()
    notice = here.upload(b"rubbish")
    wire.sent.clear()
    passes: list[Fault | None] = [None] * (number - 1)
    wire.fail("HeadObject", *passes, *[answers(status, str(status))] * 3)
    with pytest.raises(ClientError):
        here.promote(notice)
    assert here.vault() == vault
    assert here.incoming() == [DAILY]
    assert not {"CopyObject", "CreateMultipartUpload"} & set(wire.sent)


def test_a_head_that_is_forbidden_or_bad_for_another_reason_raises(
    world: World, wire: Wire
) -> None:
    notice = world.upload(b"files")
    # botocore asks twice after a 400: the first may mean another region.
    for status, times in ((400, 2), (403, 1)):
        wire.fail("HeadObject", *[answers(status, str(status))] * times)
        with pytest.raises(ClientError):
            world.promote(notice)
    assert world.bodies() == {}


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(does_it_and_is_silent, id="no reply"),
        pytest.param(does_it_and_answers(500), id="500"),
        pytest.param(does_it_and_answers(503, "SlowDown"), id="503"),
        pytest.param(does_it_and_answers(200), id="an error inside a 200"),
    ],
)
def test_a_copy_whose_reply_is_lost_is_found_by_the_retry(
    here: World, path: str, wire: Wire, lost: Fault
) -> None:
    """botocore sends it again and gets 412, for our own copy."""
    notice = here.upload(b"files")
    wire.fail(COPIES[path], lost)
    assert here.promote(notice).outcome is Outcome.PROMOTED
    assert list(here.bodies().values()) == [b"files"]
    assert here.incoming() == []
    assert here.unfinished() == []


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(never_answers, id="no reply"),
        pytest.param(answers(500, "InternalError"), id="500"),
        pytest.param(answers(503, "SlowDown"), id="503"),
        pytest.param(answers(200, "InternalError"), id="an error inside a 200"),
        pytest.param(answers(409, "ConditionalRequestConflict"), id="409"),
    ],
)
def test_what_passes_is_tried_again(here: World, path: str, wire: Wire, passing: Fault) -> None:
    notice = here.upload(b"files")
    wire.fail(COPIES[path], passing)
    assert here.promote(notice).outcome is Outcome.PROMOTED
    assert list(here.bodies().values()) == [b"files"]
    assert here.unfinished() == []


@pytest.mark.parametrize(
    "lasting",
    [
        pytest.param([never_answers] * LASTING, id="no reply"),
        pytest.param([answers(500, "InternalError")] * LASTING, id="500"),
        pytest.param([answers(403, "AccessDenied")], id="403"),
        pytest.param([answers(409, "OperationAborted")], id="another 409"),
        pytest.param([answers(404, "NoSuchUpload")], id="404 NoSuchUpload"),
        pytest.param([answers(409, "ConditionalRequestConflict")] * 5, id="409"),
        pytest.param([answers(412, "PreconditionFailed")], id="412 of nothing that we see"),
    ],
)
def test_what_lasts_is_raised_as_it_was_and_a_later_run_completes_it(
    here: World, path: str, wire: Wire, lasting: list[Fault]
) -> None:
    notice = here.upload(b"files")
    wire.fail(COPIES[path], *lasting)
    with pytest.raises((ClientError, BotoCoreError)):
        here.promote(notice)
    assert here.bodies() == {}
    assert here.incoming() == [DAILY]
    assert here.unfinished() == []

    wire.mend()
    assert here.promote(notice).outcome is Outcome.PROMOTED
    assert list(here.bodies().values()) == [b"files"]


def test_a_part_that_fails_ends_the_copy_and_leaves_no_parts(world: World, wire: Wire) -> None:
    here = world.with_limits(PARTS)
    notice = here.upload(b"several parts of four")
    wire.fail("UploadPartCopy", None, answers(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        here.promote(notice)
    assert here.bodies() == {}
    assert here.unfinished() == []


def test_a_failed_abort_does_not_hide_why_the_copy_failed(world: World, wire: Wire) -> None:
    here = world.with_limits(PARTS)
    notice = here.upload(b"files")
    wire.fail("CompleteMultipartUpload", answers(403, "AccessDenied"))
    wire.fail("AbortMultipartUpload", answers(400, "BadRequest"))
    with pytest.raises(ClientError, match="CompleteMultipartUpload") as failure:
        here.promote(notice)
    assert "could not be removed" in failure.value.__notes__[0]


def test_parts_under_way_have_ended_when_a_copy_that_failed_is_aborted(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What S3 gets of a part after the abort stays."""
    here = world.with_limits(PARTS)
    notice = here.upload(b"two parts at once")
    under_way, may_end = threading.Event(), threading.Event()
    story: list[str] = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *args: Any, **kwargs: Any) -> None:
            may_end.set()
            super().shutdown(*args, **kwargs)

    def lasts(_: Any, do_it: Any) -> Any:
        under_way.set()
        may_end.wait()
        story.append("the part has ended")
        return do_it()

    def fails(request: Any, do_it: Any) -> Any:
        under_way.wait()
        return answers(403, "AccessDenied")(request, do_it)

    def aborts(_: Any, do_it: Any) -> Any:
        story.append("aborted")
        may_end.set()
        return do_it()

    monkeypatch.setattr(multipart, "ThreadPoolExecutor", Pool)
    by_number = {"partNumber=1": fails, "partNumber=2": lasts}

    def either(request: Any, do_it: Any) -> Any:
        [fault] = [one for name, one in by_number.items() if name in request.url]
        return fault(request, do_it)

    wire.fail("UploadPartCopy", either, either)
    wire.fail("AbortMultipartUpload", aborts)
    with pytest.raises(ClientError, match="AccessDenied"):
        here.promote(notice)
    assert story == ["the part has ended", "aborted"]
    assert here.unfinished() == []


def test_parts_do_not_stay_when_another_run_aborted_them_first(world: World, wire: Wire) -> None:
    here = world.with_limits(PARTS)
    notice = here.upload(b"files")

    def abort_all(operation: str) -> None:
        if operation == "CompleteMultipartUpload":
            wire.before_each = None
            [upload] = here.s3.list_multipart_uploads(Bucket="backups2")["Uploads"]
            here.s3.abort_multipart_upload(
                Bucket="backups2", Key=upload["Key"], UploadId=upload["UploadId"]
            )

    wire.before_each = abort_all
    with pytest.raises(ClientError, match="NoSuchUpload"):
        here.promote(notice)
    assert here.promote(notice).outcome is Outcome.PROMOTED


@pytest.mark.parametrize("outcome", ["promoted", "contested"])
def test_what_cannot_be_tidied_fails_nothing(world: World, wire: Wire, outcome: str) -> None:
    here = world.with_limits(PARTS)
    if outcome == "contested":
        here.promote(here.upload(b"first"))
    notice = here.upload(b"files")
    wire.fail("ListMultipartUploads", answers(403, "AccessDenied"))
    assert here.promote(notice).outcome == outcome


def test_a_slot_that_is_taken_before_the_last_attempt_is_contested(
    world: World, wire: Wire
) -> None:
    notice = world.upload(b"files")
    slot = world.promoter.policy.slot_of(DAILY, datetime.now(UTC)).name

    def somebody_wins(request: Any, _: Any) -> Any:
        world.s3.put_object(Bucket="backups2", Key=slot, Body=b"theirs")
        return answers(409, "ConditionalRequestConflict")(request, _)

    wire.fail("CopyObject", *[answers(409, "ConditionalRequestConflict")] * 4, somebody_wins)
    assert world.promote(notice).outcome is Outcome.CONTESTED


def test_a_400_that_is_not_about_the_sender_s_key_raises(world: World, wire: Wire) -> None:
    notice = world.upload(b"files")
    wire.fail("HeadObject", *[answers(400, "400")] * 2)
    wire.fail("GetObject", *[answers(400, "ExpiredToken")] * 2)
    with pytest.raises(ClientError, match="HeadObject"):
        world.promote(notice)


def test_parts_that_somebody_else_removes_first_are_removed(world: World, wire: Wire) -> None:
    here = world.with_limits(PARTS)
    notice = here.upload(b"files")
    slot = here.promoter.policy.slot_of(DAILY, datetime.now(UTC)).name
    for _ in range(2):
        here.s3.create_multipart_upload(Bucket="backups2", Key=slot)
    wire.fail("AbortMultipartUpload", does_it_and_answers(404, "NoSuchUpload"))
    assert here.promote(notice).outcome is Outcome.PROMOTED
    assert here.unfinished() == []


def test_a_conflict_of_the_removal_is_tried_again(here: World, wire: Wire) -> None:
    notice = here.upload(b"files")
    wire.fail("DeleteObject", answers(409, "ConditionalRequestConflict"))
    assert here.promote(notice).outcome is Outcome.PROMOTED
    assert here.incoming() == []


def test_a_removal_that_fails_is_completed_by_the_next_run(here: World, wire: Wire) -> None:
    notice = here.upload(b"files")
    wire.fail("DeleteObject", *[answers(403, "AccessDenied")] * 2)
    with pytest.raises(ClientError, match="AccessDenied"):
        here.promote(notice)
    vault = here.vault()
    assert here.promote(notice).outcome is Outcome.ALREADY_PROMOTED
    assert here.vault() == vault
    assert here.incoming() == []


def test_another_owner_s_bucket_is_neither_read_nor_written(here: World, wire: Wire) -> None:
    notice = here.upload(b"files")
    for name in ("incoming", "vault"):
        bucket = replace(getattr(here.promoter, name), owner="999999999999")
        promoter: Any = replace(here.promoter, **{name: bucket})
        with pytest.raises(ClientError):
            replace(here, promoter=promoter).promote(notice)
    assert here.bodies() == {}


@pytest.mark.parametrize("keeps_versions", [False, True], ids=["unversioned", "versioned"])
def test_killed_between_any_two_requests_the_next_run_ends_in_the_same_state(
    here: World, wire: Wire, keeps_versions: bool
) -> None:
    if keeps_versions:
        here.keep_versions()

    def end_state() -> tuple[Any, ...]:
        [stored] = here.vault().values()
        versions = here.s3.list_object_versions(Bucket="backups2")["Versions"]
        untimed = {"Body", "ContentLength", "StorageClass", "ChecksumCRC32"}
        return (
            {key: value for key, value in stored.items() if key in untimed},
            set(stored["Metadata"]),
            len(versions),
            here.incoming(),
            here.unfinished(),
        )

    def fresh() -> None:
        for version in here.s3.list_object_versions(Bucket="backups2").get("Versions", []):
            here.s3.delete_object(
                Bucket="backups2", Key=version["Key"], VersionId=version["VersionId"]
            )

    here.promote(here.upload(b"several parts"))
    undisturbed = end_state()
    requests = len([name for name in wire.sent if name in EVERY_REQUEST])
    fresh()

    cut_points = 0
    for cut in range(1, requests + 1):
        notice = here.upload(b"several parts")
        wire.sent.clear()
        wire.killed_at = cut
        try:
            here.promote(notice)
        except Killed:
            cut_points += 1
        wire.killed_at = None
        here.promote(notice)
        assert end_state() == undisturbed, f"killed after request {cut}: {wire.sent[:cut]}"
        fresh()
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
        pytest.param(FREE, CONFLICT, 1, True, id="S3 asks to try again"),
        pytest.param(FREE, CONFLICT, ATTEMPTS, False, id="S3 asks too often"),
        pytest.param(FILLED, "AccessDenied", 1, True, id="the slot is filled"),
        pytest.param(FILLED, "AccessDenied", ATTEMPTS, True, id="it is filled at last"),
        pytest.param(Situation(), "AccessDenied", 1, True, id="the upload is gone"),
        pytest.param(REPLACED, "AccessDenied", 1, True, id="it is replaced"),
        pytest.param(REPLACED, "AccessDenied", ATTEMPTS, False, id="it is replaced too often"),
        pytest.param(WAITING, "AccessDenied", 1, True, id="an older one waits"),
    ],
)
def test_after_an_error_the_situation_says_whether_to_decide_anew(
    after: Situation, code: str, attempt: int, is_worth_it: bool
) -> None:
    """From a free slot."""
    error = ClientError({"Error": {"Code": code}}, "CopyObject")
    assert is_worth_another_look(FREE, after, error, attempt=attempt) is is_worth_it
