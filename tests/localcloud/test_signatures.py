import pytest
from botocore.awsrequest import AWSRequest

from localcloud.iam.authorization import Credentials
from tests.localcloud.gate import ADMINISTRATOR, refusal, send, signed


def test_what_the_administrator_signs_passes(gate):
    assert send(signed(gate, ADMINISTRATOR))[0] == 200


def test_an_unsigned_request_is_denied(gate):
    unsigned = AWSRequest(method="PUT", url=f"{gate.endpoint}/backups1/a", data=b"x").prepare()
    status, answer = send(unsigned)
    assert (status, "<Code>AccessDenied</Code>" in answer) == (403, True)


def test_a_presigned_url_is_denied(gate):
    url = gate.client("s3").generate_presigned_url(
        "put_object", Params={"Bucket": "backups1", "Key": "a"}
    )
    assert send(AWSRequest(method="PUT", url=url, data=b"x").prepare())[0] == 403


def test_an_undated_signature_is_none(gate):
    undated = signed(gate, ADMINISTRATOR)
    del undated.headers["X-Amz-Date"]
    assert send(undated)[0] == 403


@pytest.mark.parametrize(
    ("service", "call"),
    [("s3", "list_buckets"), ("iam", "list_users"), ("sts", "get_caller_identity")],
)
def test_a_wrong_secret_is_denied(gate, service, call):
    guess = Credentials(access_key_id=ADMINISTRATOR.access_key_id, secret_access_key="guess")
    client = gate.client(service, guess)
    assert refusal(getattr(client, call)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"body": b"tada"}, 400, "XAmzContentSHA256Mismatch"),
        ({"method": "POST"}, 403, "SignatureDoesNotMatch"),
        ({"headers": {"X-Amz-Date": "20200101T000000Z"}}, 403, "SignatureDoesNotMatch"),
        ({"headers": {"X-Amz-Tagging": "tier=daily"}}, 403, "AccessDenied"),
    ],
    ids=["body", "method", "signed header", "unsigned header"],
)
def test_what_is_changed_on_the_way_is_denied(gate, change, status, code):
    answer = send(signed(gate, ADMINISTRATOR), **change)
    assert (answer[0], f"<Code>{code}</Code>" in answer[1]) == (status, True)


@pytest.mark.parametrize("key", ["a b", "a+b", "ü/€", "a//b", "~-_.", "a%2Fb", "=&?"])
def test_keys_of_every_kind_are_signed_alike(gate, key):
    s3 = gate.client("s3")
    s3.put_object(Bucket="backups1", Key=key, Body=b"data", Metadata={"a_b": "c  d"})
    assert s3.get_object(Bucket="backups1", Key=key)["Body"].read() == b"data"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="backups1", Prefix=key)["Contents"]] == [
        key
    ]


def test_an_upload_may_end_with_its_checksum(gate):
    """As boto3 streams over TLS: the body's hash is not signed, its checksum is a trailer."""
    body = b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32:rfPzYw==\r\n\r\n"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Decoded-Content-Length": "4",
    }
    checksum = {"request_algorithm": {"in": "trailer"}}
    prepared = signed(gate, ADMINISTRATOR, body=body, headers=headers, checksum=checksum)
    assert prepared.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert send(prepared)[0] == 200
    assert gate.client("s3").get_object(Bucket="backups1", Key="a")["Body"].read() == b"data"
