"""Copies that take longer than one run: handed over, gone on with, never mixed, never endless."""

import contextlib
import json
import math
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.handover import Handover, Run
from chalicelib.policy import Outcome
from chalicelib.record import Notice, Record
from chalicelib.verifying import UnverifiedCopyError
from localcloud.faults import Killed, answers, time_for
from localcloud.wire import Wire
from tests.chained import BODY, EVENING, ONE_BY_ONE, SLOT, begun, copied_parts, run
from tests.world import DAILY, SINGLE, World


@pytest.fixture
def here(world: World) -> World:
    return world.with_limits(ONE_BY_ONE)


@pytest.mark.parametrize("parts", range(1, 10))
def test_what_takes_several_runs_is_copied_part_by_part_and_no_part_twice(
    here: World, wire: Wire, parts: int
) -> None:
    notice = here.upload(BODY, at=EVENING)
    runs = math.ceil(10 / parts)
    handed, outcomes = None, []
    for _ in range(runs):
        record = run(here, notice, parts=parts, handed=handed)
        outcomes.append((record.outcome, record.handover and record.handover.run))
        handed = record.handover
        if handed:
            assert here.bodies() == {}
            assert here.incoming() == [DAILY]
    assert outcomes == [
        *(("continued", number) for number in range(2, runs + 1)),
        ("promoted", None),
    ]
    assert here.bodies() == {SLOT: BODY}
    assert here.incoming() == []
    assert here.unfinished() == []
    assert copied_parts(wire) == list(range(1, 11))


def test_every_part_is_pinned_to_the_same_upload_in_every_run(here: World, wire: Wire) -> None:
    here.keep_versions()
    notice, handed = begun(here)
    run(here, notice, parts=99, handed=handed)
    copies = [sent for name, sent in wire.calls if name == "UploadPartCopy"]
    assert len(copies) == 10
    assert {sent["CopySourceIfMatch"] for sent in copies} == {f'"{handed.etag}"'}
    assert {sent["CopySource"]["VersionId"] for sent in copies} == {notice.version_id}


def test_the_record_says_how_far_it_is(here: World) -> None:
    record = run(here, here.upload(BODY, at=EVENING), parts=4)
    assert record.outcome is Outcome.CONTINUED
    assert record.reason == f"{SLOT} is copied in part; run 2 goes on."
    assert json.loads(json.dumps(record.as_dict()))["handover"]["slot"] == SLOT


