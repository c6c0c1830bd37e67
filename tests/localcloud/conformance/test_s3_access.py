"""The owner of a bucket, and its policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.conformance.bucket import (
    ACCOUNT,
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


def test_the_owner_pays_for_requests_unless_it_says_otherwise(store: Store) -> None:
    for payer in (None, "Requester", "BucketOwner"):
        if payer:
            store.put_bucket_request_payment(RequestPaymentConfiguration={"Payer": payer})
        assert store.get_bucket_request_payment()["Payer"] == (payer or "BucketOwner")
