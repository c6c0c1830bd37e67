"""What a function is told of what happens in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import pytest

from localcloud.s3.events import Requester
from tests.localcloud.conformance.bucket import (
    ACCOUNT,
    Store,
    refused,
)

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:promote"


@pytest.fixture
def told(
    store: Store, events: list[tuple[str, dict[str, Any]]], double_only: None
) -> Callable[[], list[dict[str, Any]]]:
    """Listens to the bucket; answers with the records since the last look."""
    store.put_bucket_notification_configuration(
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}
            ]
        }
    )
    events.clear()

    def look() -> list[dict[str, Any]]:
        assert {function for function, _ in events} <= {FUNCTION}
        records = [record for _, event in events for record in event["Records"]]
        events.clear()
        return records

    return look


def test_every_creation_is_told_exactly_once(
    store: Store, told: Callable[[], list[dict[str, Any]]]
) -> None:
    store.put("put", Tagging="a=b")
    store.copy("put", "copied")
    upload = store.begin("completed")
    parts = store.parts(upload, b"one")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    with refused(412, "PreconditionFailed"):
        store.put("put", IfNoneMatch="*")
    store.delete_object(Key="put")
    assert [(record["eventName"], record["s3"]["object"]["key"]) for record in told()] == [
        ("ObjectCreated:Put", "put"),
        ("ObjectCreated:Copy", "copied"),
        ("ObjectCreated:CompleteMultipartUpload", "completed"),
    ]


def test_a_record_says_what_was_made_and_by_whom(
    store: Store, told: Callable[[], list[dict[str, Any]]]
) -> None:
    key = "web1/ü +backup.tar.gz"
    etag = store.put(key)["ETag"]
    (record,) = told()
    assert record["eventVersion"].startswith("2.")
    assert record["eventSource"] == "aws:s3"
    assert record["s3"]["bucket"]["name"] == store.bucket
    described = record["s3"]["object"]
    assert described["key"] == "web1/%C3%BC+%2Bbackup.tar.gz"
    assert unquote_plus(described["key"]) == key
    assert (described["size"], described["eTag"]) == (3, etag.strip('"'))
    assert "versionId" not in described
    default = Requester()
    assert record["userIdentity"] == {"principalId": default.principal_id}
    assert record["requestParameters"] == {"sourceIPAddress": default.source_ip}


def test_records_of_a_versioned_bucket_carry_the_version_and_sort_by_sequencer(
    versioned: Store, told: Callable[[], list[dict[str, Any]]]
) -> None:
    versions = [versioned.put("key")["VersionId"] for _ in range(3)]
    described = [record["s3"]["object"] for record in told()]
    assert [one["versionId"] for one in described] == versions
    sequencers = [one["sequencer"] for one in described]
    assert sequencers == sorted(set(sequencers))