def test_the_parts_that_are_there_are_listed_page_by_page(
    here: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice, handed = begun(here, parts=7)

    def two_a_page(params: dict[str, Any], **_: Any) -> None:
        params["MaxParts"] = 2

    here.s3.meta.events.register("provide-client-params.s3.ListParts", two_a_page)
    wire.calls.clear()
    assert run(here, notice, parts=99, handed=handed).outcome is Outcome.PROMOTED
    assert wire.names().count("ListParts") == 4
    assert copied_parts(wire) == [8, 9, 10]


def test_a_copy_that_was_handed_over_is_looked_at_before_its_upload_is_removed(
    here: World, wire: Wire
) -> None:
    """What it carries was said by another run."""
    notice, handed = begun(here)
    wire.sent.clear()
    run(here, notice, parts=99, handed=handed)
    assert wire.sent[-3:] == ["CompleteMultipartUpload", "HeadObject", "DeleteObject"]


def test_the_event_of_the_next_run_has_s3_s_shape_and_the_very_record_of_this_one(
    here: World,
) -> None:
    here.upload(BODY, at=EVENING)
    entry = {
        "eventVersion": "2.1",
        "s3": {"bucket": {"name": "backups1"}, "object": {"key": DAILY}},
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
    }
    event: dict[str, Any] = {"Records": [entry]}
    invoked: list[Any] = []

    def promote(parts: int) -> Record:
        this = Run(seconds_left=time_for(parts), invoke_next=invoked.append)
        [record] = here.promoter.promote_all(event, now=datetime.now(UTC), run=this)
        return record

    record = promote(6)
    assert record.handover is not None
    assert invoked == [{"Records": [entry], "handover": asdict(record.handover)}]
    event = json.loads(json.dumps(invoked.pop()))
    assert promote(99).outcome is Outcome.PROMOTED
    assert invoked == []
    assert here.bodies() == {SLOT: BODY}


def test_a_next_run_that_cannot_be_invoked_fails_the_run_and_its_retry_ends_it(
    here: World,
) -> None:
    here.upload(BODY, at=EVENING)
    event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": DAILY}}}]}

    def refused(_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")

    with pytest.raises(ExceptionGroup):
        here.promoter.promote_all(
            event, now=datetime.now(UTC), run=Run(seconds_left=time_for(6), invoke_next=refused)
        )
    [record] = here.promoter.promote_all(event, now=datetime.now(UTC))
    assert record.outcome is Outcome.PROMOTED
    assert here.unfinished() == []


# Whatever happened in between, or was made up


def changed(here: World, _: Wire) -> None:
    here.upload(b"the other upload, which is here now", at=EVENING)


def changed_to_another_day(here: World, _: Wire) -> None:
    here.upload(b"the upload of the next day", at=EVENING + timedelta(days=1))


def gone(here: World, _: Wire) -> None:
    here.s3.delete_object(Bucket="backups1", Key=DAILY)


def settled_by_another_run(here: World, _: Wire) -> None:
    here.promote(Notice(key=DAILY))


def taken(here: World, _: Wire) -> None:
    here.s3.put_object(Bucket="backups2", Key=SLOT, Body=b"another upload")


def aborted(here: World, _: Wire) -> None:
    [upload] = here.s3.list_multipart_uploads(Bucket="backups2")["Uploads"]
    here.s3.abort_multipart_upload(Bucket="backups2", Key=SLOT, UploadId=upload["UploadId"])


def copied_but_not_removed(here: World, wire: Wire) -> None:
    wire.fail("DeleteObject", *[answers(403, "AccessDenied")] * 2)
    with pytest.raises(ClientError):
        here.promote(Notice(key=DAILY))


@pytest.mark.parametrize(
    ("meanwhile", "outcome", "stored"),
    [
        (changed, "promoted", {SLOT: b"the other upload, which is here now"}),
        (
            changed_to_another_day,
            "promoted",
            {f"{EVENING + timedelta(days=1):%Y-%m-%d}.tar.gz.gpg": b"the upload of the next day"},
        ),
        (gone, "gone", {}),
        (settled_by_another_run, "gone", {SLOT: BODY}),
        (copied_but_not_removed, "already-promoted", {SLOT: BODY}),
        (taken, "contested", {SLOT: b"another upload"}),
        (aborted, "promoted", {SLOT: BODY}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_there_now_counts_and_the_parts_of_before_go(
    here: World, wire: Wire, meanwhile: Any, outcome: str, stored: dict[str, bytes]
) -> None:
    notice, handed = begun(here)
    meanwhile(here, wire)
    record = run(here, notice, parts=99, handed=handed)
    assert record.outcome == outcome
    assert here.bodies() == stored
    assert here.unfinished() == []


def test_a_retry_of_a_handover_that_was_carried_out_finds_nothing_to_do(here: World) -> None:
    notice, handed = begun(here)
    run(here, notice, parts=99, handed=handed)
    vault = here.vault()
    assert run(here, notice, parts=99, handed=handed).outcome is Outcome.GONE
    assert here.vault() == vault


@pytest.mark.parametrize(
    "made_up",
    [
        pytest.param({"slot": "2020-01-01.tar.gz.gpg"}, id="another slot"),
        pytest.param({"slot": "no slot at all"}, id="no slot"),
        pytest.param({"etag": "0" * 32}, id="another upload"),
        pytest.param({"version_id": "another"}, id="another version"),
        pytest.param({"upload_id": "made-up"}, id="no such copy"),
    ],
)
def test_a_handover_that_does_not_fit_is_not_gone_on_with(
    here: World, wire: Wire, made_up: dict[str, Any]
) -> None:
    notice, handed = begun(here)
    wire.calls.clear()
    record = run(here, notice, parts=99, handed=replace(handed, **made_up))
    assert record.outcome is Outcome.PROMOTED
    assert copied_parts(wire) == list(range(1, 11))
    assert here.bodies() == {SLOT: BODY}
    assert here.unfinished() == []


def test_a_copy_is_gone_on_with_though_one_request_would_do_by_now(here: World) -> None:
    """Its parts are there; the limits were others when it was begun."""
    notice, handed = begun(here)
    now = here.with_limits(SINGLE)
    assert run(now, notice, parts=99, handed=handed).outcome is Outcome.PROMOTED
    assert here.bodies() == {SLOT: BODY}
    assert here.unfinished() == []


def test_a_handover_that_no_run_made_fails(here: World) -> None:
    notice, handed = begun(here)
    event = {
        "Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": notice.key}}}],
        "handover": asdict(handed) | {"bucket": "another"},
    }
    with pytest.RaisesGroup(TypeError):
        here.promoter.promote_all(event, now=datetime.now(UTC))


def foreign_parts(here: World, handed: Handover, *, size: int = 8) -> str:
    """A copy into the slot, begun by the promoter's role, with parts of something else."""
    place = {"Bucket": "backups2", "Key": SLOT}
    begun = here.s3.create_multipart_upload(
        **place,
        ChecksumAlgorithm="CRC32",
        ChecksumType="FULL_OBJECT",
        Metadata={"source-key": DAILY, "source-etag": handed.etag},
    )
    upload_id = str(begun["UploadId"])
    for number in (1, 2):
        here.s3.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=b"x" * size)
    return upload_id


