"""Races in the corrected S3 in this process, and details that only it can show."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3
import pytest
from botocore import httpchecksum
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3 import models
from moto.s3.models import s3_backends

from localcloud.s3.backend import corrected
from localcloud.s3.events import Requester, requester
from tests.localcloud.conformance.bucket import WRITERS, race

ROUNDS = 10
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:promote"
NOTIFIED = {
    "LambdaFunctionConfigurations": [
        {"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}
    ]
}


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def s3(records: list[dict[str, Any]]) -> Iterator[Any]:
    def deliver(_function: str, event: dict[str, Any]) -> None:
        records.append(event["Records"][0])

    with mock_aws(), corrected(deliver=deliver):
        yield client()


def client() -> Any:
    config = Config(max_pool_connections=WRITERS, retries={"total_max_attempts": 1})
    s3 = boto3.client("s3", region_name="us-east-1", config=config)
    s3.create_bucket(Bucket="bucket")
    return s3


@pytest.fixture
def hectic() -> Iterator[None]:
    """Switch threads as often as possible, so that races occur at once."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def put(s3: Any, key: str, number: int) -> Callable[[], Any]:
    return lambda: s3.put_object(Bucket="bucket", Key=key, Body=b"%d" % number, IfNoneMatch="*")


def copy(s3: Any, key: str, number: int) -> Callable[[], Any]:
    s3.put_object(Bucket="bucket", Key=f"source-{number}", Body=b"%d" % number)
    source = f"bucket/source-{number}"
    return lambda: s3.copy_object(Bucket="bucket", Key=key, CopySource=source, IfNoneMatch="*")


def complete(s3: Any, key: str, number: int) -> Callable[[], Any]:
    upload = {"Bucket": "bucket", "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"%d" % number)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return lambda: s3.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")


@pytest.mark.usefixtures("hectic")
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([put], id="put"),
        pytest.param([copy], id="copy"),
        pytest.param([complete], id="complete"),
        pytest.param([put, copy, complete], id="all three"),
    ],
)
def test_of_many_conditional_writers_exactly_one_wins(
    s3: Any, kinds: list[Callable[[Any, str, int], Callable[[], Any]]]
) -> None:
    for turn in range(ROUNDS):
        key = f"slot-{turn}"
        attempts = [kinds[number % len(kinds)](s3, key, number) for number in range(WRITERS)]
        words = race(attempts)
        assert sorted(words) == ["PreconditionFailed"] * (WRITERS - 1) + ["won"]
        body = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        assert body == b"%d" % words.index("won")


@pytest.mark.usefixtures("hectic")
def test_a_conditional_delete_never_removes_a_newer_upload(s3: Any) -> None:
    upload = {"Bucket": "bucket", "Key": "upload"}
    for _ in range(4 * ROUNDS):
        meant = s3.put_object(**upload, Body=b"one")["ETag"]
        deletes = [partial(s3.delete_object, **upload, IfMatch=meant)] * 3
        words = race([*deletes, lambda: s3.put_object(**upload, Body=b"newer")])
        assert words.count("won") <= 2
        assert s3.get_object(**upload)["Body"].read() == b"newer"


@pytest.mark.usefixtures("hectic")
def test_a_reader_sees_a_whole_object_or_none_while_others_write_and_remove(s3: Any) -> None:
    upload = {"Bucket": "bucket", "Key": "upload"}
    bodies = {b"a" * 5000, b"b" * 7000}

    def write() -> None:
        for _ in range(ROUNDS):
            for body in bodies:
                s3.put_object(**upload, Body=body)
            s3.delete_object(**upload)

    def read() -> None:
        for _ in range(ROUNDS):
            try:
                assert s3.get_object(**upload)["Body"].read() in bodies
                s3.head_object(**upload)
                s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/upload")
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404  # noqa: PT017
            s3.list_objects_v2(Bucket="bucket")
            s3.list_object_versions(Bucket="bucket")

    assert set(race([write, write] + [read] * 4)) == {"won"}


def test_an_object_being_read_stays_whole_when_it_is_overwritten(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="upload", Body=b"one")
    being_read = s3_backends["123456789012"]["aws"].get_object("bucket", "upload")
    s3.put_object(Bucket="bucket", Key="upload", Body=b"two")
    s3.delete_object(Bucket="bucket", Key="upload")
    assert being_read.value == b"one"


def test_an_error_of_head_has_only_its_status_as_code(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="upload", Body=b"one")
    codes = []
    for wrong in ({"Key": "nothing"}, {"Key": "upload", "ExpectedBucketOwner": "999999999999"}):
        with pytest.raises(ClientError) as caught:
            s3.head_object(Bucket="bucket", **wrong)
        codes.append(caught.value.response["Error"]["Code"])
    assert codes == ["404", "403"]


def test_a_checksum_in_the_trailer_is_verified(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = {"Bucket": "bucket", "Key": "upload"}
    s3.put_object(**upload, Body=io.BytesIO(b"one"), ChecksumAlgorithm="CRC32")
    with monkeypatch.context() as lying:
        crc32 = httpchecksum._CHECKSUM_CLS["crc32"]  # awscrt's, if that is installed
        lying.setattr(crc32, "digest", lambda _self: bytes(4))
        with pytest.raises(ClientError) as caught:
            s3.put_object(**upload, Body=io.BytesIO(b"two"), ChecksumAlgorithm="CRC32")
    assert caught.value.response["Error"]["Code"] == "BadDigest"
    assert s3.get_object(**upload)["Body"].read() == b"one"


def test_a_record_names_the_sender_of_the_request(s3: Any, records: list[dict[str, Any]]) -> None:
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=NOTIFIED)
    token = requester.set(Requester(principal_id="AWS:AROASERVER", source_ip="203.0.113.7"))
    s3.put_object(Bucket="bucket", Key="upload", Body=b"one")
    requester.reset(token)
    (record,) = records
    assert record["userIdentity"] == {"principalId": "AWS:AROASERVER"}
    assert record["requestParameters"] == {"sourceIPAddress": "203.0.113.7"}


def test_an_event_arrives_after_the_lock_on_its_object_is_released() -> None:
    def move(_function: str, _event: dict[str, Any]) -> None:
        another.submit(s3.delete_object, Bucket="bucket", Key="upload").result(timeout=5)

    with mock_aws(), ThreadPoolExecutor(1) as another, corrected(deliver=move):
        s3 = client()
        s3.put_bucket_notification_configuration(
            Bucket="bucket", NotificationConfiguration=NOTIFIED
        )
        s3.put_object(Bucket="bucket", Key="upload", Body=b"one", Metadata={"a": "b"})
        assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0


def test_moto_is_restored_after_the_block() -> None:
    watched = [(s3_backends, "backend"), (models, "FakeBucket"), (models, "utcnow")]
    before = [vars(owner)[name] for owner, name in watched]
    with corrected():
        assert [vars(owner)[name] for owner, name in watched] != before
    assert [vars(owner)[name] for owner, name in watched] == before
