"""What a bucket's configuration does to the objects that come into it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from localcloud.kms_keys import kms_keys
from tests.localcloud.conformance.bucket import Store, refused, without_checksums


@pytest.fixture
def locking(store: Store) -> Iterator[Store]:
    """A bucket with Object Lock and no default retention, removed at the end if it is empty."""
    locking = Store(store.s3, f"locking-{uuid.uuid4()}", part_bytes=store.part_bytes)
    locking.create_bucket(ObjectLockEnabledForBucket=True)
    yield locking
    locking.delete_bucket()


@pytest.fixture
def locked(store: Store, double_only: None) -> Store:
    """A bucket with Object Lock: what is locked in it stays, which no real bucket should."""
    locked = Store(store.s3, f"locked-{uuid.uuid4()}", part_bytes=store.part_bytes)
    locked.create_bucket(ObjectLockEnabledForBucket=True)
    return locked


def retain(store: Store, mode: str, days: int) -> None:
    """Sets the bucket's default retention."""
    retention = {"DefaultRetention": {"Mode": mode, "Days": days}}
    store.put_object_lock_configuration(
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )


# Locks


def test_versioning_of_a_bucket_with_object_lock_cannot_be_suspended(locking: Store) -> None:
    with refused(409, "InvalidBucketState"):
        locking.put_bucket_versioning(VersioningConfiguration={"Status": "Suspended"})
    locking.put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"})
    assert locking.get_bucket_versioning()["Status"] == "Enabled"


def test_object_lock_needs_versioning(store: Store) -> None:
    with refused(409, "InvalidBucketState"):
        store.put_object_lock_configuration(
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        )


def test_the_retention_of_an_object_can_be_asked_for(locked: Store) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    first = locked.put("key")["VersionId"]
    locked.put_object_retention(
        Key="key", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    locked.put("key", b"unlocked")
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    assert locked.get_object_retention(Key="key", VersionId=first)["Retention"] == lock
    with refused(404, "NoSuchObjectLockConfiguration"):
        locked.get_object_retention(Key="key")
    with refused(404, "NoSuchKey"):
        locked.get_object_retention(Key="nothing")


def test_where_nothing_can_be_locked_there_is_no_retention(store: Store) -> None:
    store.put("key")
    with refused(400, "InvalidRequest"):
        store.get_object_retention(Key="key")


@pytest.mark.usefixtures("double_only")
def test_an_upload_in_parts_keeps_the_retention_of_the_moment_when_it_was_begun(
    locked: Store,
) -> None:
    before = locked.begin("before")
    retain(locked, "COMPLIANCE", 1)
    during = locked.begin("during")
    retain(locked, "GOVERNANCE", 5)
    modes = []
    for upload in (before, during):
        parts = locked.parts(upload, b"one")
        locked.complete_multipart_upload(**upload, MultipartUpload=parts)
        modes.append(locked.head_object(Key=upload["Key"]).get("ObjectLockMode"))
    assert modes == [None, "COMPLIANCE"]
    copied = locked.copy("before", "copied")
    assert locked.head_object(Key="copied")["ObjectLockMode"] == "GOVERNANCE", copied


# Conditions


@pytest.mark.parametrize("value", ["", '"etag"'])
def test_a_write_takes_no_other_condition_than_that_nothing_is_there(
    store: Store, value: str, double: str | None
) -> None:
    if double is None and not value:
        pytest.skip("what S3 does with an empty condition, nobody has seen")
    store.put("key")
    upload = store.begin("key")
    parts = store.parts(upload, b"two")
    for write in (
        lambda: store.put("key", b"two", IfNoneMatch=value),
        lambda: store.copy("key", "copied", IfNoneMatch=value),
        lambda: store.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch=value),
    ):
        with refused(501, "NotImplemented"):
            write()
    assert store.body("key") == b"one"
    assert [item["Key"] for item in store.list_objects_v2()["Contents"]] == ["key"]


def test_what_has_not_changed_is_not_sent_again(store: Store) -> None:
    etag = store.put("key", ChecksumAlgorithm="CRC32")["ETag"]
    for read in (store.get_object, store.head_object):
        with refused(304):
            read(Key="key", IfNoneMatch=etag, ChecksumMode="ENABLED")


# Encryption. A real S3 wants keys that exist, and a user of them who can be stopped.

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


def test_what_names_no_encryption_gets_the_buckets(encrypting: Store) -> None:
    encrypting.put("put")
    encrypting.copy("put", "copied")
    upload = encrypting.begin("completed")
    parts = encrypting.parts(upload, b"one")
    encrypting.complete_multipart_upload(**upload, MultipartUpload=parts)
    for key in ("put", "copied", "completed"):
        assert encryption(encrypting, key) == ("aws:kms", KMS_KEY)


def test_what_names_an_encryption_gets_that(encrypting: Store) -> None:
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


def test_an_upload_in_parts_keeps_the_encryption_of_the_moment_when_it_was_begun(
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
    """What needs the bytes of the object `key`."""
    upload = store.begin("parts", ServerSideEncryption="AES256")
    named = {"ServerSideEncryption": "AES256"}
    return [
        lambda: store.get_object(Key="key"),
        lambda: store.copy("key", "copied", **named),
        lambda: store.upload_part_copy(**upload, PartNumber=1, CopySource=store.source("key")),
    ]


def test_under_a_disabled_key_nothing_is_read_or_written(encrypting: Store) -> None:
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
    # A checksum says something of the bytes.
    with refused(400):
        encrypting.head_object(Key="key", ChecksumMode="ENABLED")


def test_under_a_key_of_somebody_else_backups_are_written_that_nobody_reads(
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
