"""Object Lock: defaults, changes, and how it is shown."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.localcloud.conformance.bucket import (
    Store,
    refused,
)


@pytest.fixture
def locking(store: Store) -> Iterator[Store]:
    """A bucket with Object Lock and no default retention, removed at the end if it is empty."""
    locking = Store(store.s3, f"locking-{uuid.uuid4()}", part_bytes=store.part_bytes)
    locking.create_bucket(ObjectLockEnabledForBucket=True)
    yield locking
    locking.delete_bucket()


@pytest.fixture
def locked(store: Store, double_only: None) -> Store:
    """A bucket with Object Lock. Locked objects cannot be removed, so never use it on real S3."""
    locked = Store(store.s3, f"locked-{uuid.uuid4()}", part_bytes=store.part_bytes)
    locked.create_bucket(ObjectLockEnabledForBucket=True)
    return locked


def retain(store: Store, mode: str, days: int) -> None:
    """Sets the bucket's default retention."""
    retention = {"DefaultRetention": {"Mode": mode, "Days": days}}
    store.put_object_lock_configuration(
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )


@pytest.mark.usefixtures("double_only")  # nothing could remove locked objects from a real S3
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


@pytest.mark.usefixtures("double_only")  # the object stays locked for a day
@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_lock_can_be_extended_and_only_a_bypass_can_shorten_it(store: Store, mode: str) -> None:
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


def test_the_retention_of_an_object_can_be_read(locked: Store) -> None:
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


def test_a_missing_object_cannot_be_locked(locked: Store) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    with refused(404, "NoSuchKey"):
        locked.put_object_retention(Key="nothing", Retention=lock)
    version = locked.put("key")["VersionId"]
    locked.delete_object(Key="key", VersionId=version)
    locked.put("key")
    with refused(404, "NoSuchVersion"):
        locked.put_object_retention(Key="key", VersionId=version, Retention=lock)


@pytest.mark.usefixtures("double_only")
def test_a_lock_changes_its_mode_only_with_a_bypass(locked: Store) -> None:
    """Reported by users of S3; AWS documents it for neither mode."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    locked.put("key")
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    locked.put_object_retention(Key="key", Retention=lock)
    stricter = {"Mode": "COMPLIANCE", "RetainUntilDate": until + timedelta(days=1)}
    with refused(403, "AccessDenied"):
        locked.put_object_retention(Key="key", Retention=stricter)
    locked.put_object_retention(Key="key", Retention=stricter, BypassGovernanceRetention=True)
    assert locked.get_object_retention(Key="key")["Retention"] == stricter


def test_there_is_no_retention_without_object_lock(store: Store) -> None:
    store.put("key")
    with refused(400, "InvalidRequest"):
        store.get_object_retention(Key="key")


@pytest.mark.usefixtures("double_only")
def test_a_multipart_upload_keeps_the_retention_from_its_initiation(
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


@pytest.mark.usefixtures("double_only")
def test_a_bypass_must_be_requested(locked: Store) -> None:
    version = locked.put("key")["VersionId"]
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    locked.put_object_retention(Key="key", Retention=lock)
    named = {"Key": "key", "VersionId": version}
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": until - timedelta(hours=1)}
    with refused(403, "AccessDenied"):
        locked.delete_object(**named, BypassGovernanceRetention=False)
    several = locked.delete_objects(Delete={"Objects": [named]}, BypassGovernanceRetention=False)
    assert [error["Code"] for error in several["Errors"]] == ["AccessDenied"]
    with refused(403, "AccessDenied"):
        locked.put_object_retention(Key="key", Retention=shorter, BypassGovernanceRetention=False)
    locked.delete_object(**named, BypassGovernanceRetention=True)


@pytest.mark.usefixtures("double_only")
def test_a_legal_hold_does_not_stand_in_the_way_of_a_retention(locked: Store) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    version = locked.put("key", ObjectLockLegalHoldStatus="ON")["VersionId"]
    for days in (1, 2, 0):
        locked.put_object_retention(
            Key="key",
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(days=days)},
            BypassGovernanceRetention=days == 0,
        )
    assert locked.head_object(Key="key")["ObjectLockRetainUntilDate"] == until
    with refused(403, "AccessDenied"):
        locked.delete_object(Key="key", VersionId=version, BypassGovernanceRetention=True)
