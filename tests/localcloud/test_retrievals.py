"""RestoreObject in the local cloud: a retrieval takes hours on its movable clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.clock import clock
from localcloud.s3.backend import corrected

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNNING = 'ongoing-request="true"'


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws(), corrected():
        clock.stand_at(NOON)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="backups")
        s3.put_bucket_versioning(Bucket="backups", VersioningConfiguration={"Status": "Enabled"})
        yield s3


def archive(s3: Any, storage_class: str = "GLACIER", body: bytes = b"a backup") -> dict[str, Any]:
    answer = s3.put_object(Bucket="backups", Key="key", Body=body, StorageClass=storage_class)
    return {"Bucket": "backups", "Key": "key", "VersionId": answer["VersionId"]}


def retrieve(s3: Any, version: dict[str, Any], days: int = 7) -> int:
    answer = s3.restore_object(**version, RestoreRequest={"Days": days})
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def state(s3: Any, version: dict[str, Any]) -> str | None:
    return s3.head_object(**version).get("Restore")  # type: ignore[no-any-return]


def refusal(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(("storage_class", "hours"), [("GLACIER", 5), ("DEEP_ARCHIVE", 12)])
def test_a_copy_can_be_read_after_hours_and_for_days(
    s3: Any, storage_class: str, hours: int
) -> None:
    version = archive(s3, storage_class)
    assert state(s3, version) is None
    assert refusal(s3.get_object, **version) == ("InvalidObjectState", 403)
    assert retrieve(s3, version) == 202
    assert state(s3, version) == RUNNING
    clock.advance(timedelta(hours=hours, seconds=-1))
    assert refusal(s3.get_object, **version) == ("InvalidObjectState", 403)
    clock.advance(timedelta(seconds=1))
    expiry = f"{NOON + timedelta(days=7, hours=hours):%a, %d %b %Y %H:%M:%S GMT}"
    assert state(s3, version) == f'ongoing-request="false", expiry-date="{expiry}"'
    assert s3.get_object(**version)["Body"].read() == b"a backup"
    clock.advance(timedelta(days=7))
    assert state(s3, version) is None
    assert refusal(s3.get_object, **version) == ("InvalidObjectState", 403)


def test_a_second_request_is_refused_while_it_runs_and_extends_it_afterwards(s3: Any) -> None:
    version = archive(s3)
    retrieve(s3, version)
    request = {"RestoreRequest": {"Days": 1}}
    assert refusal(s3.restore_object, **version, **request) == ("RestoreAlreadyInProgress", 409)
    clock.advance(timedelta(hours=5))
    assert retrieve(s3, version, days=30) == 200
    clock.advance(timedelta(days=29))
    assert s3.get_object(**version)["Body"].read() == b"a backup"


def test_only_the_named_version_is_retrieved(s3: Any) -> None:
    first, second = archive(s3), archive(s3, body=b"another one")
    retrieve(s3, first)
    assert (state(s3, first), state(s3, second)) == (RUNNING, None)


def test_what_is_not_archived_is_not_retrieved(s3: Any) -> None:
    version = archive(s3, "STANDARD")
    request = {"RestoreRequest": {"Days": 1}}
    assert refusal(s3.restore_object, **version, **request) == ("InvalidObjectState", 403)
