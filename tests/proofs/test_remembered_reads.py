"""Cached responses, and what is read from the store, match what S3 would return now."""

from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.proofs.remembered_reads import RememberedReads
from tests.proofs.remembered_s3 import MEANINGLESS
from tests.support.faults import answers
from tests.support.wire import Wire, retries_at_once
from tests.support.world import DAILY, HOURLY, World

KEYS = (DAILY, HOURLY, f"web1/{DAILY}")
INCOMING, VAULT = {"Bucket": "backups1"}, {"Bucket": "backups2"}
CHANGES = 25
LATER_PAGES = {"KeyMarker": DAILY, "VersionIdMarker": "null"}


def meaning(read: Any, **parameters: Any) -> Any:
    try:
        answer = read(**parameters)
    except ClientError as error:
        answer = error.response
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    known = {name: value for name, value in headers.items() if name not in MEANINGLESS}
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return {**answer, "ResponseMetadata": (status, known)}


def change(world: World, random: Random, bucket: dict[str, str] = INCOMING) -> None:
    """Something that servers, promotions or administrators do."""
    address = {**bucket, "Key": random.choice(KEYS)}
    versions = world.s3.list_object_versions(**bucket, Prefix=address["Key"]).get("Versions", [])
    match random.randrange(7):
        case 0 | 1:
            world.s3.put_object(**address, Body=b"%d" % random.randrange(9), Tagging="a=b")
        case 2:
            world.s3.create_multipart_upload(**address)
        case 3:
            for upload in world.s3.list_multipart_uploads(**bucket).get("Uploads", [])[:1]:
                which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                part = world.s3.upload_part(**bucket, **which, PartNumber=1, Body=b"part")
                parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
                world.s3.complete_multipart_upload(**bucket, **which, MultipartUpload=parts)
        case 4 if versions:
            which = {"VersionId": random.choice(versions)["VersionId"]}
            world.s3.delete_object(**address, **which)
        case 5:
            world.s3.delete_object(**address)
        case _:
            random.choice([world.keep_versions, world.suspend_versions])()


def test_a_cached_response_always_equals_that_of_s3(world: World) -> None:
    random, wire = Random(1), Wire(world.s3)
    remembered = RememberedReads(world.s3, wire)
    reads: list[tuple[str, dict[str, Any]]] = [
        *(("head_object", {"Key": key, "ChecksumMode": "ENABLED"}) for key in KEYS),
        ("head_object", {"Key": DAILY, "VersionId": "null"}),
        *(("list_object_versions", {"Prefix": key}) for key in KEYS),
        ("list_object_versions", {"Prefix": DAILY, **LATER_PAGES}),
        ("list_object_versions", {}),
        ("list_multipart_uploads", {}),
    ]
    for _ in range(CHANGES):
        change(world, random)
        for _ in range(2):
            for operation, parameters in reads:
                read = {**INCOMING, **parameters}
                from_memory = meaning(getattr(remembered, operation), **read)
                assert from_memory == meaning(getattr(world.s3, operation), **read)
    # At least half of them came from the cache.
    assert len(remembered.answers) <= CHANGES * len(reads)


def test_a_fault_comes_even_if_the_response_is_cached(world: World) -> None:
    wire = Wire(world.s3)
    remembered = RememberedReads(world.s3, wire)
    world.upload(b"known")
    remembered.head_object(**INCOMING, Key=DAILY)
    wire.fail("HeadObject", *[answers(500, "InternalError")] * 3)
    with retries_at_once(), pytest.raises(ClientError, match="500"):
        remembered.head_object(**INCOMING, Key=DAILY)
    assert wire.sent == ["PutObject", *["HeadObject"] * 4]
    remembered.head_object(**INCOMING, Key=DAILY)
    assert wire.sent == ["PutObject", *["HeadObject"] * 5]
    assert len(wire.calls) == 3


def test_an_action_before_a_request_can_change_its_response(world: World) -> None:
    wire = Wire(world.s3)
    remembered = RememberedReads(world.s3, wire)
    size = len(b"first")
    world.upload(b"first")
    assert remembered.head_object(**INCOMING, Key=DAILY)["ContentLength"] == size

    def overwrite(_: str) -> None:
        wire.before_each = None
        world.upload(b"another")

    wire.before_each = overwrite
    assert remembered.head_object(**INCOMING, Key=DAILY)["ContentLength"] > size


def test_what_a_world_reads_from_the_store_is_what_s3_returns(world: World) -> None:
    random = Random(2)
    for _ in range(CHANGES):
        change(world, random)
        change(world, random, VAULT)
        versions = world.s3.list_object_versions(**INCOMING).get("Versions", [])
        assert world.incoming() == [version["Key"] for version in versions]
        assert world.lying() == [read(world, INCOMING, version) for version in versions]
        objects = world.s3.list_objects_v2(**VAULT).get("Contents", [])
        assert world.bodies() == {item["Key"]: read(world, VAULT, item) for item in objects}
        uploads = world.s3.list_multipart_uploads(**VAULT).get("Uploads", [])
        assert world.unfinished() == [upload["Key"] for upload in uploads]


def read(world: World, bucket: dict[str, str], item: dict[str, Any]) -> bytes:
    which = {name: item[name] for name in ("Key", "VersionId") if name in item}
    return world.s3.get_object(**bucket, **which)["Body"].read()
