"""Multipart uploads: initiated, filled, listed and completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.conformance.bucket import (
    CHECKSUMS,
    DIGITS,
    WRONG,
    Store,
    refused,
)


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
def test_a_range_outside_the_source_is_refused(store: Store, range_: str) -> None:
    store.put("source", b"one")
    upload = store.begin("copy")
    with refused(400, "InvalidArgument"):
        store.upload_part_copy(
            **upload, PartNumber=1, CopySource=store.source("source"), CopySourceRange=range_
        )


def test_every_request_for_an_unknown_upload_is_refused(store: Store) -> None:
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
    first, second = store.parts(upload, bytes(small), b"two")["Parts"]
    cases = {
        "InvalidPartOrder": [second, first],
        "InvalidPart": [first, second | {"ETag": '"another"'}],
        "EntityTooSmall": [first, second],
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


def test_parts_are_listed_by_number_with_gaps(store: Store) -> None:
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
    listed = [(item["Key"], item["UploadId"]) for page in pages for item in page["Uploads"]]
    assert len(pages) == 3
    assert [key for key, _ in listed] == [key for key, _ in by_key]
    assert sorted(listed) == sorted(begun)
    some = store.list_multipart_uploads(Prefix="a/")["Uploads"]
    assert [item["Key"] for item in some] == ["a/1", "a/2", "a/2"]


def test_the_chosen_checksum_is_shown_while_the_upload_is_open(store: Store) -> None:
    begun = store.create_multipart_upload(
        Key="key", ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
    )
    upload = {"Key": "key", "UploadId": begun["UploadId"]}
    (listed,) = store.list_multipart_uploads()["Uploads"]
    for answer in (begun, listed, store.list_parts(**upload)):
        assert (answer["ChecksumAlgorithm"], answer["ChecksumType"]) == ("CRC64NVME", "FULL_OBJECT")


@pytest.mark.parametrize(
    ("completion", "code"),
    [
        pytest.param({}, "InvalidRequest", id="no body"),
        pytest.param({"MultipartUpload": {"Parts": []}}, "MalformedXML", id="an empty list"),
        pytest.param(
            {"MultipartUpload": {"Parts": [{"ETag": "etag"}]}}, "MalformedXML", id="no number"
        ),
    ],
)
def test_an_upload_cannot_be_completed_without_parts(
    store: Store, completion: dict[str, Any], code: str
) -> None:
    upload = store.begin("key")
    store.parts(upload, b"one")
    with refused(400, code):
        store.complete_multipart_upload(**upload, **completion)
    assert len(store.list_parts(**upload)["Parts"]) == 1
