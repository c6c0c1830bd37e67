"""The events that a function gets from a bucket."""

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
def new_records(
    store: Store, events: list[tuple[str, dict[str, Any]]], double_only: None
) -> Callable[[], list[dict[str, Any]]]:
    """Subscribes to the bucket; returns the records since the last call."""
    store.put_bucket_notification_configuration(
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}
            ]
        }
    )
    events.clear()

    def take() -> list[dict[str, Any]]:
        assert {function for function, _ in events} <= {FUNCTION}
        records = [record for _, event in events for record in event["Records"]]
        events.clear()
        return records

    return take


def test_every_creation_sends_exactly_one_event(
    store: Store, new_records: Callable[[], list[dict[str, Any]]]
) -> None:
    store.put("put", Tagging="a=b")
    store.copy("put", "copied")
    upload = store.begin("completed")
    parts = store.parts(upload, b"one")
    store.complete_multipart_upload(**upload, MultipartUpload=parts)
    with refused(412, "PreconditionFailed"):
        store.put("put", IfNoneMatch="*")
    store.delete_object(Key="put")
    assert [(record["eventName"], record["s3"]["object"]["key"]) for record in new_records()] == [
        ("ObjectCreated:Put", "put"),
        ("ObjectCreated:Copy", "copied"),
        ("ObjectCreated:CompleteMultipartUpload", "completed"),
    ]


def test_a_record_names_the_object_and_the_sender(
    store: Store, new_records: Callable[[], list[dict[str, Any]]]
) -> None:
    key = "web1/ü +backup.tar.gz"
    etag = store.put(key)["ETag"]
    (record,) = new_records()
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
    versioned: Store, new_records: Callable[[], list[dict[str, Any]]]
) -> None:
    versions = [versioned.put("key")["VersionId"] for _ in range(3)]
    described = [record["s3"]["object"] for record in new_records()]
    assert [item["versionId"] for item in described] == versions
    sequencers = [item["sequencer"] for item in described]
    assert sequencers == sorted(set(sequencers))


def notified(*, events: str = "ObjectCreated:*", prefix: str = "", suffix: str = "") -> Any:
    rules = [
        {"Name": name, "Value": value}
        for name, value in {"prefix": prefix, "suffix": suffix}.items()
        if value
    ]
    filters = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"LambdaFunctionArn": FUNCTION, "Events": [f"s3:{events}"], **filters}


@pytest.mark.usefixtures("double_only")  # a real S3 also requires that the function exists
@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        pytest.param({}, {}, True, id="the same"),
        pytest.param({}, {"events": "ObjectCreated:Put"}, True, id="a part of the events"),
        pytest.param({}, {"events": "ObjectRemoved:*"}, False, id="other events"),
        pytest.param({}, {"prefix": "web1/"}, True, id="a part of the keys"),
        pytest.param({"prefix": "web1/"}, {"prefix": "web2/"}, False, id="other prefixes"),
        pytest.param({"prefix": "web"}, {"prefix": "web1/"}, True, id="longer prefix"),
        pytest.param({"suffix": ".gz"}, {"suffix": ".gpg"}, False, id="other suffixes"),
        pytest.param({"suffix": ".gz"}, {"suffix": ".tar.gz"}, True, id="longer suffix"),
        pytest.param({"prefix": "web1/"}, {"suffix": ".gz"}, True, id="prefix and suffix"),
    ],
)
def test_notifications_of_one_event_cannot_overlap(
    store: Store, first: dict[str, str], second: dict[str, str], overlap: bool
) -> None:
    both = {"LambdaFunctionConfigurations": [notified(**first), notified(**second)]}
    if overlap:
        with refused(400, "InvalidArgument"):
            store.put_bucket_notification_configuration(NotificationConfiguration=both)
    else:
        store.put_bucket_notification_configuration(NotificationConfiguration=both)
    kept = store.get_bucket_notification_configuration()
    assert ("LambdaFunctionConfigurations" in kept) is not overlap
