"""Copies: what they carry over, their conditions, and what cannot be copied."""

from __future__ import annotations

import base64
import hashlib
import uuid
import zlib

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conformance.bucket import (
    CHECKSUMS,
    DIGITS,
    STRANGER,
    Store,
    refused,
)


def test_a_copy_carries_metadata_and_tags_by_default(store: Store) -> None:
    store.put("source", Metadata={"sender": "server"}, ContentType="text/x", Tagging="tier=forever")
    store.copy("source", "plain")
    store.copy(
        "source",
        "replaced",
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        Metadata={"source-key": "source"},
        Tagging="tier=daily",
    )
    plain, replaced = store.head_object(Key="plain"), store.head_object(Key="replaced")
    assert (plain["Metadata"], plain["ContentType"]) == ({"sender": "server"}, "text/x")
    assert replaced["Metadata"] == {"source-key": "source"}
    assert replaced["ContentType"] != "text/x"
    assert store.get_object_tagging(Key="plain")["TagSet"] == [{"Key": "tier", "Value": "forever"}]
    assert store.get_object_tagging(Key="replaced")["TagSet"] == [{"Key": "tier", "Value": "daily"}]


def test_replacing_tags_without_new_tags_removes_them(store: Store) -> None:
    store.put("source", Tagging="tier=forever")
    store.put("copy", Tagging="left=over")
    store.copy("source", "copy", TaggingDirective="REPLACE")
    assert store.get_object_tagging(Key="copy")["TagSet"] == []


def test_the_tags_of_a_previous_object_do_not_stay(store: Store) -> None:
    store.put("key", Tagging="left=over")
    store.delete_object(Key="key")
    store.put("source")
    store.copy("source", "key")
    assert store.get_object_tagging(Key="key")["TagSet"] == []


def test_the_storage_class_is_not_copied(store: Store) -> None:
    store.put("source", StorageClass="STANDARD_IA")
    store.copy("source", "plain")
    store.copy("source", "chosen", StorageClass="GLACIER_IR")
    assert "StorageClass" not in store.head_object(Key="plain")
    assert store.head_object(Key="chosen")["StorageClass"] == "GLACIER_IR"


def test_the_copy_of_a_multipart_upload_has_a_plain_md5_and_the_same_full_checksum(
    store: Store,
) -> None:
    upload = store.begin("source", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    head, tail = bytes(store.part_bytes), b"the end"
    parts = store.parts(upload, head, tail, ChecksumAlgorithm="CRC32")
    made = store.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert made["ETag"].endswith('-2"')
    store.copy("source", "copy")
    source = store.head_object(Key="source", ChecksumMode="ENABLED")
    copy = store.head_object(Key="copy", ChecksumMode="ENABLED")
    md5 = hashlib.md5(head + tail, usedforsecurity=False).hexdigest()
    crc = base64.b64encode(zlib.crc32(head + tail).to_bytes(4, "big")).decode()
    assert copy["ETag"] == f'"{md5}"'
    assert copy["ChecksumCRC32"] == source["ChecksumCRC32"] == crc
    assert copy["ChecksumType"] == source["ChecksumType"] == "FULL_OBJECT"
    assert not [name for name in store.head_object(Key="source") if name.startswith("Checksum")]


def test_a_copy_of_a_composite_checksum_gets_a_full_checksum(store: Store) -> None:
    upload = store.begin("source", ChecksumAlgorithm="SHA256")
    parts = store.parts(upload, DIGITS, ChecksumAlgorithm="SHA256")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    store.copy("source", "copy")
    copy = store.head_object(Key="copy", ChecksumMode="ENABLED")
    assert (copy["ChecksumSHA256"], copy["ChecksumType"]) == (CHECKSUMS["SHA256"], "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_copy_gets_the_requested_checksum(store: Store, algorithm: str) -> None:
    store.put("source", DIGITS)
    store.copy("source", "copy", ChecksumAlgorithm=algorithm)
    copy = store.head_object(Key="copy", ChecksumMode="ENABLED")
    assert copy[f"Checksum{algorithm}"] == CHECKSUMS[algorithm]
    assert copy["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        pytest.param({"CopySourceIfMatch": "{etag}"}, True, id="match, the same"),
        pytest.param({"CopySourceIfMatch": '"another"'}, False, id="match, another"),
        pytest.param({"CopySourceIfNoneMatch": "{etag}"}, False, id="none match, the same"),
        pytest.param({"CopySourceIfNoneMatch": '"another"'}, True, id="none match, another"),
    ],
)
def test_a_copy_can_be_conditional_on_its_source(
    store: Store, condition: dict[str, str], *, holds: bool
) -> None:
    etag = store.put("source")["ETag"]
    condition = {name: value.replace("{etag}", etag) for name, value in condition.items()}
    part = store.begin("parts") | {"PartNumber": 1, "CopySource": store.source("source")}
    if holds:
        store.copy("source", "copy", **condition)
        store.upload_part_copy(**part, **condition)
        return
    with refused(412, "PreconditionFailed"):
        store.copy("source", "copy", **condition)
    with refused(412, "PreconditionFailed"):
        store.upload_part_copy(**part, **condition)
    assert "Contents" not in store.list_objects_v2(Prefix="copy")
    assert "Parts" not in store.list_parts(Key="parts", UploadId=part["UploadId"])


def test_a_copy_of_nothing_is_refused(store: Store) -> None:
    upload = store.begin("parts")
    with refused(404, "NoSuchKey"):
        store.copy("nothing", "copy")
    with refused(404, "NoSuchKey"):
        store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("nothing"))


