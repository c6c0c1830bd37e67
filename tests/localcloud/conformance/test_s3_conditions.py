"""Conditional writes and deletes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.localcloud.conformance.bucket import (
    WRITERS,
    Store,
    assert_one_winner,
    race,
    refused,
)

ROUNDS = 3


# Conditional writes


def test_a_conditional_put_writes_only_to_a_free_key(store: Store) -> None:
    store.put("slot", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        store.put("slot", b"two", IfNoneMatch="*")
    assert store.body("slot") == b"one"


def test_a_conditional_copy_writes_only_to_a_free_key(store: Store) -> None:
    store.put("one")
    store.put("two", b"two")
    store.copy("one", "slot", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        store.copy("two", "slot", IfNoneMatch="*")
    assert store.body("slot") == b"one"


def test_a_conditional_completion_writes_only_to_a_free_key_and_leaves_the_upload_open(
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


def test_a_retried_conditional_completion_fails_on_its_own_object(store: Store) -> None:
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
    # Initiated after the removal: an object that is removed during an upload would be a conflict.
    parts = versioned.parts(upload, b"two")
    versioned.put("put", b"two", IfNoneMatch="*")
    versioned.copy("source", "copied", IfNoneMatch="*")
    versioned.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    assert {versioned.body(key) for key in ("put", "copied", "completed")} == {b"two"}


def test_a_copy_can_be_conditional_on_the_object_it_overwrites(store: Store) -> None:
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


@pytest.mark.parametrize("value", ["", '"etag"'])
def test_a_write_accepts_no_if_none_match_except_an_asterisk(
    store: Store, value: str, double: str | None
) -> None:
    if double is None and not value:
        pytest.skip("it is not known what S3 does with an empty condition")
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


def test_an_unchanged_object_is_not_sent_again(store: Store) -> None:
    etag = store.put("key", ChecksumAlgorithm="CRC32")["ETag"]
    for read in (store.get_object, store.head_object):
        with refused(304):
            read(Key="key", IfNoneMatch=etag, ChecksumMode="ENABLED")


# Conditional deletes


def test_a_conditional_delete_removes_only_the_intended_object(store: Store) -> None:
    intended = store.put("upload")["ETag"]
    store.put("upload", b"newer")
    with refused(412, "PreconditionFailed"):
        store.delete_object(Key="upload", IfMatch=intended)
    assert store.body("upload") == b"newer"
    store.delete_object(Key="upload", IfMatch=store.head_object(Key="upload")["ETag"])
    with refused(404):
        store.head_object(Key="upload")


def test_a_conditional_delete_of_nothing_is_refused(store: Store) -> None:
    with refused(404, "NoSuchKey"):
        store.delete_object(Key="upload", IfMatch='"no such etag"')


def test_a_plain_delete_of_nothing_succeeds(store: Store) -> None:
    store.delete_object(Key="upload")


def test_a_conditional_delete_never_removes_a_newer_upload(store: Store) -> None:
    for _ in range(ROUNDS):
        intended = store.put("upload")["ETag"]
        words = race(
            [lambda: store.put("upload", b"newer")]
            + [partial(store.delete_object, Key="upload", IfMatch=intended)] * 3
        )
        assert words[0] == "won"
        assert store.body("upload") == b"newer"


def test_of_several_objects_only_those_with_their_etag_are_deleted(store: Store) -> None:
    same = store.put("same")["ETag"]
    store.put("changed")
    store.put("unconditional")
    answer = store.delete_objects(
        Delete={
            "Objects": [
                {"Key": "same", "ETag": same},
                {"Key": "changed", "ETag": "0123456789abcdef0123456789abcdef"},
                {"Key": "missing", "ETag": same},
                {"Key": "unconditional"},
            ]
        }
    )
    assert [item["Key"] for item in answer["Deleted"]] == ["same", "unconditional"]
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [
        ("changed", "PreconditionFailed"),
        ("missing", "NoSuchKey"),
    ]
    assert [item["Key"] for item in store.list_objects_v2()["Contents"]] == ["changed"]
