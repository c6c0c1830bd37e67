"""To the last byte: every kind of checksum, every size at which something changes, both paths."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.copy_plan import GIB, Limits, plan_parts
from chalicelib.promotion.notification import Notification
from chalicelib.promotion.promotion import UnverifiedCopyError
from localcloud.s3.checksums import digest, encoded
from tests.support.faults import Fault, respond
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, PARTS, World

# At once up to 16 bytes, then in parts of 8 and more.
LIMITS = Limits(single=16, part=8, streams=2, pause=0)
SIZES = (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100)
NOON = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=2)
SLOT = f"{NOON:%Y-%m-%d}.tar.gz.gpg"


def key_in(bucket: str, name: str) -> Any:
    return s3_backends["123456789012"]["aws"].buckets[bucket].keys[name]


def upload(world: World, body: bytes, *, algorithm: str | None, parts: str | None) -> None:
    """Upload as SDKs of all kinds and ages do; at once or, if `parts` names a type, in parts."""
    place: dict[str, Any] = {"Bucket": "backups1", "Key": HOURLY}
    if parts is None:
        sent = {f"Checksum{algorithm}": encoded(digest(body, algorithm))} if algorithm else {}
        world.s3.put_object(**place, Body=body, **sent)
        if algorithm is None:
            key_in("backups1", HOURLY).checksum_value = None
        return
    begun = world.s3.create_multipart_upload(
        **place, ChecksumAlgorithm=algorithm, ChecksumType=parts
    )
    chosen = []
    middle = (len(body) + 1) // 2
    for number, half in enumerate(filter(None, (body[:middle], body[middle:])), start=1):
        checksum = {f"Checksum{algorithm}": encoded(digest(half, str(algorithm)))}
        part = world.s3.upload_part(
            **place, UploadId=begun["UploadId"], PartNumber=number, Body=half, **checksum
        )
        chosen.append({"PartNumber": number, "ETag": part["ETag"]} | checksum)
    world.s3.complete_multipart_upload(
        **place, UploadId=begun["UploadId"], MultipartUpload={"Parts": chosen}, ChecksumType=parts
    )


@pytest.mark.parametrize(
    ("algorithm", "parts"),
    [
        pytest.param(None, None, id="none"),
        *(
            pytest.param(algorithm, parts, id=f"{algorithm}, {parts or 'uploaded at once'}")
            for algorithm, types in {
                "CRC64NVME": (None, "FULL_OBJECT"),
                "CRC32": (None, "FULL_OBJECT", "COMPOSITE"),
                "CRC32C": (None, "FULL_OBJECT", "COMPOSITE"),
                "SHA1": (None, "COMPOSITE"),
                "SHA256": (None, "COMPOSITE"),
            }.items()
            for parts in types
        ),
    ],
)
def test_whatever_the_checksum_and_the_size_every_byte_arrives_and_s3_verifies_what_it_can(
    world: World, wire: Wire, algorithm: str | None, parts: str | None
) -> None:
    here = world.with_limits(LIMITS)
    for hours, size in enumerate(SIZES):
        body = bytes(range(size))
        upload(here, body, algorithm=algorithm, parts=parts)
        moment = NOON - timedelta(hours=hours)
        key_in("backups1", HOURLY).last_modified = moment.replace(tzinfo=None)
        wire.calls.clear()
        record = here.promote(Notification(key=HOURLY))
        assert record.outcome is Outcome.PROMOTED
        assert record.slot is not None
        stored = here.look(record.slot)
        assert stored["Body"] == body
        assert here.incoming() == []

        kept = algorithm if parts != "COMPOSITE" else None
        whole = encoded(digest(body, kept)) if kept else None
        assert record.checksum == (f"{kept}:{whole}" if kept else None)
        if kept:
            assert stored[f"Checksum{kept}"] == whole
        sent = dict(wire.calls)
        by_one_request = size <= 16 or kept in {"SHA1", "SHA256"}
        assert ("CopyObject" in sent) is by_one_request
        if by_one_request:
            assert sent["CopyObject"].get("ChecksumAlgorithm") == kept
            continue
        assert sent["CreateMultipartUpload"]["ChecksumAlgorithm"] == (kept or "CRC64NVME")
        complete = sent["CompleteMultipartUpload"]
        assert (complete["MpuObjectSize"], complete["ChecksumType"]) == (size, "FULL_OBJECT")
        told = {name: value for name, value in complete.items() if "ChecksumC" in name}
        assert told == ({f"Checksum{kept}": whole} if kept else {})


def test_nothing_is_no_backup(either_path: World) -> None:
    assert either_path.promote(either_path.upload(b"")).outcome is Outcome.REJECTED


# Larger than one request can copy. The local S3 is told of a size that it does not hold.


def as_large_as(world: World, size: int, checksum: dict[str, str]) -> None:
    def lie(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if parsed.get("ContentLength") == len(b"tiny"):
            for name in [name for name in parsed if name.startswith("Checksum")]:
                del parsed[name]
            parsed |= {"ContentLength": size} | checksum

    world.s3.meta.events.register("after-call.s3.HeadObject", lie)


def answering(xml: str) -> Fault:
    return lambda request, _: respond(request, 200, f"<?xml version='1.0'?>{xml}".encode())


COPIED = answering("<CopyPartResult><ETag>x</ETag></CopyPartResult>")
CRC, SHA = {"ChecksumCRC64NVME": "AAAAAAAAAAA="}, {"ChecksumSHA256": "c2hh"}


@pytest.mark.parametrize(
    ("size", "checksum", "algorithm", "expected"),
    [
        pytest.param(5 * GIB, CRC, "CRC64NVME", CRC, id="5 GiB, CRC64NVME"),
        pytest.param(5 * GIB + 1, CRC, "CRC64NVME", CRC, id="5 GiB and a byte, CRC64NVME"),
        pytest.param(
            5 * GIB + 1,
            {"ChecksumCRC32": "AAAAAA=="},
            "CRC32",
            {"ChecksumCRC32": "AAAAAA=="},
            id="5 GiB and a byte, CRC32",
        ),
        pytest.param(
            5 * GIB + 1,
            {"ChecksumCRC32": "AAAAAA==-641", "ChecksumType": "COMPOSITE"},
            "CRC64NVME",
            {},
            id="5 GiB and a byte, composite CRC32",
        ),
        pytest.param(5 * GIB + 1, SHA, "CRC64NVME", {}, id="5 GiB and a byte, SHA-256"),
        pytest.param(5 * GIB + 1, {}, "CRC64NVME", {}, id="5 GiB and a byte, none"),
        pytest.param(1024 * GIB, CRC, "CRC64NVME", CRC, id="1 TiB"),
    ],
)
def test_beyond_what_one_request_copies_s3_compares_size_and_checksum_at_completion(
    world: World,
    wire: Wire,
    *,
    size: int,
    checksum: dict[str, str],
    algorithm: str,
    expected: dict[str, str],
) -> None:
    limits = Limits(pause=0)
    here = world.with_limits(limits)
    notice = here.upload(b"tiny", at=NOON)
    as_large_as(here, size, checksum)
    [told] = [f"<{name}>{value}</{name}>" for name, value in expected.items()] or [""]
    number = len(plan_parts(size, limits))
    wire.fail("UploadPartCopy", *[COPIED] * number)
    done = answering(
        f"<CompleteMultipartUploadResult><ETag>x</ETag>{told}</CompleteMultipartUploadResult>"
    )

    def completed(request: Any, do_it: Any) -> Any:
        begun = dict(wire.calls)["CreateMultipartUpload"]
        place = {name: begun[name] for name in ("Bucket", "Key", "Metadata")}
        here.s3.put_object(**place, Body=b"tiny")
        return done(request, do_it)

    wire.fail("CompleteMultipartUpload", completed)
    wire.calls.clear()
    assert here.promote(notice).outcome is Outcome.PROMOTED

    sent = dict(wire.calls)
    assert sent["CreateMultipartUpload"]["ChecksumAlgorithm"] == algorithm
    complete = sent["CompleteMultipartUpload"]
    assert (complete["MpuObjectSize"], complete["ChecksumType"]) == (size, "FULL_OBJECT")
    assert {name: complete[name] for name in complete if "ChecksumC" in name} == expected
    ranges = sorted(
        tuple(map(int, part["CopySourceRange"].removeprefix("bytes=").split("-")))
        for name, part in wire.calls
        if name == "UploadPartCopy"
    )
    assert len(ranges) == number
    assert (ranges[0][0], ranges[-1][1]) == (0, size - 1)
    assert all(one[1] + 1 == other[0] for one, other in pairwise(ranges))
    assert here.incoming() == []


def test_as_large_as_one_request_copies_a_sha_is_kept_by_one_request(
    world: World, wire: Wire
) -> None:
    notice = world.upload(b"tiny", at=NOON)
    as_large_as(world, 5 * GIB, SHA)
    world.promote(notice)
    assert dict(wire.calls)["CopyObject"]["ChecksumAlgorithm"] == "SHA256"


# What is wrong is noticed, and the upload stays


def test_an_upload_that_is_not_what_its_checksum_says_is_not_promoted(
    either_path: World,
) -> None:
    notice = either_path.upload(b"several parts", at=NOON)
    key_in("backups1", DAILY).checksum_value = encoded(digest(b"other bytes", "CRC32"))
    with pytest.raises((ClientError, UnverifiedCopyError)):
        either_path.promote(notice)
    assert either_path.incoming() == [DAILY]
    if either_path.promoter.limits == PARTS:
        assert either_path.bodies() == {}


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32C", "SHA1", "SHA256"])
def test_the_same_bytes_sent_again_with_a_checksum_of_another_kind_are_the_same_upload(
    world: World, algorithm: str
) -> None:
    this_hour = datetime.now(UTC)
    world.promote(world.upload(b"files", at=this_hour, ChecksumAlgorithm="CRC32"))
    checksum = {f"Checksum{algorithm}": encoded(digest(b"files", algorithm))}
    again = world.upload(b"files", at=this_hour, **checksum)
    assert world.promote(again).outcome is Outcome.ALREADY_PROMOTED
    assert world.incoming() == []


def test_a_stored_backup_with_a_wrong_checksum_is_noticed_before_the_upload_is_removed(
    either_path: World, wire: Wire
) -> None:
    notice = either_path.upload(b"several parts", at=NOON)
    wire.fail("DeleteObject", *[lambda request, _: respond(request, 403, b"")] * 2)
    with pytest.raises(ClientError):
        either_path.promote(notice)
    key_in("backups2", SLOT).checksum_value = encoded(digest(b"other bytes", "CRC32"))
    with pytest.raises(UnverifiedCopyError, match="has the checksum"):
        either_path.promote(notice)
    assert either_path.incoming() == [DAILY]


@pytest.mark.parametrize("told", [None, "AAAAAA=="], ids=["no checksum", "another checksum"])
@pytest.mark.parametrize("stored", ["as told", "right"])
def test_if_s3_s_answer_does_not_say_that_the_checksum_is_right_the_slot_is_looked_at(
    world: World, wire: Wire, told: str | None, stored: str
) -> None:
    """Some stores take the checksum at completion and ignore it."""
    here = world.with_limits(PARTS)
    notice = here.upload(b"several parts", at=NOON)

    def ignores(parsed: dict[str, Any], **_: Any) -> None:
        parsed["ChecksumCRC32"] = told
        if stored == "as told":
            key_in("backups2", SLOT).checksum_value = told

    here.s3.meta.events.register("after-call.s3.CompleteMultipartUpload", ignores)
    if stored == "as told":
        with pytest.raises(UnverifiedCopyError, match="has the checksum"):
            here.promote(notice)
        assert here.incoming() == [DAILY]
    else:
        assert here.promote(notice).outcome is Outcome.PROMOTED
        assert here.incoming() == []


def test_s3_s_own_word_spares_a_look(world: World, wire: Wire) -> None:
    here = world.with_limits(Limits(single=0, part=8, streams=1, pause=0))
    notice = here.upload(b"several parts of it", at=NOON)
    wire.sent.clear()
    here.promote(notice)
    assert wire.sent == [
        "HeadObject",
        "HeadObject",
        "CreateMultipartUpload",
        "ListMultipartUploads",
        "UploadPartCopy",
        "UploadPartCopy",
        "CompleteMultipartUpload",
        "DeleteObject",
    ]
