"""What lifecycle rules remove at midnight UTC, by the cloud's clock."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.clock import clock
from localcloud.s3.backend import corrected
from localcloud.s3.lifecycle import lifecycle_each_night, pass_nights, run_lifecycle

MORNING = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:promote"


class Bucket:
    """A bucket with lifecycle rules."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket="backups", ObjectLockEnabledForBucket=True)

    def rule(self, *, prefix: str = "", **action: Any) -> None:
        rules = [{"ID": "rule", "Status": "Enabled", "Filter": {"Prefix": prefix}, **action}]
        self.rules(rules)

    def rules(self, rules: list[dict[str, Any]]) -> None:
        self.s3.put_bucket_lifecycle_configuration(
            Bucket="backups", LifecycleConfiguration={"Rules": rules}
        )

    def put(self, key: str = "key", **more: Any) -> str:
        return str(self.s3.put_object(Bucket="backups", Key=key, Body=b"one", **more)["VersionId"])

    def delete(self, key: str = "key") -> str:
        return str(self.s3.delete_object(Bucket="backups", Key=key)["VersionId"])

    def begin(self, key: str = "key") -> dict[str, str]:
        upload = {"Bucket": "backups", "Key": key}
        return upload | {"UploadId": self.s3.create_multipart_upload(**upload)["UploadId"]}

    def versions(self) -> list[str]:
        listed = self.s3.list_object_versions(Bucket="backups").get("Versions", [])
        return [version["VersionId"] for version in listed]

    def markers(self) -> list[str]:
        listed = self.s3.list_object_versions(Bucket="backups").get("DeleteMarkers", [])
        return [marker["VersionId"] for marker in listed]


@pytest.fixture
def events() -> list[str]:
    """The names of the events that a function has received."""
    return []


@pytest.fixture
def bucket(events: list[str]) -> Iterator[Bucket]:
    """A bucket with versions and Object Lock, on the morning of 1 March."""

    def deliver(_: str, event: dict[str, Any]) -> None:
        events.extend(record["eventName"] for record in event["Records"])

    with mock_aws(), corrected(deliver=deliver):
        clock.stand_at(MORNING)
        yield Bucket()


def midnight(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC)


def at(moment: datetime) -> None:
    """Move the clock to `moment` and run the lifecycle rules."""
    clock.stand_at(moment)
    run_lifecycle()


A_MOMENT = timedelta(seconds=1)


def test_a_current_version_gets_a_delete_marker_at_the_midnight_after_its_days(
    bucket: Bucket,
) -> None:
    bucket.rule(Expiration={"Days": 3})
    version = bucket.put()
    at(midnight(5) - A_MOMENT)
    assert bucket.markers() == []
    at(midnight(5))
    assert bucket.versions() == [version]
    [marker] = bucket.s3.list_object_versions(Bucket="backups")["DeleteMarkers"]
    assert (marker["IsLatest"], marker["LastModified"]) == (True, midnight(5))
    at(midnight(9))
    assert bucket.markers() == [marker["VersionId"]]


