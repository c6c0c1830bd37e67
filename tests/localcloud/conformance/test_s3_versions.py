"""The versions of a key: their order, their listing, delete markers and null versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.conformance.bucket import Store, refused

# The order


def complete(store: Store, upload: dict[str, str], body: bytes) -> str:
    """Completes the upload with one part; returns the id of the new version."""
    parts = store.parts(upload, body)
    done = store.complete_multipart_upload(**upload, MultipartUpload=parts)
    return str(done["VersionId"])


def listed(store: Store, **more: Any) -> list[tuple[str, str, bool]]:
    """Key, version id and IsLatest of all objects, then of all delete markers."""
    answer = store.list_object_versions(**more)
    return [
        (version["Key"], version["VersionId"], version["IsLatest"])
        for version in answer.get("Versions", []) + answer.get("DeleteMarkers", [])
    ]


def test_a_multipart_upload_is_ordered_by_its_initiation(
    versioned: Store,
) -> None:
    before = versioned.put("key", b"before")["VersionId"]
    upload = versioned.begin("key")
    (begun,) = versioned.list_multipart_uploads()["Uploads"]
    after = versioned.put("key", b"after")["VersionId"]
    completed = complete(versioned, upload, b"in parts")
    assert versioned.body("key") == b"after"
    assert versioned.body("key", VersionId=completed) == b"in parts"
    head = versioned.head_object(Key="key", VersionId=completed)
    assert head["LastModified"] == begun["Initiated"].replace(microsecond=0)
    assert listed(versioned) == [
        ("key", after, True),
        ("key", completed, False),
        ("key", before, False),
    ]


def test_of_two_multipart_uploads_the_later_initiated_is_current(versioned: Store) -> None:
    first, second = versioned.begin("key"), versioned.begin("key")
    newer = complete(versioned, second, b"second")
    older = complete(versioned, first, b"first")
    assert versioned.body("key") == b"second"
    assert listed(versioned) == [("key", newer, True), ("key", older, False)]


def test_a_multipart_upload_initiated_before_a_delete_stays_under_the_marker(
    versioned: Store,
) -> None:
    upload = versioned.begin("key")
    marker = versioned.delete_object(Key="key")["VersionId"]
    completed = complete(versioned, upload, b"in parts")
    with refused(404):
        versioned.head_object(Key="key")
    assert listed(versioned) == [("key", completed, False), ("key", marker, True)]


def test_initiating_a_multipart_upload_returns_its_future_version(
    versioned: Store,
) -> None:
    begun = versioned.create_multipart_upload(Key="key")
    upload = {"Key": "key", "UploadId": begun["UploadId"]}
    assert complete(versioned, upload, b"in parts") == begun["VersionId"]
    assert versioned.version("key") == begun["VersionId"]


def test_a_repeated_completion_finds_its_object_under_a_newer_version(versioned: Store) -> None:
    upload = versioned.begin("key")
    parts = versioned.parts(upload, b"in parts")
    versioned.put("key", b"newer")
    done = versioned.complete_multipart_upload(**upload, MultipartUpload=parts)
    again = versioned.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert again["VersionId"] == done["VersionId"]
    assert len(listed(versioned)) == 2


# Delete markers, removals


def test_a_delete_marker_differs_from_absence(versioned: Store) -> None:
    versioned.put("key")
    versioned.delete_object(Key="key")
    with refused(404) as head:
        versioned.head_object(Key="key")
    with refused(404, "NoSuchKey") as get:
        versioned.get_object(Key="key")
    with refused(404) as nothing:
        versioned.head_object(Key="nothing")
    markers = [
        error.value.response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-delete-marker")
        for error in (head, get, nothing)
    ]
    assert markers == ["true", "true", None]


def test_a_delete_marker_is_created_even_without_an_object(versioned: Store) -> None:
    assert versioned.delete_object(Key="key")["DeleteMarker"]
    with refused(404) as head:
        versioned.head_object(Key="key")
    headers = head.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true"


def test_removing_a_delete_marker_restores_the_object(versioned: Store) -> None:
    versioned.put("key")
    marker = versioned.delete_object(Key="key")["VersionId"]
    with refused(405):
        versioned.head_object(Key="key", VersionId=marker)
    assert versioned.delete_object(Key="key", VersionId=marker)["DeleteMarker"]
    assert versioned.body("key") == b"one"


def test_a_delete_by_version_removes_that_version_only(versioned: Store) -> None:
    first, second, third = (
        versioned.put("key", body)["VersionId"] for body in (b"one", b"two", b"three")
    )
    versioned.delete_object(Key="key", VersionId=second)
    assert versioned.body("key") == b"three"
    assert versioned.body("key", VersionId=first) == b"one"
    with refused(404):
        versioned.head_object(Key="key", VersionId=second)
    versioned.delete_object(Key="key", VersionId=third)
    assert versioned.version("key") == first


def test_a_conditional_delete_in_a_versioned_bucket_creates_a_marker(versioned: Store) -> None:
    etag = versioned.put("key")["ETag"]
    with refused(412, "PreconditionFailed"):
        versioned.delete_object(Key="key", IfMatch='"another"')
    assert versioned.delete_object(Key="key", IfMatch=etag)["DeleteMarker"]


def test_an_unversioned_object_is_version_null(store: Store) -> None:
    assert "VersionId" not in store.put("key")
    assert "VersionId" not in store.head_object(Key="key")
    store.head_object(Key="key", VersionId="null")
    store.delete_object(Key="key", VersionId="null")
    with refused(404):
        store.head_object(Key="key")


def test_suspended_versioning_overwrites_the_null_version_and_keeps_the_others(
    store: Store,
) -> None:
    store.put("key", b"before")
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"})
    assert store.version("key") == "null"
    kept = store.put("key", b"kept")["VersionId"]
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Suspended"})
    store.put("key", b"overwritten")
    store.put("key", b"last")
    assert store.body("key") == b"last"
    assert store.version("key") == "null"
    assert store.body("key", VersionId=kept) == b"kept"
    store.delete_object(Key="key")
    listed = store.list_object_versions()
    assert [item["VersionId"] for item in listed["Versions"]] == [kept]
    assert [item["VersionId"] for item in listed["DeleteMarkers"]] == ["null"]


def test_objects_from_before_versioning_are_version_null(store: Store) -> None:
    store.put("key", b"before")
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"})
    newer = store.put("key", b"newer")["VersionId"]
    assert listed(store) == [("key", newer, True), ("key", "null", False)]
    assert store.head_object(Key="key", VersionId="null")["VersionId"] == "null"
    assert store.body("key", VersionId="null") == b"before"
    store.copy_object(CopySource=store.source("key") | {"VersionId": "null"}, Key="copy")
    assert store.body("copy") == b"before"
    gone = store.delete_object(Key="key", VersionId="null")
    assert gone["VersionId"] == "null"
    with refused(404):
        store.head_object(Key="key", VersionId="null")
    assert store.body("key") == b"newer"


def test_the_current_version_can_be_null(store: Store) -> None:
    store.put("key")
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"})
    head = store.head_object(Key="key")
    assert head["VersionId"] == "null"
    etag = head["ETag"]
    copied = store.copy_object(
        CopySource=store.source("key") | {"VersionId": "null"},
        Key="copy",
        CopySourceIfMatch=etag,
    )
    assert copied["CopySourceVersionId"] == "null"
    assert listed(store, Prefix="key") == [("key", "null", True)]


def test_a_null_version_that_is_written_again_is_the_newest(store: Store) -> None:
    store.put("key", b"before")
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"})
    kept = store.put("key", b"kept")["VersionId"]
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Suspended"})
    store.put("key", b"last")
    assert listed(store) == [("key", "null", True), ("key", kept, False)]


# Lists


def test_versions_are_listed_newest_first_page_by_page(versioned: Store) -> None:
    made = [(key, versioned.put(key)["VersionId"]) for _ in range(3) for key in ("a/1", "a/2", "b")]
    newest_first = made[::-1]
    expected = sorted(newest_first, key=lambda version: version[0])
    pages = list(
        versioned.s3.get_paginator("list_object_versions").paginate(
            Bucket=versioned.bucket, PaginationConfig={"PageSize": 2}
        )
    )
    listed = [(item["Key"], item["VersionId"]) for page in pages for item in page["Versions"]]
    assert listed == expected
    folders = versioned.list_object_versions(Delimiter="/")
    assert [item["Prefix"] for item in folders["CommonPrefixes"]] == ["a/"]
    assert {item["Key"] for item in folders["Versions"]} == {"b"}


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_of_versions_show_each_version_and_marker_once_and_in_order(
    versioned: Store, size: int
) -> None:
    keys = ("a", "b", "c")
    made = [(key, versioned.put(key)["VersionId"]) for key in keys]
    made.append(("b", versioned.delete_object(Key="b")["VersionId"]))
    made += [(key, versioned.put(key)["VersionId"]) for key in keys]
    made.append(("b", versioned.delete_object(Key="b")["VersionId"]))
    newest_first = made[::-1]
    expected = sorted(newest_first, key=lambda version: version[0])
    markers: dict[str, str] = {}
    pages, listed = 0, []
    while True:
        page = versioned.list_object_versions(MaxKeys=size, **markers)
        versions = page.get("Versions", []) + page.get("DeleteMarkers", [])
        listed += sorted(
            ((version["Key"], version["VersionId"]) for version in versions), key=expected.index
        )
        pages += 1
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page["NextVersionIdMarker"],
        }
        assert (markers["KeyMarker"], markers["VersionIdMarker"]) == listed[-1]
    assert listed == expected
    assert pages == -(-len(expected) // size)


def test_a_listing_can_continue_after_a_version_of_a_key(versioned: Store) -> None:
    versions = [versioned.put("key")["VersionId"] for _ in range(4)]
    versioned.put("key2")
    behind = {"KeyMarker": "key", "VersionIdMarker": versions[2]}
    # AWS's documentation disagrees on whether the marker is repeated.
    older = [version for version in listed(versioned, **behind) if version[1] != versions[2]]
    assert [version for key, version, _ in older if key == "key"] == versions[1::-1]
    assert [key for key, _, _ in older][-1] == "key2"
    assert not any(latest for key, _, latest in older if key == "key")
    assert [key for key, _, _ in listed(versioned, Prefix="key2", **behind)] == ["key2"]
    assert [key for key, _, _ in listed(versioned, KeyMarker="key")] == ["key2"]


@pytest.mark.usefixtures("double_only")  # what a real S3 does is undocumented
def test_a_listing_can_continue_after_a_removed_version(versioned: Store) -> None:
    versions = [versioned.put("key")["VersionId"] for _ in range(4)]
    versioned.delete_object(Key="key", VersionId=versions[2])
    behind = {"KeyMarker": "key", "VersionIdMarker": versions[2]}
    assert [version for _, version, _ in listed(versioned, **behind)] == versions[1::-1]


def test_deleting_several_objects_returns_what_happened_to_each(versioned: Store) -> None:
    version = versioned.put("key")["VersionId"]
    hidden = versioned.delete_objects(Delete={"Objects": [{"Key": "key"}]})
    [marked] = hidden["Deleted"]
    assert (marked["Key"], marked["DeleteMarker"]) == ("key", True)
    both = [
        {"Key": "key", "VersionId": version},
        {"Key": "key", "VersionId": marked["DeleteMarkerVersionId"]},
    ]
    removed = versioned.delete_objects(Delete={"Objects": both})["Deleted"]
    assert [item["VersionId"] for item in removed] == [item["VersionId"] for item in both]
    assert [item.get("DeleteMarker") for item in removed] == [None, True]
    assert "Versions" not in versioned.list_object_versions()


def test_a_key_has_at_most_1024_bytes(store: Store) -> None:
    store.put("ü" * 512)
    for too_long in ("k" * 1025, "ü" * 512 + "k"):
        with refused(400, "KeyTooLongError"):
            store.put(too_long)
        with refused(400, "KeyTooLongError"):
            store.begin(too_long)
    assert [item["Key"] for item in store.list_objects_v2()["Contents"]] == ["ü" * 512]
