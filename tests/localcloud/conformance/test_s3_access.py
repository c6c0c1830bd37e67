"""The owner of a bucket, ranges of its objects, and its policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.conformance.bucket import (
    ACCOUNT,
    DIGITS,
    STRANGER,
    Store,
    refused,
)

# Owners


def test_another_accounts_bucket_is_refused(store: Store) -> None:
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


@pytest.mark.usefixtures("double_only")  # a real account's number is unknown
def test_the_accounts_own_bucket_is_not_refused(store: Store) -> None:
    store.put("key", ExpectedBucketOwner=ACCOUNT)
    store.copy("key", "copy", ExpectedBucketOwner=ACCOUNT, ExpectedSourceBucketOwner=ACCOUNT)
    store.head_object(Key="copy", ExpectedBucketOwner=ACCOUNT)


# Ranges


@pytest.mark.parametrize(
    ("requested", "shown", "body"),
    [
        ("bytes=0-0", "bytes 0-0/9", b"1"),
        ("bytes=3-5", "bytes 3-5/9", b"456"),
        ("bytes=5-", "bytes 5-8/9", b"6789"),
        ("bytes=5-99", "bytes 5-8/9", b"6789"),
        ("bytes=-2", "bytes 7-8/9", b"89"),
        ("bytes=0-8", "bytes 0-8/9", DIGITS),
        ("nonsense=1", None, DIGITS),
    ],
)
def test_a_range_is_read(store: Store, requested: str, shown: str | None, body: bytes) -> None:
    store.put("key", DIGITS)
    answer = store.get_object(Key="key", Range=requested)
    assert (answer["Body"].read(), answer.get("ContentRange")) == (body, shown)
    assert answer["ContentLength"] == len(body)


def test_a_range_behind_the_end_is_refused(store: Store) -> None:
    store.put("key", DIGITS)
    with refused(416, "InvalidRange"):
        store.get_object(Key="key", Range="bytes=9-")


def test_a_range_of_other_bytes_is_refused(store: Store) -> None:
    etag = store.put("key", DIGITS)["ETag"]
    store.put("key", DIGITS[::-1])
    with refused(412, "PreconditionFailed"):
        store.get_object(Key="key", Range="bytes=0-3", IfMatch=etag)


# Bucket policies


@pytest.mark.usefixtures("double_only")  # a real S3 would lock the test out of its bucket
def test_bucket_policies_are_not_enforced_here(store: Store) -> None:
    deny = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",'
        f'"Action":"s3:PutObject","Resource":"arn:aws:s3:::{store.bucket}/*",'
        '"Condition":{"Null":{"s3:if-none-match":"true"}}}]}'
    )
    store.put_bucket_policy(Policy=deny)
    store.put("key", IfNoneMatch="*")


def test_the_owner_pays_for_requests_by_default(store: Store) -> None:
    for payer in (None, "Requester", "BucketOwner"):
        if payer:
            store.put_bucket_request_payment(RequestPaymentConfiguration={"Payer": payer})
        assert store.get_bucket_request_payment()["Payer"] == (payer or "BucketOwner")
