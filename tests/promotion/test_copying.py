"""The exact requests that a copy sends."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.policy.decision import Checksum, Outcome, Upload
from chalicelib.promotion.buckets import checksum_of
from chalicelib.promotion.copy_plan import GIB, MIB, Tuning
from chalicelib.promotion.copying import copy, fits_one_request
from chalicelib.promotion.notification import Notification
from tests.support.faults import answers
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, PARTS, World

SHA = Checksum(algorithm="SHA256", value="c2hh")
CRC = Checksum(algorithm="CRC64NVME", value="AAAAAAAAAAA=")


@pytest.mark.parametrize(
    ("size", "checksum", "single"),
    [
        pytest.param(34 * MIB, None, True, id="the largest size for one request"),
        pytest.param(34 * MIB + 1, None, False, id="a byte more"),
        pytest.param(5 * GIB, SHA, True, id="a copy in parts cannot keep SHA-256"),
        pytest.param(5 * GIB, CRC, False, id="a copy in parts keeps a CRC"),
    ],
)
def test_a_copy_is_made_in_one_request_or_in_parts(
    size: int, checksum: Checksum | None, single: bool
) -> None:
    upload = Upload(
        key="k",
        etag="e",
        size=size,
        last_modified=datetime(2026, 11, 23, tzinfo=UTC),
        checksum=checksum,
    )
    assert fits_one_request(upload, Tuning()) is single


def source_of(version_id: str | None) -> dict[str, Any]:
    source: dict[str, Any] = {"Bucket": "backups1", "Key": "backup.tar.gz.gpg"}
    return source | ({"VersionId": version_id} if version_id else {})


def test_every_request_has_its_conditions_and_settings(any_world: World, wire: Wire) -> None:
    world = any_world.with_buckets(owner="123456789012")
    notification = world.upload(b"several parts")
    slot = world.promoter.policy.slot_of(notification.key, datetime.now(UTC)).name
    world.s3.create_multipart_upload(Bucket="backups2", Key=slot)
    wire.calls.clear()
    record = world.promote(notification)

    for name, sent in wire.calls:
        assert sent["ExpectedBucketOwner"] == "123456789012", name
        if name in {"CopyObject", "CompleteMultipartUpload"}:
            assert sent["IfNoneMatch"] == "*"
        if name in {"CopyObject", "UploadPartCopy"}:
            assert sent["CopySource"] == source_of(notification.version_id)
            assert sent["CopySourceIfMatch"] == f'"{record.etag}"'
            assert sent["ExpectedSourceBucketOwner"] == "123456789012"
        if name == "CopyObject":
            assert sent["ChecksumAlgorithm"] == "CRC32"
            assert sent["MetadataDirective"] == "REPLACE"
            assert sent["TaggingDirective"] == "REPLACE"
            assert sent["AnnotationDirective"] == "EXCLUDE"
        if name in {"CopyObject", "CreateMultipartUpload"}:
            assert sent["ServerSideEncryption"] == "AES256"
            assert "Tagging" not in sent
        if name == "CompleteMultipartUpload":
            assert sent["MpuObjectSize"] == 13
            assert sent["ChecksumType"] == "FULL_OBJECT"
            assert f"CRC32:{sent['ChecksumCRC32']}" == record.checksum
        if name == "DeleteObject":
            assert sent["Bucket"] == "backups1"
            pin = {"VersionId": notification.version_id} if notification.version_id else {"IfMatch"}
            assert set(pin) <= set(sent)


@pytest.mark.parametrize("checksum", ["CRC32", "SHA256"])
def test_if_s3_denies_copy_object_one_part_is_copied(
    world: World, wire: Wire, checksum: str
) -> None:
    """AWS's pages disagree on whether a bucket that requires the condition accepts CopyObject."""
    wire.fail("CopyObject", answers(501, "NotImplemented"))
    for body in (b"first", b"second"):
        notification = world.upload(body, key=HOURLY, ChecksumAlgorithm=checksum)
        wire.calls.clear()
        assert world.promote(notification).outcome is Outcome.PROMOTED
        assert list(world.bodies().values()) == [body]
        parts = [sent for name, sent in wire.calls if name == "UploadPartCopy"]
        assert ["CopySourceRange" in part for part in parts] == [False]
        assert world.incoming() == world.unfinished() == []
        world.clear_vault()
    # The refusal is cached: the second upload did not try CopyObject.
    assert wire.sent.count("CopyObject") == 1