def test_a_copy_can_name_a_version(versioned: Store) -> None:
    first = versioned.put("source")["VersionId"]
    versioned.put("source", b"two")
    source = versioned.source("source") | {"VersionId": first}
    copied = versioned.copy_object(CopySource=source, Key="copy")
    assert copied["CopySourceVersionId"] == first
    assert versioned.body("copy") == b"one"


def test_a_copy_of_a_removed_upload_is_refused(versioned: Store) -> None:
    versioned.put("source")
    versioned.delete_object(Key="source")
    with refused(404, "NoSuchKey"):
        versioned.copy("source", "copy")


@pytest.mark.usefixtures("double_only")
def test_a_source_larger_than_the_limit_can_only_be_copied_in_parts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.s3.objects.COPY_LIMIT_BYTES", 3)
    store.put("source", b"four")
    store.put("small", b"two")
    with refused(400, "InvalidRequest"):
        store.copy("source", "copy")
    store.copy("small", "copy")
    upload = store.begin("parts")
    store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("source"))


# What cannot be copied


def test_an_object_encrypted_with_a_customers_key_cannot_be_read_without_it(store: Store) -> None:
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    store.put("key", **key)
    upload = store.begin("parts")
    with refused(400):
        store.head_object(Key="key")
    with refused(400, "InvalidRequest"):
        store.get_object(Key="key")
    with refused(400, "InvalidRequest"):
        store.copy("key", "copy")
    with refused(400, "InvalidRequest"):
        store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("key"))
    assert store.body("key", **key) == b"one"
    with refused(403):
        store.head_object(Key="key", SSECustomerAlgorithm="AES256", SSECustomerKey="j" * 32)
    source_key = {f"CopySource{name}": value for name, value in key.items()}
    store.copy("key", "copy", **source_key)
    assert store.body("copy") == b"one"


@pytest.mark.usefixtures("double_only")  # a real S3 needs an existing key
def test_an_upload_under_a_kms_key_shows_it(store: Store) -> None:
    key = f"arn:aws:kms:us-east-1:{STRANGER}:key/{uuid.uuid4()}"
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    store.put("plain")
    store.put("put", **kms)
    upload = store.begin("parts", **kms)
    parts = store.parts(upload, b"one")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    for name in ("put", "parts"):
        head = store.head_object(Key=name)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    assert store.head_object(Key="plain")["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_can_be_headed_but_not_copied(store: Store, storage_class: str) -> None:
    store.put("key", StorageClass=storage_class)
    upload = store.begin("parts")
    assert store.head_object(Key="key")["StorageClass"] == storage_class
    with refused(403, "InvalidObjectState"):
        store.get_object(Key="key")
    with refused(403, "InvalidObjectState"):
        store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("key"))
    with pytest.raises(ClientError) as caught:
        store.copy("key", "copy")
    # The API reference documents the first; older responses had the second.
    assert caught.value.response["Error"]["Code"] in {
        "ObjectNotInActiveTierError",
        "InvalidObjectState",
    }
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
