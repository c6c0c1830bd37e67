"""Encryption: a bucket's default, and the effect of unusable keys.

A real S3 would need existing keys that can be disabled.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from localcloud.s3.kms_keys import kms_keys
from tests.localcloud.conformance.bucket import (
    Store,
    refused,
    without_checksums,
)

KMS_KEY = f"arn:aws:kms:us-east-1:123456789012:key/{uuid.uuid4()}"


@pytest.fixture
def encrypting(store: Store, double_only: None) -> Iterator[Store]:
    """A bucket whose default is a KMS key."""
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}
    store.put_bucket_encryption(
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
        }
    )
    yield store
    kms_keys.reset()


def encryption(store: Store, key: str) -> tuple[str, str | None]:
    head = store.head_object(Key=key)
    return head["ServerSideEncryption"], head.get("SSEKMSKeyId")


def test_a_write_without_encryption_gets_the_buckets_default(encrypting: Store) -> None:
    encrypting.put("put")
    encrypting.copy("put", "copied")
    upload = encrypting.begin("completed")
    parts = encrypting.parts(upload, b"one")
    encrypting.complete_multipart_upload(**upload, MultipartUpload=parts)
    for key in ("put", "copied", "completed"):
        assert encryption(encrypting, key) == ("aws:kms", KMS_KEY)


def test_a_write_gets_the_encryption_it_names(encrypting: Store) -> None:
    named = {"ServerSideEncryption": "AES256"}
    encrypting.put("put", **named)
    encrypting.copy("put", "copied", **named)
    upload = encrypting.begin("completed", **named)
    parts = encrypting.parts(upload, b"one")
    encrypting.complete_multipart_upload(**upload, MultipartUpload=parts)
    encrypting.put("another", ServerSideEncryption="aws:kms")
    assert encryption(encrypting, "another") != ("aws:kms", KMS_KEY)
    kms_keys.disable(KMS_KEY)
    for key in ("put", "copied", "completed"):
        assert encryption(encrypting, key) == ("AES256", None)
        assert encrypting.body(key) == b"one"


def test_a_multipart_upload_keeps_the_encryption_from_its_initiation(
    encrypting: Store,
) -> None:
    upload = encrypting.begin("completed")
    encrypting.delete_bucket_encryption()
    parts = encrypting.parts(upload, b"one")
    encrypting.complete_multipart_upload(**upload, MultipartUpload=parts)
    encrypting.put("put")
    assert encryption(encrypting, "completed") == ("aws:kms", KMS_KEY)
    assert encryption(encrypting, "put") == ("AES256", None)


def reads(store: Store) -> list[Callable[[], object]]:
    """Requests that need the bytes of the object `key`."""
    upload = store.begin("parts", ServerSideEncryption="AES256")
    named = {"ServerSideEncryption": "AES256"}
    return [
        lambda: store.get_object(Key="key"),
        lambda: store.copy("key", "copied", **named),
        lambda: store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("key")),
    ]


def test_nothing_can_be_read_or_written_under_a_disabled_key(encrypting: Store) -> None:
    encrypting.put("key")
    encrypting.put("plain", ServerSideEncryption="AES256")
    upload = encrypting.begin("begun")
    kms_keys.disable(KMS_KEY)
    writes: list[Callable[[], object]] = [
        lambda: encrypting.put("put"),
        lambda: encrypting.copy("plain", "copied"),
        lambda: encrypting.begin("parts"),
        lambda: encrypting.upload_part(**upload, PartNumber=1, Body=b"one"),
    ]
    for request in writes + reads(encrypting):
        with refused(400, "KMS.DisabledException"):
            request()
    with without_checksums(encrypting) as plain, refused(400, "KMS.DisabledException"):
        plain.get_object(Key="key")
    assert encryption(encrypting, "key") == ("aws:kms", KMS_KEY)
    # A checksum reveals something about the bytes.
    with refused(400):
        encrypting.head_object(Key="key", ChecksumMode="ENABLED")


def test_objects_under_another_accounts_key_can_be_written_but_not_read(
    encrypting: Store,
) -> None:
    kms_keys.lend(KMS_KEY)
    encrypting.put("plain", ServerSideEncryption="AES256")
    encrypting.copy("plain", "key")
    upload = encrypting.begin("begun")
    for request in reads(encrypting):
        with refused(403, "AccessDenied"):
            request()
    with refused(403, "AccessDenied"):
        encrypting.upload_part(**upload, PartNumber=1, Body=b"one")
    with refused(403):
        encrypting.head_object(Key="key", ChecksumMode="ENABLED")
    assert encryption(encrypting, "key") == ("aws:kms", KMS_KEY)