def test_an_empty_object_cannot_be_copied_in_parts(world: World, wire: Wire) -> None:
    world.upload(b"")
    incoming, vault = world.promoter.incoming, world.promoter.vault
    upload = incoming.head(DAILY, None)
    assert isinstance(upload, Upload)
    slot = world.promoter.policy.slot_of(DAILY, upload.last_modified)
    wire.fail("CopyObject", answers(501, "NotImplemented"))
    with pytest.raises(ClientError, match="NotImplemented"):
        copy(incoming, vault, upload=upload, slot=slot, tuning=Tuning())
    assert world.unfinished() == []


def test_a_copy_that_s3_has_not_compared_is_looked_up(world: World, wire: Wire) -> None:
    """A checksum over parts cannot be compared, so S3's response proves nothing."""
    world = world.with_tuning(PARTS)
    address = {"Bucket": "backups1", "Key": DAILY}
    upload_id = world.s3.create_multipart_upload(
        **address, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE"
    )["UploadId"]
    part = world.s3.upload_part(
        **address, UploadId=upload_id, PartNumber=1, Body=b"files", ChecksumAlgorithm="CRC32"
    )
    part = {name: part[name] for name in ("ETag", "ChecksumCRC32")} | {"PartNumber": 1}
    world.s3.complete_multipart_upload(
        **address, UploadId=upload_id, MultipartUpload={"Parts": [part]}, ChecksumType="COMPOSITE"
    )
    wire.sent.clear()
    assert world.promote(Notification(key=DAILY)).outcome is Outcome.PROMOTED
    after = wire.sent[wire.sent.index("CompleteMultipartUpload") + 1 :]
    assert after == ["HeadObject", "DeleteObject"]


def test_every_checksum_that_s3_supports_is_compared(world: World) -> None:
    """The sender chooses the algorithm, so the app must not ignore any."""
    copy, head = map(world.s3.meta.service_model.operation_model, ("CopyObject", "HeadObject"))
    algorithms = copy.input_shape.members["ChecksumAlgorithm"].enum
    assert {f"Checksum{name}" for name in algorithms} <= head.output_shape.members.keys()
    for algorithm in algorithms:
        head_response = {"ChecksumType": "FULL_OBJECT", f"Checksum{algorithm}": "value"}
        assert checksum_of(head_response) == Checksum(algorithm=algorithm, value="value")
        assert checksum_of(head_response | {"ChecksumType": "COMPOSITE"}) is None


READS = {"HeadObject", "GetObject", "ListMultipartUploads", "ListObjectVersions"}


def test_only_copies_are_written_to_the_vault(any_world: World, wire: Wire) -> None:
    """Contested, repeated and rejected uploads write nothing."""
    for body in (b"first", b"first", b"second", b""):
        any_world.promote(any_world.upload(body))
    test_uploads = {"PutObject"}  # into incoming
    written = {
        (name, sent["Bucket"]) for name, sent in wire.calls if name not in READS | test_uploads
    }
    copies = (
        {"CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"}
        if any_world.promoter.tuning == PARTS
        else {"CopyObject"}
    )
    assert written == {(name, "backups2") for name in copies} | {("DeleteObject", "backups1")}


def test_a_small_promotion_takes_six_requests_and_five_without_versions(
    world: World, wire: Wire
) -> None:
    for list_older in ([], ["ListObjectVersions"]):
        notification = world.upload(b"files", key=HOURLY)
        wire.sent.clear()
        world.promote(notification)
        lookups = ["HeadObject", "HeadObject", *list_older]
        assert wire.sent == [*lookups, "CopyObject", "HeadObject", "DeleteObject"]
        world.keep_versions()
        world.clear_vault()


def test_a_contested_upload_takes_two_requests(world: World, wire: Wire) -> None:
    world.promote(world.upload(b"first"))
    notification = world.upload(b"second")
    wire.sent.clear()
    world.promote(notification)
    assert wire.sent == ["HeadObject", "HeadObject"]
