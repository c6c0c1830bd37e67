"""The very requests that a copy sends."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.copying import Source, is_single
from chalicelib.gathering import CHECKSUMS
from chalicelib.part_plan import GIB, MIB, Limits
from localcloud.wire import Wire
from tests.world import HOURLY, PARTS, World


@pytest.mark.parametrize(
    ("size", "checksum", "single"),
    [
        pytest.param(34 * MIB, None, True, id="as large as one request is quick"),
        pytest.param(34 * MIB + 1, None, False, id="a byte more"),
        pytest.param(5 * GIB, ("SHA256", "x"), True, id="SHA cannot be kept in parts"),
        pytest.param(5 * GIB, ("CRC64NVME", "x"), False, id="a CRC can"),
    ],
)
def test_a_copy_is_made_at_once_or_in_parts(
    size: int, checksum: tuple[str, str] | None, single: bool
) -> None:
    source = Source(
        bucket="b",
        key="k",
        etag="e",
        size=size,
        last_modified=datetime(2026, 11, 23, tzinfo=UTC),
        checksum=checksum,
    )
    assert is_single(source, Limits()) is single


def pins(notice_version: str | None) -> dict[str, Any]:
    source: dict[str, Any] = {"Bucket": "backups1", "Key": "backup.tar.gz.gpg"}
    return source | ({"VersionId": notice_version} if notice_version else {})


def test_every_request_says_what_it_must(any_world: World, wire: Wire) -> None:
    settings = replace(
        any_world.promoter.settings, incoming_owner="123456789012", vault_owner="123456789012"
    )
    world = replace(any_world, promoter=replace(any_world.promoter, settings=settings))
    notice = world.upload(b"several parts")
    slot = world.promoter.policy.slot_of(notice.key, datetime.now(UTC)).name
    world.s3.create_multipart_upload(Bucket="backups2", Key=slot)
    wire.calls.clear()
    record = world.promote(notice)

    for name, sent in wire.calls:
        assert sent["ExpectedBucketOwner"] == "123456789012", name
        if name in {"CopyObject", "CompleteMultipartUpload"}:
            assert sent["IfNoneMatch"] == "*"
        if name in {"CopyObject", "UploadPartCopy"}:
            assert sent["CopySource"] == pins(notice.version_id)
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
            pin = {"VersionId": notice.version_id} if notice.version_id else {"IfMatch"}
            assert set(pin) <= set(sent)


def test_every_checksum_that_s3_knows_is_compared(world: World) -> None:
    copy = world.s3.meta.service_model.operation_model("CopyObject")
    known = copy.input_shape.members["ChecksumAlgorithm"].enum
    assert set(CHECKSUMS) == set(known)


READS = {"HeadObject", "GetObject", "ListMultipartUploads", "ListObjectVersions"}


def test_nothing_else_is_ever_written_to_the_vault(any_world: World, wire: Wire) -> None:
    """Also not by contested, repeated and rejected uploads."""
    for body in (b"first", b"first", b"second", b""):
        any_world.promote(any_world.upload(body))
    own = {"PutObject"}  # the test's uploads, into incoming
    written = {(name, sent["Bucket"]) for name, sent in wire.calls if name not in READS | own}
    copies = (
        {"CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"}
        if any_world.promoter.limits == PARTS
        else {"CopyObject"}
    )
    assert written == {(name, "backups2") for name in copies} | {("DeleteObject", "backups1")}


def test_a_small_promotion_takes_six_requests_and_five_without_versions(
    world: World, wire: Wire
) -> None:
    for list_of_older in ([], ["ListObjectVersions"]):
        notice = world.upload(b"files", key=HOURLY)
        wire.sent.clear()
        world.promote(notice)
        looks = ["HeadObject", "HeadObject", *list_of_older]
        assert wire.sent == [*looks, "CopyObject", "HeadObject", "DeleteObject"]
        world.keep_versions()
        world.clear_vault()


def test_a_contested_upload_costs_two_looks(world: World, wire: Wire) -> None:
    world.promote(world.upload(b"first"))
    notice = world.upload(b"second")
    wire.sent.clear()
    world.promote(notice)
    assert wire.sent == ["HeadObject", "HeadObject"]