def test_without_versioning_an_expired_object_is_removed(bucket: Bucket) -> None:
    bucket.s3.create_bucket(Bucket="plain")
    rule = {"ID": "rule", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
    bucket.s3.put_bucket_lifecycle_configuration(
        Bucket="plain", LifecycleConfiguration={"Rules": [rule]}
    )
    bucket.s3.put_object(Bucket="plain", Key="key", Body=b"one")
    at(midnight(3) - A_MOMENT)
    bucket.s3.head_object(Bucket="plain", Key="key")
    at(midnight(3))
    assert "Versions" not in bucket.s3.list_object_versions(Bucket="plain")
    assert "DeleteMarkers" not in bucket.s3.list_object_versions(Bucket="plain")


def test_a_noncurrent_version_counts_its_days_from_when_it_was_superseded(bucket: Bucket) -> None:
    bucket.rule(NoncurrentVersionExpiration={"NoncurrentDays": 2})
    bucket.put()
    clock.stand_at(midnight(20))
    newer = bucket.put()
    at(midnight(22) - A_MOMENT)
    assert len(bucket.versions()) == 2
    at(midnight(22))
    assert bucket.versions() == [newer]
    at(midnight(31))
    assert bucket.versions() == [newer]


def test_a_version_becomes_current_again_when_its_successor_is_removed(bucket: Bucket) -> None:
    bucket.rule(NoncurrentVersionExpiration={"NoncurrentDays": 1})
    version = bucket.put()
    newer = bucket.put()
    bucket.s3.delete_object(Bucket="backups", Key="key", VersionId=newer)
    at(midnight(10))
    assert bucket.versions() == [version]


def test_a_delete_marker_supersedes_and_is_removed_when_it_covers_nothing(
    bucket: Bucket,
) -> None:
    bucket.rules(
        [
            {
                "ID": "versions",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            },
            {
                "ID": "markers",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "Expiration": {"ExpiredObjectDeleteMarker": True},
            },
        ]
    )
    bucket.put()
    marker = bucket.delete()
    at(midnight(2))
    assert (len(bucket.versions()), bucket.markers()) == (1, [marker])
    at(midnight(3))
    assert (bucket.versions(), bucket.markers()) == ([], [])


def test_an_expiration_removes_old_markers_that_cover_nothing(bucket: Bucket) -> None:
    bucket.rule(Expiration={"Days": 2})
    bucket.delete()
    at(midnight(3))
    assert len(bucket.markers()) == 1
    at(midnight(4))
    assert bucket.markers() == []


def test_an_unfinished_upload_is_aborted(bucket: Bucket) -> None:
    bucket.rule(prefix="web1/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2})
    bucket.begin("web1/key")
    other = bucket.begin("web2/key")
    clock.stand_at(midnight(3))
    later = bucket.begin("web1/key")
    at(midnight(4))
    left = bucket.s3.list_multipart_uploads(Bucket="backups")["Uploads"]
    assert [upload["UploadId"] for upload in left] == [later["UploadId"], other["UploadId"]]


def test_the_age_of_a_multipart_upload_counts_from_its_initiation(bucket: Bucket) -> None:
    bucket.rule(Expiration={"Days": 2})
    upload = bucket.begin()
    part = bucket.s3.upload_part(**upload, PartNumber=1, Body=b"one")
    clock.stand_at(midnight(3))
    bucket.s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    at(midnight(4))
    assert len(bucket.markers()) == 1


def test_in_the_order_of_emulators_no_version_is_superseded_before_it_was_written() -> None:
    with mock_aws(), corrected(order="completed"):
        clock.stand_at(MORNING)
        bucket = Bucket()
        bucket.rule(NoncurrentVersionExpiration={"NoncurrentDays": 2})
        upload = bucket.begin()
        part = bucket.s3.upload_part(**upload, PartNumber=1, Body=b"one")
        clock.stand_at(midnight(20))
        bucket.put()
        bucket.s3.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
        at(midnight(21))
        assert len(bucket.versions()) == 2
        at(midnight(22))
        assert len(bucket.versions()) == 1


def test_a_locked_version_stays_until_its_lock_ends_but_can_get_a_delete_marker(
    bucket: Bucket,
) -> None:
    bucket.rules(
        [
            {
                "ID": "all",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "Expiration": {"Days": 1},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            }
        ]
    )
    until = {"ObjectLockRetainUntilDate": midnight(20)}
    locked = bucket.put("governance", ObjectLockMode="GOVERNANCE", **until)
    bucket.put("held", ObjectLockLegalHoldStatus="ON")
    at(midnight(3))
    assert len(bucket.markers()) == 2
    at(midnight(20) - A_MOMENT)
    assert len(bucket.versions()) == 2
    at(midnight(20))
    assert len(bucket.versions()) == 1
    assert locked not in bucket.versions()


def test_a_rule_applies_to_its_prefix_and_only_while_enabled(bucket: Bucket) -> None:
    rule = {"ID": "rule", "Filter": {"Prefix": "monthly/"}, "Expiration": {"Days": 1}}
    bucket.rules([rule | {"Status": "Disabled"}])
    bucket.put("monthly/2026-03")
    bucket.put("daily")
    at(midnight(10))
    assert bucket.markers() == []
    bucket.rules([rule | {"Status": "Enabled"}])
    at(midnight(10))
    [marker] = bucket.s3.list_object_versions(Bucket="backups")["DeleteMarkers"]
    assert marker["Key"] == "monthly/2026-03"


def test_a_rule_applies_to_its_tags(bucket: Bucket) -> None:
    tag = {"Tag": {"Key": "keep", "Value": "no"}}
    bucket.rules([{"ID": "rule", "Status": "Enabled", "Filter": tag, "Expiration": {"Days": 1}}])
    bucket.put("tagged", Tagging="keep=no")
    bucket.put("untagged")
    at(midnight(10))
    [marker] = bucket.s3.list_object_versions(Bucket="backups")["DeleteMarkers"]
    assert marker["Key"] == "tagged"


def test_removals_by_lifecycle_have_events_of_their_own(bucket: Bucket, events: list[str]) -> None:
    bucket.s3.put_bucket_notification_configuration(
        Bucket="backups",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "LambdaFunctionArn": FUNCTION,
                    "Events": ["s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"],
                }
            ]
        },
    )
    bucket.rules(
        [
            {
                "ID": "all",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "Expiration": {"Days": 2},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            }
        ]
    )
    bucket.put()
    at(midnight(4))
    at(midnight(5))
    assert events == ["LifecycleExpiration:DeleteMarkerCreated", "LifecycleExpiration:Delete"]


def test_each_night_counts_from_what_earlier_nights_did(bucket: Bucket) -> None:
    enabled = {"Status": "Enabled", "Filter": {"Prefix": ""}}
    bucket.rules(
        [
            {"ID": "expire", "Expiration": {"Days": 2}, **enabled},
            {"ID": "versions", "NoncurrentVersionExpiration": {"NoncurrentDays": 2}, **enabled},
            {"ID": "markers", "Expiration": {"ExpiredObjectDeleteMarker": True}, **enabled},
        ]
    )
    bucket.put()
    pass_nights(midnight(6) - A_MOMENT)
    assert (len(bucket.versions()), len(bucket.markers())) == (1, 1)
    pass_nights(midnight(6))
    assert (bucket.versions(), bucket.markers()) == ([], [])
    assert clock.now() == midnight(6)


def test_lifecycle_runs_when_the_clock_passes_midnight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = threading.Event()
    monkeypatch.setattr("localcloud.s3.lifecycle.run_lifecycle", ran.set)
    with mock_aws(), corrected():
        clock.stand_at(midnight(3) - A_MOMENT)
        with lifecycle_each_night():
            assert not ran.is_set()
            clock.stand_at(midnight(3))
            assert ran.wait(10)
