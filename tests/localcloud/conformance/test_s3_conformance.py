"""What S3 does with one object: written, copied, read, locked and removed."""

from __future__ import annotations

import base64
import hashlib
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

from localcloud.s3 import Requester
from tests.localcloud.conformance.bucket import (
    WRITERS,
    Store,
    assert_one_winner,
    race,
    refused,
    without_checksums,
)

ACCOUNT = "123456789012"
STRANGER = "999999999999"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:promote"
ROUNDS = 3

# The bytes 1 to 9, as every list of CRCs gives them.
DIGITS = b"123456789"
CHECKSUMS = {
    "CRC32": base64.b64encode(0xCBF43926.to_bytes(4, "big")).decode(),
    "CRC32C": base64.b64encode(0xE3069283.to_bytes(4, "big")).decode(),
    "CRC64NVME": base64.b64encode(0xAE8B14860A799888.to_bytes(8, "big")).decode(),
    "SHA1": base64.b64encode(hashlib.sha1(DIGITS, usedforsecurity=False).digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(DIGITS).digest()).decode(),
}
WRONG = {
    name: base64.b64encode(bytes(len(base64.b64decode(CHECKSUMS[name])))).decode()
    for name in CHECKSUMS
}


# Conditional writes


def test_a_conditional_put_takes_a_free_key_only(store: Store) -> None:
    store.put("slot", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        store.put("slot", b"two", IfNoneMatch="*")
    assert store.body("slot") == b"one"


def test_a_conditional_copy_takes_a_free_key_only(store: Store) -> None:
    store.put("one")
    store.put("two", b"two")
    store.copy("one", "slot", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        store.copy("two", "slot", IfNoneMatch="*")
    assert store.body("slot") == b"one"


def test_a_conditional_completion_takes_a_free_key_only_and_leaves_the_upload_open(
    store: Store,
) -> None:
    upload = store.begin("slot")
    parts = store.parts(upload, b"two")
    store.put("slot")
    with refused(412, "PreconditionFailed"):
        store.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    assert store.body("slot") == b"one"
    assert len(store.list_parts(**upload)["Parts"]) == 1
    store.abort_multipart_upload(**upload)


def test_the_retry_of_a_conditional_completion_meets_its_own_object(store: Store) -> None:
    upload = store.begin("slot")
    parts = store.parts(upload, b"one")
    store.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        store.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    assert store.body("slot") == b"one"


def test_an_unfinished_upload_does_not_count_as_existing(store: Store) -> None:
    store.parts(store.begin("slot"), b"two")
    store.put("slot", IfNoneMatch="*")


def test_a_conditional_write_succeeds_on_top_of_a_delete_marker(versioned: Store) -> None:
    for key in ("put", "copied", "completed"):
        versioned.put(key)
        versioned.delete_object(Key=key)
    versioned.put("source", b"two")
    upload = versioned.begin("completed")
    # Begun after the removal: an object that vanishes meanwhile would be a conflict.
    parts = versioned.parts(upload, b"two")
    versioned.put("put", b"two", IfNoneMatch="*")
    versioned.copy("source", "copied", IfNoneMatch="*")
    versioned.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    assert {versioned.body(key) for key in ("put", "copied", "completed")} == {b"two"}


def test_a_copy_may_demand_what_it_overwrites(store: Store) -> None:
    store.put("source", b"two")
    etag = store.put("slot")["ETag"]
    with refused(412, "PreconditionFailed"):
        store.copy("source", "slot", IfMatch='"no such etag"')
    store.copy("source", "slot", IfMatch=etag)
    assert store.body("slot") == b"two"


@pytest.mark.parametrize("kind", ["put", "copy", "complete"])
def test_of_many_conditional_writers_exactly_one_wins(store: Store, kind: str) -> None:
    bodies = [f"writer {number}".encode() for number in range(WRITERS)]
    if kind == "copy":
        for number, body in enumerate(bodies):
            store.put(f"source-{number}", body)
    for turn in range(ROUNDS):
        key = f"slot-{turn}"
        attempts = [writer(store, kind, key, number, body) for number, body in enumerate(bodies)]
        words = race(attempts)
        assert_one_winner(words)
        assert store.body(key) == bodies[words.index("won")]


def writer(store: Store, kind: str, key: str, number: int, body: bytes) -> Callable[[], Any]:
    if kind == "put":
        return lambda: store.put(key, body, IfNoneMatch="*")
    if kind == "copy":
        return lambda: store.copy(f"source-{number}", key, IfNoneMatch="*")
    upload = store.begin(key)
    parts = store.parts(upload, body)
    return lambda: store.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")


# Conditional deletes


def test_a_conditional_delete_removes_what_was_meant_only(store: Store) -> None:
    meant = store.put("upload")["ETag"]
    store.put("upload", b"newer")
    with refused(412, "PreconditionFailed"):
        store.delete_object(Key="upload", IfMatch=meant)
    assert store.body("upload") == b"newer"
    store.delete_object(Key="upload", IfMatch=store.head_object(Key="upload")["ETag"])
    with refused(404):
        store.head_object(Key="upload")


def test_a_conditional_delete_of_nothing_is_refused(store: Store) -> None:
    with refused(404, "NoSuchKey"):
        store.delete_object(Key="upload", IfMatch='"no such etag"')


def test_a_plain_delete_of_nothing_is_fine(store: Store) -> None:
    store.delete_object(Key="upload")


def test_a_conditional_delete_never_removes_a_newer_upload(store: Store) -> None:
    for _ in range(ROUNDS):
        meant = store.put("upload")["ETag"]
        words = race(
            [lambda: store.put("upload", b"newer")]
            + [partial(store.delete_object, Key="upload", IfMatch=meant)] * 3
        )
        assert words[0] == "won"
        assert store.body("upload") == b"newer"


# Copies


def test_a_copy_carries_metadata_and_tags_unless_told_otherwise(store: Store) -> None:
    store.put("source", Metadata={"who": "server"}, ContentType="text/x", Tagging="tier=forever")
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
    assert (plain["Metadata"], plain["ContentType"]) == ({"who": "server"}, "text/x")
    assert replaced["Metadata"] == {"source-key": "source"}
    assert replaced["ContentType"] != "text/x"
    assert store.get_object_tagging(Key="plain")["TagSet"] == [{"Key": "tier", "Value": "forever"}]
    assert store.get_object_tagging(Key="replaced")["TagSet"] == [{"Key": "tier", "Value": "daily"}]


def test_replaced_tags_are_none_when_none_are_given(store: Store) -> None:
    store.put("source", Tagging="tier=forever")
    store.put("copy", Tagging="left=over")
    store.copy("source", "copy", TaggingDirective="REPLACE")
    assert store.get_object_tagging(Key="copy")["TagSet"] == []


def test_the_tags_of_what_was_there_before_do_not_stay(store: Store) -> None:
    store.put("key", Tagging="left=over")
    store.delete_object(Key="key")
    store.put("source")
    store.copy("source", "key")
    assert store.get_object_tagging(Key="key")["TagSet"] == []


def test_the_storage_class_does_not_travel(store: Store) -> None:
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


def test_a_copy_becomes_whole_where_the_source_was_composite(store: Store) -> None:
    upload = store.begin("source", ChecksumAlgorithm="SHA256")
    parts = store.parts(upload, DIGITS, ChecksumAlgorithm="SHA256")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    store.copy("source", "copy")
    copy = store.head_object(Key="copy", ChecksumMode="ENABLED")
    assert (copy["ChecksumSHA256"], copy["ChecksumType"]) == (CHECKSUMS["SHA256"], "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_copy_gets_the_checksum_that_is_asked_for(store: Store, algorithm: str) -> None:
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
def test_a_copy_may_demand_its_source(
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
def test_a_source_larger_than_the_limit_is_copied_in_parts_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.objects.COPY_LIMIT_BYTES", 3)
    store.put("source", b"four")
    store.put("small", b"two")
    with refused(400, "InvalidRequest"):
        store.copy("source", "copy")
    store.copy("small", "copy")
    upload = store.begin("parts")
    store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("source"))


# Multipart uploads


def test_parts_are_copied_by_range(store: Store) -> None:
    body = bytes(range(256)) * (store.part_bytes // 128)
    store.put("source", body)
    upload = store.begin("copy")
    parts = []
    for number, first in enumerate(range(0, len(body), store.part_bytes), 1):
        last = min(first + store.part_bytes, len(body)) - 1
        answer = store.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource=store.source("source"),
            CopySourceRange=f"bytes={first}-{last}",
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    store.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": parts}, MpuObjectSize=len(body)
    )
    assert store.body("copy") == body


@pytest.mark.parametrize("range_", ["bytes=0-3", "bytes=3-3", "bytes=2-1", "bytes=0-"])
def test_a_range_that_the_source_does_not_have_is_refused(store: Store, range_: str) -> None:
    store.put("source", b"one")
    upload = store.begin("copy")
    with refused(400, "InvalidArgument"):
        store.upload_part_copy(
            **upload, PartNumber=1, CopySource=store.source("source"), CopySourceRange=range_
        )


def test_an_unknown_upload_is_refused_by_every_step(store: Store) -> None:
    store.put("source")
    upload = store.begin("key")
    parts = store.parts(upload, b"one")
    store.abort_multipart_upload(**upload)
    elsewhere = store.begin("key") | {"Key": "another"}
    steps: list[Callable[[], Any]] = [
        lambda: store.upload_part(**upload, PartNumber=1, Body=b"one"),
        lambda: store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("source")),
        lambda: store.complete_multipart_upload(**upload, MultipartUpload=parts),
        lambda: store.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*"),
        lambda: store.list_parts(**upload),
        lambda: store.list_parts(**elsewhere),
    ]
    for step in steps:
        with refused(404, "NoSuchUpload"):
            step()


def test_a_completion_of_another_size_is_refused_and_leaves_the_upload_open(store: Store) -> None:
    upload = store.begin("key")
    parts = store.parts(upload, b"one")
    with refused(400, "InvalidRequest"):
        store.complete_multipart_upload(**upload, MultipartUpload=parts, MpuObjectSize=4)
    assert "Contents" not in store.list_objects_v2()
    store.complete_multipart_upload(**upload, MultipartUpload=parts, MpuObjectSize=3)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_a_completion_with_another_checksum_is_refused_and_leaves_the_upload_open(
    store: Store, algorithm: str
) -> None:
    store.put("source", DIGITS)
    upload = store.begin("key", ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    part = store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("source"))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
    complete = upload | {"MultipartUpload": parts, "ChecksumType": "FULL_OBJECT"}
    with refused(400, "BadDigest"):
        store.complete_multipart_upload(**complete, **{f"Checksum{algorithm}": WRONG[algorithm]})
    assert "Contents" not in store.list_objects_v2(Prefix="key")
    right = {f"Checksum{algorithm}": CHECKSUMS[algorithm]}
    made = store.complete_multipart_upload(**complete, **right)
    assert made[f"Checksum{algorithm}"] == CHECKSUMS[algorithm]
    head = store.head_object(Key="key", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (
        CHECKSUMS[algorithm],
        "FULL_OBJECT",
    )


def test_parts_must_exist_be_in_order_and_be_large_enough(store: Store) -> None:
    upload = store.begin("key")
    small = store.part_bytes - 1
    one, two = store.parts(upload, bytes(small), b"two")["Parts"]
    cases = {
        "InvalidPartOrder": [two, one],
        "InvalidPart": [one, two | {"ETag": '"another"'}],
        "EntityTooSmall": [one, two],
    }
    for code, parts in cases.items():
        with refused(400, code):
            store.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_a_part_that_is_sent_again_replaces_the_first(store: Store) -> None:
    upload = store.begin("key")
    store.parts(upload, b"one")
    parts = store.parts(upload, b"two")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert store.body("key") == b"two"


def test_parts_are_listed_by_number_whatever_is_missing_between(store: Store) -> None:
    upload = store.begin("key")
    for number in (2, 40, 7, 1000):
        store.parts(upload, b"one", first=number)
    pages = list(
        store.s3.get_paginator("list_parts").paginate(
            Bucket=store.bucket, **upload, PaginationConfig={"PageSize": 3}
        )
    )
    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [
        [2, 7, 40],
        [1000],
    ]
    behind = store.list_parts(**upload, PartNumberMarker=7)["Parts"]
    assert [part["PartNumber"] for part in behind] == [40, 1000]
    assert {part["Size"] for part in behind} == {3}


def test_uploads_are_listed_by_key_and_age_page_by_page(store: Store) -> None:
    begun = [(key, store.begin(key)["UploadId"]) for key in ("b", "a/2", "a/1", "a/2", "c")]
    by_key = sorted(begun, key=lambda upload: upload[0])
    pages = list(
        store.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=store.bucket, PaginationConfig={"PageSize": 2}
        )
    )
    listed = [(one["Key"], one["UploadId"]) for page in pages for one in page["Uploads"]]
    assert len(pages) == 3
    assert [key for key, _ in listed] == [key for key, _ in by_key]
    assert sorted(listed) == sorted(begun)
    some = store.list_multipart_uploads(Prefix="a/")["Uploads"]
    assert [one["Key"] for one in some] == ["a/1", "a/2", "a/2"]


def test_the_chosen_checksum_is_shown_while_the_upload_is_open(store: Store) -> None:
    begun = store.create_multipart_upload(
        Key="key", ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
    )
    upload = {"Key": "key", "UploadId": begun["UploadId"]}
    (listed,) = store.list_multipart_uploads()["Uploads"]
    for shown in (begun, listed, store.list_parts(**upload)):
        assert (shown["ChecksumAlgorithm"], shown["ChecksumType"]) == ("CRC64NVME", "FULL_OBJECT")


# Checksums


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_wrong_checksum_stores_nothing(store: Store, algorithm: str) -> None:
    wrong = {f"Checksum{algorithm}": WRONG[algorithm]}
    with refused(400, "BadDigest"):
        store.put("key", DIGITS, **wrong)
    assert "Contents" not in store.list_objects_v2()
    kind = "COMPOSITE" if algorithm.startswith("SHA") else "FULL_OBJECT"
    upload = store.begin("key", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    with refused(400, "BadDigest"):
        store.upload_part(**upload, PartNumber=1, Body=DIGITS, **wrong)
    assert "Parts" not in store.list_parts(**upload)


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_right_checksum_is_shown_when_asked_for(store: Store, algorithm: str) -> None:
    store.put("key", DIGITS, **{f"Checksum{algorithm}": CHECKSUMS[algorithm]})
    asked = store.head_object(Key="key", ChecksumMode="ENABLED")
    assert asked[f"Checksum{algorithm}"] == CHECKSUMS[algorithm]
    assert asked["ChecksumType"] == "FULL_OBJECT"
    assert not [name for name in store.head_object(Key="key") if name.startswith("Checksum")]
    got = store.get_object(Key="key", ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == CHECKSUMS[algorithm]


def test_an_upload_without_a_checksum_gets_one(store: Store) -> None:
    with without_checksums(store) as plain:
        plain.put("key", DIGITS)
        upload = plain.begin("parts")
        parts = plain.parts(upload, DIGITS)
        plain.complete_multipart_upload(**upload, MultipartUpload=parts)
        plain.copy("key", "copy")
    for key in ("key", "parts", "copy"):
        head = store.head_object(Key=key, ChecksumMode="ENABLED")
        assert head["ChecksumCRC64NVME"] == CHECKSUMS["CRC64NVME"]
        assert head["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
def test_a_sha_of_a_multipart_upload_is_a_checksum_of_checksums(
    store: Store, algorithm: str
) -> None:
    upload = store.begin("key", ChecksumAlgorithm=algorithm)
    bodies = [bytes(store.part_bytes), DIGITS]
    parts = store.parts(upload, *bodies, ChecksumAlgorithm=algorithm)
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    digests = b"".join(hashlib.new(algorithm, body).digest() for body in bodies)
    expected = base64.b64encode(hashlib.new(algorithm, digests).digest()).decode()
    head = store.head_object(Key="key", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == f"{expected}-2"
    assert head["ChecksumType"] == "COMPOSITE"


def test_a_wrong_md5_stores_nothing(store: Store) -> None:
    wrong = base64.b64encode(bytes(16)).decode()
    with refused(400, "BadDigest"):
        store.put("key", ContentMD5=wrong)
    assert "Contents" not in store.list_objects_v2()


# What cannot be copied


def test_an_upload_with_a_customers_key_cannot_be_looked_at_without_it(store: Store) -> None:
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


@pytest.mark.usefixtures("double_only")  # a real one wants a key that exists
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
def test_an_archived_upload_can_be_looked_at_and_not_be_copied(
    store: Store, storage_class: str
) -> None:
    store.put("key", StorageClass=storage_class)
    upload = store.begin("parts")
    assert store.head_object(Key="key")["StorageClass"] == storage_class
    with refused(403, "InvalidObjectState"):
        store.get_object(Key="key")
    with refused(403, "InvalidObjectState"):
        store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("key"))
    with pytest.raises(ClientError) as caught:
        store.copy("key", "copy")
    # The API's own list says the first, answers of the past the second.
    assert caught.value.response["Error"]["Code"] in {
        "ObjectNotInActiveTierError",
        "InvalidObjectState",
    }
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


# Locks


@pytest.mark.usefixtures("double_only")  # nobody could remove what a real one has locked
def test_every_way_of_writing_gets_the_default_retention(store: Store) -> None:
    bucket = f"locked-{uuid.uuid4()}"
    locked = Store(store.s3, bucket, part_bytes=store.part_bytes)
    locked.create_bucket(ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    locked.put_object_lock_configuration(
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    store.put("source")
    locked.put("put", ChecksumAlgorithm="CRC32")
    locked.copy_object(CopySource=store.source("source"), Key="copied")
    upload = locked.begin("completed")
    parts = locked.parts(upload, b"one")
    locked.complete_multipart_upload(**upload, MultipartUpload=parts)
    for key in ("put", "copied", "completed"):
        head = locked.head_object(Key=key)
        assert head["ObjectLockMode"] == "COMPLIANCE"
        assert "ObjectLockRetainUntilDate" in head
        with refused(403, "AccessDenied"):
            locked.delete_object(Key=key, VersionId=head["VersionId"])


@pytest.mark.usefixtures("double_only")  # it stays locked for a day
@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_lock_can_be_lengthened_and_is_shortened_only_by_a_bypass(
    store: Store, mode: str
) -> None:
    locked = Store(store.s3, f"locked-{uuid.uuid4()}", part_bytes=store.part_bytes)
    locked.create_bucket(ObjectLockEnabledForBucket=True)
    locked.put("key")
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    longer = first + timedelta(days=1)

    def until() -> datetime:
        head = locked.head_object(Key="key")
        assert head["ObjectLockMode"] == mode
        return head["ObjectLockRetainUntilDate"]

    def lock(moment: datetime, **more: Any) -> None:
        retention = {"Mode": mode, "RetainUntilDate": moment}
        locked.put_object_retention(Key="key", Retention=retention, **more)

    lock(first)
    lock(longer)
    assert until() == longer
    with refused(403, "AccessDenied"):
        lock(first)
    assert until() == longer
    if mode == "COMPLIANCE":
        with refused(403, "AccessDenied"):
            lock(first, BypassGovernanceRetention=True)
        weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": longer}
        with refused(403, "AccessDenied"):
            locked.put_object_retention(Key="key", Retention=weaker)
        assert until() == longer
    else:
        lock(first, BypassGovernanceRetention=True)
        assert until() == first


# Owners


def test_a_bucket_of_somebody_else_is_refused(store: Store) -> None:
    store.put("key")
    upload = store.begin("parts")
    stranger = {"ExpectedBucketOwner": STRANGER}
    source = {"CopySource": store.source("key")}
    steps: list[Callable[[], Any]] = [
        lambda: store.put("key", b"two", **stranger),
        lambda: store.get_object(Key="key", **stranger),
        lambda: store.copy("key", "copy", **stranger),
        lambda: store.copy("key", "copy", ExpectedSourceBucketOwner=STRANGER),
        lambda: store.upload_part_copy(
            **upload, **source, PartNumber=1, ExpectedSourceBucketOwner=STRANGER
        ),
        lambda: store.delete_object(Key="key", **stranger),
        lambda: store.list_objects_v2(**stranger),
        lambda: store.list_multipart_uploads(**stranger),
    ]
    for step in steps:
        with refused(403, "AccessDenied"):
            step()
    with refused(403):
        store.head_object(Key="key", **stranger)
    assert store.body("key") == b"one"


@pytest.mark.usefixtures("double_only")  # whose account it is, the test does not know elsewhere
def test_a_bucket_of_ones_own_is_not_refused(store: Store) -> None:
    store.put("key", ExpectedBucketOwner=ACCOUNT)
    store.copy("key", "copy", ExpectedBucketOwner=ACCOUNT, ExpectedSourceBucketOwner=ACCOUNT)
    store.head_object(Key="copy", ExpectedBucketOwner=ACCOUNT)


# Events


@pytest.fixture
def told(
    store: Store, events: list[tuple[str, dict[str, Any]]], double_only: None
) -> Callable[[], list[dict[str, Any]]]:
    """Listens to the bucket; answers with the records since the last look."""
    store.put_bucket_notification_configuration(
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}
            ]
        }
    )
    events.clear()

    def look() -> list[dict[str, Any]]:
        assert {function for function, _ in events} <= {FUNCTION}
        records = [record for _, event in events for record in event["Records"]]
        events.clear()
        return records

    return look


def test_every_creation_is_told_exactly_once(
    store: Store, told: Callable[[], list[dict[str, Any]]]
) -> None:
    store.put("put", Tagging="a=b")
    store.copy("put", "copied")
    upload = store.begin("completed")
    parts = store.parts(upload, b"one")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    with refused(412, "PreconditionFailed"):
        store.put("put", IfNoneMatch="*")
    store.delete_object(Key="put")
    assert [(record["eventName"], record["s3"]["object"]["key"]) for record in told()] == [
        ("ObjectCreated:Put", "put"),
        ("ObjectCreated:Copy", "copied"),
        ("ObjectCreated:CompleteMultipartUpload", "completed"),
    ]


def test_a_record_says_what_was_made_and_by_whom(
    store: Store, told: Callable[[], list[dict[str, Any]]]
) -> None:
    key = "web1/ü +backup.tar.gz"
    etag = store.put(key)["ETag"]
    (record,) = told()
    assert record["eventVersion"].startswith("2.")
    assert record["eventSource"] == "aws:s3"
    assert record["s3"]["bucket"]["name"] == store.bucket
    described = record["s3"]["object"]
    assert described["key"] == "web1/%C3%BC+%2Bbackup.tar.gz"
    assert unquote_plus(described["key"]) == key
    assert (described["size"], described["eTag"]) == (3, etag.strip('"'))
    assert "versionId" not in described
    default = Requester()
    assert record["userIdentity"] == {"principalId": default.principal_id}
    assert record["requestParameters"] == {"sourceIPAddress": default.source_ip}


def test_records_of_a_versioned_bucket_carry_the_version_and_sort_by_sequencer(
    versioned: Store, told: Callable[[], list[dict[str, Any]]]
) -> None:
    versions = [versioned.put("key")["VersionId"] for _ in range(3)]
    described = [record["s3"]["object"] for record in told()]
    assert [one["versionId"] for one in described] == versions
    sequencers = [one["sequencer"] for one in described]
    assert sequencers == sorted(set(sequencers))


# Bucket policies


@pytest.mark.usefixtures("double_only")  # it would lock the test out of its own bucket
def test_policies_are_somebody_elses_task(store: Store) -> None:
    deny = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",'
        f'"Action":"s3:PutObject","Resource":"arn:aws:s3:::{store.bucket}/*",'
        '"Condition":{"Null":{"s3:if-none-match":"true"}}}]}'
    )
    store.put_bucket_policy(Policy=deny)
    store.put("key", IfNoneMatch="*")
