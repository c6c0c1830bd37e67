"""Whose bucket it is, and whose task its policy."""

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
