"""Features of only the local S3: a clock that tests move, and the order of emulators."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.s3.models import s3_backends

from localcloud.clock import clock
from localcloud.s3 import listings
from localcloud.s3.backend import corrected

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:promote"


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def bucket(events: list[dict[str, Any]]) -> Iterator[Any]:
    """A locked, versioned bucket as `s3.Bucket`, at noon."""
    with mock_aws(), corrected(deliver=lambda _, event: events.append(event)):
        clock.stand_at(NOON)
        bucket = boto3.resource("s3").create_bucket(
            Bucket="backups", ObjectLockEnabledForBucket=True
        )
        s3 = bucket.meta.client
        s3.put_bucket_notification_configuration(
            Bucket="backups",
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [
                    {"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}
                ]
            },
        )
        yield bucket


def test_every_date_of_s3_comes_from_the_clouds_clock(
    bucket: Any, events: list[dict[str, Any]]
) -> None:
    s3 = bucket.meta.client
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    s3.put_object_lock_configuration(
        Bucket="backups",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention},
    )
    upload = s3.create_multipart_upload(Bucket="backups", Key="parts")["UploadId"]
    clock.advance(timedelta(hours=1))
    bucket.put_object(Key="key", Body=b"one")
    bucket.Object("gone").delete()
    [created] = [item["CreationDate"] for item in s3.list_buckets()["Buckets"]]
    [begun] = s3.list_multipart_uploads(Bucket="backups")["Uploads"]
    part = s3.upload_part(Bucket="backups", Key="parts", UploadId=upload, PartNumber=1, Body=b"one")
    [listed] = s3.list_parts(Bucket="backups", Key="parts", UploadId=upload)["Parts"]
    s3.complete_multipart_upload(
        Bucket="backups",
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    versions = s3.list_object_versions(Bucket="backups")
    dates = {version["Key"]: version["LastModified"] for version in versions["Versions"]}
    one_o_clock = NOON + timedelta(hours=1)
    assert (created, begun["Initiated"], listed["LastModified"]) == (NOON, NOON, one_o_clock)
    assert dates == {"key": one_o_clock, "parts": NOON}
    assert versions["DeleteMarkers"][0]["LastModified"] == one_o_clock
    until = s3.head_object(Bucket="backups", Key="key")["ObjectLockRetainUntilDate"]
    assert until == one_o_clock + timedelta(days=2)
    assert {event["Records"][0]["eventTime"] for event in events} == {"2026-03-01T13:00:00.000Z"}


def test_a_lock_ends_by_the_clouds_clock(bucket: Any) -> None:
    locked = bucket.put_object(
        Key="key",
        Body=b"one",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=NOON + timedelta(days=1),
    )
    version = bucket.meta.client.head_object(Bucket="backups", Key="key")["VersionId"]
    with pytest.raises(bucket.meta.client.exceptions.ClientError, match="AccessDenied"):
        locked.Version(version).delete()
    clock.advance(timedelta(days=1))
    locked.Version(version).delete()
    assert list(bucket.object_versions.all()) == []


def test_the_clock_follows_this_machines_clock_again_after_the_block() -> None:
    with corrected():
        clock.stand_at(NOON)
    assert clock.now() > NOON + timedelta(days=1)


def test_emulators_order_versions_by_completion() -> None:
    with mock_aws(), corrected(order="completed"):
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="backups")
        s3.put_bucket_versioning(Bucket="backups", VersioningConfiguration={"Status": "Enabled"})
        upload = {"Bucket": "backups", "Key": "key"}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        part = s3.upload_part(**upload, PartNumber=1, Body=b"in parts")
        put = s3.put_object(Bucket="backups", Key="key", Body=b"at once")["VersionId"]
        done = s3.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
        versions = s3.list_object_versions(Bucket="backups")["Versions"]
        assert [version["VersionId"] for version in versions] == [done["VersionId"], put]
        assert [version["IsLatest"] for version in versions] == [True, False]
        assert s3.get_object(Bucket="backups", Key="key")["Body"].read() == b"in parts"


def test_listing_a_page_of_ten_thousand_versions_reads_only_that_page(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = s3_backends["123456789012"]["aws"]
    markers = [backend.delete_object("backups", "key")[1]["version-id"] for _ in range(10_000)]
    reads: list[str] = []
    shown = listings._shown

    def counted(version: Any, *, is_latest: bool) -> Any:
        reads.append(version.version_id)
        return shown(version, is_latest=is_latest)

    monkeypatch.setattr(listings, "_shown", counted)
    s3 = bucket.meta.client
    for behind in ({}, {"KeyMarker": "key", "VersionIdMarker": markers[5000]}):
        page = s3.list_object_versions(Bucket="backups", **behind)
        listed = [marker["VersionId"] for marker in page["DeleteMarkers"]]
        start = 5000 if behind else 10_000
        assert listed == markers[start - 1000 : start][::-1]
        # One entry more than a page, to know whether there is another page.
        assert len(reads) == 1001
        reads.clear()