def test_foreign_parts_never_get_past_the_upload_s_checksum(here: World) -> None:
    """Made up by somebody who may invoke the function, and begin copies in the vault."""
    notice, handed = begun(here)
    forged = replace(handed, upload_id=foreign_parts(here, handed))
    with pytest.raises(ClientError, match="BadDigest"):
        run(here, notice, parts=99, handed=forged)
    assert here.bodies() == {}
    assert here.incoming() == [DAILY]
    assert run(here, notice, parts=99, handed=forged).outcome is Outcome.PROMOTED
    assert here.bodies() == {SLOT: BODY}
    assert here.unfinished() == []


def test_parts_of_another_size_are_copied_again(here: World) -> None:
    notice, handed = begun(here)
    handed = replace(handed, upload_id=foreign_parts(here, handed, size=9))
    assert run(here, notice, parts=99, handed=handed).outcome is Outcome.PROMOTED
    assert here.bodies() == {SLOT: BODY}


def test_a_copy_that_carries_another_origin_never_costs_the_upload(here: World) -> None:
    """The right parts under somebody else's metadata: the slot is lost, the upload is not."""
    notice, handed = begun(here, parts=0)
    place = {"Bucket": "backups2", "Key": SLOT}
    other = here.s3.create_multipart_upload(
        **place, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    with pytest.raises(UnverifiedCopyError):
        run(here, notice, parts=99, handed=replace(handed, upload_id=other))
    assert here.incoming() == [DAILY]


# Two runs of one handover at once, and runs that are killed

# Look at both sides, list what is there and what is unfinished, copy the other six parts, complete,
# look, remove.
REQUESTS = 13


def empty(here: World) -> None:
    for version in here.s3.list_object_versions(Bucket="backups2")["Versions"]:
        here.s3.delete_object(Bucket="backups2", Key=SLOT, VersionId=version["VersionId"])


@pytest.mark.parametrize("twin_parts", [0, 2, 99], ids=["idle", "partly", "to the end"])
def test_a_twin_at_any_moment_harms_nothing(here: World, wire: Wire, twin_parts: int) -> None:
    """The event comes twice: whatever one does first, both end right and no bytes are mixed."""
    for number in range(1, REQUESTS + 1):
        meet_a_twin(here, wire, number=number, twin_parts=twin_parts)
        empty(here)


def meet_a_twin(here: World, wire: Wire, *, number: int, twin_parts: int) -> None:
    notice, handed = begun(here)
    wire.sent.clear()
    records: list[Record] = []

    def twin(_: str) -> None:
        if len(wire.sent) == number:
            wire.before_each = None
            records.append(run(here, notice, parts=twin_parts, handed=handed))

    wire.before_each = twin
    # One may find that the other has finished or aborted the copy: then Lambda tries it again.
    with contextlib.suppress(here.s3.exceptions.NoSuchUpload):
        records.append(run(here, notice, parts=99, handed=handed))
    left = [record.handover for record in records if record.handover]
    records += [run(here, notice, parts=99, handed=one) for one in (*left, handed)]
    outcomes = [record.outcome for record in records if record.outcome != "continued"]
    assert outcomes.count(Outcome.PROMOTED) <= 1
    assert set(outcomes) <= {"promoted", "already-promoted", "gone"}
    assert here.bodies() == {SLOT: BODY}
    assert here.incoming() == []
    assert here.unfinished() == []


def test_a_twin_that_fails_costs_the_other_a_fresh_start_and_no_more(
    here: World, wire: Wire
) -> None:
    notice, handed = begun(here)

    def twin_fails(operation: str) -> None:
        if operation == "UploadPartCopy":
            wire.before_each = None
            wire.fail("UploadPartCopy", answers(403, "AccessDenied"))
            with pytest.raises(ClientError, match="AccessDenied"):
                run(here, notice, parts=99, handed=handed)

    wire.before_each = twin_fails
    with pytest.raises(ClientError, match="NoSuchUpload"):
        run(here, notice, parts=99, handed=handed)
    assert here.unfinished() == []
    assert run(here, notice, parts=99, handed=handed).outcome is Outcome.PROMOTED
    assert here.bodies() == {SLOT: BODY}


def test_killed_at_any_request_the_retry_of_the_event_completes_it(here: World, wire: Wire) -> None:
    for number in range(REQUESTS):
        notice, handed = begun(here)
        wire.sent.clear()
        wire.killed_at = number
        with pytest.raises(Killed):
            run(here, notice, parts=99, handed=handed)
        wire.killed_at = None
        run(here, notice, parts=99, handed=handed)
        assert here.bodies() == {SLOT: BODY}
        assert here.incoming() == []
        assert here.unfinished() == []
        empty(here)
