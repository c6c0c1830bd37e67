"""Checksums: verified when they are sent, and shown on request."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.localcloud.conformance.bucket import (
    CHECKSUMS,
    DIGITS,
    WRONG,
    Store,
    refused,
    without_checksums,
)


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
def test_a_correct_checksum_is_shown_on_request(store: Store, algorithm: str) -> None:
    store.put("key", DIGITS, **{f"Checksum{algorithm}": CHECKSUMS[algorithm]})
    head = store.head_object(Key="key", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == CHECKSUMS[algorithm]
    assert head["ChecksumType"] == "FULL_OBJECT"
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
