"""tests/support/remembered_answers.py caches the local cloud's responses, but never stale ones."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from admin.account import local_account
from demo.stage import StageCloud, running
from localcloud.clock import clock
from localcloud.iam.callers import Credentials
from tests.admin.weakenings import allow
from tests.support.remembered_answers import EACH, RememberedAnswers


@pytest.fixture(scope="module")
def shared(answers: RememberedAnswers) -> Iterator[StageCloud]:
    with running(by_hand=True) as cloud:
        yield cloud


@pytest.fixture
def s3(shared: StageCloud, answers: RememberedAnswers) -> Iterator[Any]:
    """An S3 client whose responses are cached, with a bucket whose versioning is enabled."""
    client = local_account(shared.endpoint).client("s3")
    client.create_bucket(Bucket="bucket")
    enable(client, "Enabled")
    answers.forget()
    answers.begin()
    answers.reused = 0
    answers.stale.clear()
    yield client
    clock.reset()


def enable(s3: Any, status: str) -> None:
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": status})


def versioning(s3: Any) -> str:
    return str(s3.get_bucket_versioning(Bucket="bucket")["Status"])


def test_a_repeated_request_is_served_from_the_cache(s3: Any, answers: RememberedAnswers) -> None:
    assert [versioning(s3) for _ in range(3)] == ["Enabled"] * 3
    assert answers.reused == 2


def test_a_write_to_a_bucket_invalidates_responses_about_the_bucket(
    s3: Any, answers: RememberedAnswers
) -> None:
    assert versioning(s3) == "Enabled"
    enable(s3, "Suspended")
    assert versioning(s3) == "Suspended"
    assert answers.reused == 0


def test_a_write_to_another_bucket_keeps_responses(s3: Any, answers: RememberedAnswers) -> None:
    assert versioning(s3) == "Enabled"
    s3.create_bucket(Bucket="other")
    s3.delete_bucket(Bucket="other")
    assert versioning(s3) == "Enabled"
    assert answers.reused == 1


def test_a_write_to_any_bucket_invalidates_a_list_of_buckets(s3: Any) -> None:
    assert len(s3.list_buckets()["Buckets"]) == 1
    s3.create_bucket(Bucket="other")
    assert len(s3.list_buckets()["Buckets"]) == 2
    s3.delete_bucket(Bucket="other")
    assert len(s3.list_buckets()["Buckets"]) == 1


def test_deleting_a_user_invalidates_bucket_policies(s3: Any, shared: StageCloud) -> None:
    iam = local_account(shared.endpoint).client("iam")
    arn = iam.create_user(UserName="leaver")["User"]["Arn"]
    lists = allow("s3:ListBucket", "arn:aws:s3:::bucket")["Statement"]
    policy = {"Version": "2012-10-17", "Statement": [{**lists[0], "Principal": {"AWS": arn}}]}
    s3.put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy))
    assert arn in s3.get_bucket_policy(Bucket="bucket")["Policy"]
    iam.delete_user(UserName="leaver")
    assert arn not in s3.get_bucket_policy(Bucket="bucket")["Policy"]
    s3.delete_bucket_policy(Bucket="bucket")


def test_a_write_by_another_program_invalidates_responses(s3: Any, shared: StageCloud) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="bucket", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.get_bucket_encryption(Bucket="bucket")
    signer = local_account(shared.endpoint).client("s3", signature_version="s3v4")
    url = signer.generate_presigned_url("delete_bucket_encryption", Params={"Bucket": "bucket"})
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")):
        pass
    with pytest.raises(ClientError, match="ServerSideEncryptionConfigurationNotFound"):
        s3.get_bucket_encryption(Bucket="bucket")


def test_a_write_to_an_unknown_service_invalidates_everything(
    s3: Any, shared: StageCloud, answers: RememberedAnswers
) -> None:
    assert versioning(s3) == "Enabled"
    local_account(shared.endpoint).client("sqs").create_queue(QueueName="queue")
    assert versioning(s3) == "Enabled"
    assert answers.reused == 0


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(lambda: s3_backends["123456789012"], id="its backends are reached"),
        pytest.param(lambda: clock.advance(timedelta(days=1)), id="the clock is moved"),
    ],
)
def test_nothing_is_cached_until_the_next_test_once(
    s3: Any, answers: RememberedAnswers, reach: Callable[[], object]
) -> None:
    bucket = s3_backends["123456789012"]["aws"].buckets["bucket"]
    answers.begin()
    assert versioning(s3) == "Enabled"
    reach()
    bucket.versioning_status = "Suspended"
    assert versioning(s3) == "Suspended"
    bucket.versioning_status = "Enabled"
    answers.begin()
    assert versioning(s3) == "Enabled"
    assert answers.reused == 0


def test_a_stale_response_is_detected(s3: Any, answers: RememberedAnswers) -> None:
    bucket = s3_backends["123456789012"]["aws"].buckets["bucket"]
    answers.begin()
    assert versioning(s3) == "Enabled"
    bucket.versioning_status = "Suspended"
    assert {versioning(s3) for _ in range(EACH)} == {"Enabled"}
    assert answers.stale == ["GetBucketVersioning"]


def test_only_responses_to_the_administrator_are_cached(
    s3: Any, shared: StageCloud, answers: RememberedAnswers
) -> None:
    iam = local_account(shared.endpoint).client("iam")
    iam.create_user(UserName="reader")
    everything = json.dumps(allow("*"))
    iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=everything)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = Credentials(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
    client = shared.session(reader).client("s3")
    assert {versioning(client) for _ in range(2)} == {"Enabled"}
    assert answers.reused == 0
