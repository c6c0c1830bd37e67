"""Every byte arrives: with each kind of checksum, at each critical size, with both ways to copy."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.copy_plan import GIB, Tuning, plan_parts
from chalicelib.promotion.notification import Notification
from chalicelib.promotion.promotion import UnverifiedCopyError
from localcloud.s3.checksums import digest, encoded
from tests.support.faults import Fault, respond
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, PARTS, World

# One request copies up to 16 bytes; more are copied in parts of at least 8.
TUNING = Tuning(single=16, part=8, streams=2, pause=0)
SIZES = (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100)
NOON = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=2)
SLOT = f"{NOON:%Y-%m-%d}.tar.gz.gpg"


def moto_key(bucket: str, name: str) -> Any:
    return s3_backends["123456789012"]["aws"].buckets[bucket].keys[name]


def upload(world: World, body: bytes, *, algorithm: str | None, parts: str | None) -> None:
    """Upload as some SDK does: in one request, or in parts with this type of checksum."""
    address: dict[str, Any] = {"Bucket": "backups1", "Key": HOURLY}
    if parts is None:
        checksum = {f"Checksum{algorithm}": encoded(digest(body, algorithm))} if algorithm else {}
        world.s3.put_object(**address, Body=body, **checksum)
        if algorithm is None:
            moto_key("backups1", HOURLY).checksum_value = None
        return
    multipart = world.s3.create_multipart_upload(
        **address, ChecksumAlgorithm=algorithm, ChecksumType=parts
    )
    uploaded = []
    middle = (len(body) + 1) // 2
    for number, half in enumerate(filter(None, (body[:middle], body[middle:])), start=1):
        checksum = {f"Checksum{algorithm}": encoded(digest(half, str(algorithm)))}
        part = world.s3.upload_part(
            **address, UploadId=multipart["UploadId"], PartNumber=number, Body=half, **checksum
        )
        uploaded.append({"PartNumber": number, "ETag": part["ETag"]} | checksum)
    world.s3.complete_multipart_upload(
        **address,
        UploadId=multipart["UploadId"],
        MultipartUpload={"Parts": uploaded},
        ChecksumType=parts,
    )


@pytest.mark.parametrize(
    ("algorithm", "parts"),
    [
        pytest.param(None, None, id="no checksum"),
        *(
            pytest.param(algorithm, parts, id=f"{algorithm}, {parts or 'uploaded in one request'}")
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
def test_every_byte_arrives_and_s3_verifies_it_if_it_can(
    world: World, wire: Wire, algorithm: str | None, parts: str | None
) -> None:
    world = world.with_tuning(TUNING)
    for hours, size in enumerate(SIZES):
        body = bytes(range(size))
        upload(world, body, algorithm=algorithm, parts=parts)
        moment = NOON - timedelta(hours=hours)
        moto_key("backups1", HOURLY).last_modified = moment.replace(tzinfo=None)
        wire.calls.clear()
        record = world.promote(Notification(key=HOURLY))
        assert record.outcome is Outcome.PROMOTED
        assert record.slot is not None
        stored = world.look(record.slot)
        assert stored["Body"] == body
        assert world.incoming() == []

        kept_algorithm = algorithm if parts != "COMPOSITE" else None
        checksum = encoded(digest(body, kept_algorithm)) if kept_algorithm else None
        assert record.checksum == (f"{kept_algorithm}:{checksum}" if kept_algorithm else None)
        if kept_algorithm:
            assert stored[f"Checksum{kept_algorithm}"] == checksum
        sent = dict(wire.calls)
        in_one_request = size <= 16 or kept_algorithm in {"SHA1", "SHA256"}
        assert ("CopyObject" in sent) is in_one_request
        if in_one_request:
            assert sent["CopyObject"].get("ChecksumAlgorithm") == kept_algorithm
            continue
        assert sent["CreateMultipartUpload"]["ChecksumAlgorithm"] == (kept_algorithm or "CRC64NVME")
        complete = sent["CompleteMultipartUpload"]
        assert (complete["MpuObjectSize"], complete["ChecksumType"]) == (size, "FULL_OBJECT")
        sent_checksums = {name: complete[name] for name in complete if "ChecksumC" in name}
        assert sent_checksums == ({f"Checksum{kept_algorithm}": checksum} if kept_algorithm else {})


def test_an_empty_upload_is_rejected(either_path: World) -> None:
    assert either_path.promote(either_path.upload(b"")).outcome is Outcome.REJECTED


# Objects larger than one request can copy: HEAD reports a size that the object does not have.


def pretend_size(world: World, size: int, checksum: dict[str, str]) -> None:
    def change_head(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if parsed.get("ContentLength") == len(b"tiny"):
            for name in [name for name in parsed if name.startswith("Checksum")]:
                del parsed[name]
            parsed |= {"ContentLength": size} | checksum

    world.s3.meta.events.register("after-call.s3.HeadObject", change_head)


def responds_with(xml: str) -> Fault:
    return lambda request, _: respond(request, 200, f"<?xml version='1.0'?>{xml}".encode())


COPIED = responds_with("<CopyPartResult><ETag>x</ETag></CopyPartResult>")
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
        pytest.param(5 * GIB + 1, {}, "CRC64NVME", {}, id="5 GiB and a byte, no checksum"),
        pytest.param(1024 * GIB, CRC, "CRC64NVME", CRC, id="1 TiB"),
    ],
)
def test_above_the_limit_of_one_request_s3_compares_size_and_checksum_at_completion(
    world: World,
    wire: Wire,
    *,
    size: int,
    checksum: dict[str, str],
    algorithm: str,
    expected: dict[str, str],
) -> None:
    tuning = Tuning(pause=0)
    world = world.with_tuning(tuning)
    notification = world.upload(b"tiny", at=NOON)
    pretend_size(world, size, checksum)
    [element] = [f"<{name}>{value}</{name}>" for name, value in expected.items()] or [""]
    number = len(plan_parts(size, tuning))
    wire.fail("UploadPartCopy", *[COPIED] * number)
    success = responds_with(
        f"<CompleteMultipartUploadResult><ETag>x</ETag>{element}</CompleteMultipartUploadResult>"
    )

    def complete_copy(request: Any, do_it: Any) -> Any:
        created = dict(wire.calls)["CreateMultipartUpload"]
        address = {name: created[name] for name in ("Bucket", "Key", "Metadata")}
        world.s3.put_object(**address, Body=b"tiny")
        return success(request, do_it)

    wire.fail("CompleteMultipartUpload", complete_copy)
    wire.calls.clear()
    assert world.promote(notification).outcome is Outcome.PROMOTED

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
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(ranges))
    assert world.incoming() == []


def test_up_to_the_limit_of_one_request_a_sha_256_is_kept(world: World, wire: Wire) -> None:
    notification = world.upload(b"tiny", at=NOON)
    pretend_size(world, 5 * GIB, SHA)
    world.promote(notification)
    assert dict(wire.calls)["CopyObject"]["ChecksumAlgorithm"] == "SHA256"


# Errors are detected, and the upload stays


def test_an_upload_with_a_wrong_checksum_is_not_promoted(
    either_path: World,
) -> None:
    notification = either_path.upload(b"several parts", at=NOON)
    moto_key("backups1", DAILY).checksum_value = encoded(digest(b"other bytes", "CRC32"))
    with pytest.raises((ClientError, UnverifiedCopyError)):
        either_path.promote(notification)
    assert either_path.incoming() == [DAILY]
    if either_path.promoter.tuning == PARTS:
        assert either_path.bodies() == {}


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32C", "SHA1", "SHA256"])
def test_the_same_bytes_with_another_kind_of_checksum_are_the_same_upload(
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
    notification = either_path.upload(b"several parts", at=NOON)
    wire.fail("DeleteObject", *[lambda request, _: respond(request, 403, b"")] * 2)
    with pytest.raises(ClientError):
        either_path.promote(notification)
    moto_key("backups2", SLOT).checksum_value = encoded(digest(b"other bytes", "CRC32"))
    with pytest.raises(UnverifiedCopyError, match="has the checksum"):
        either_path.promote(notification)
    assert either_path.incoming() == [DAILY]


@pytest.mark.parametrize("reported", [None, "AAAAAA=="], ids=["no checksum", "another checksum"])
@pytest.mark.parametrize("stored", ["as reported", "right"])
def test_if_s3_does_not_confirm_the_checksum_the_slot_is_looked_up(
    world: World, wire: Wire, reported: str | None, stored: str
) -> None:
    """Some stores accept the checksum at completion and ignore it."""
    world = world.with_tuning(PARTS)
    notification = world.upload(b"several parts", at=NOON)

    def ignore_checksum(parsed: dict[str, Any], **_: Any) -> None:
        parsed["ChecksumCRC32"] = reported
        if stored == "as reported":
            moto_key("backups2", SLOT).checksum_value = reported

    world.s3.meta.events.register("after-call.s3.CompleteMultipartUpload", ignore_checksum)
    if stored == "as reported":
        with pytest.raises(UnverifiedCopyError, match="has the checksum"):
            world.promote(notification)
        assert world.incoming() == [DAILY]
    else:
        assert world.promote(notification).outcome is Outcome.PROMOTED
        assert world.incoming() == []


def test_if_s3_confirms_the_checksum_the_slot_is_not_looked_up(world: World, wire: Wire) -> None:
    world = world.with_tuning(Tuning(single=0, part=8, streams=1, pause=0))
    notification = world.upload(b"several parts of it", at=NOON)
    wire.sent.clear()
    world.promote(notification)
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
