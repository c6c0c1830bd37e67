from datetime import datetime, timedelta

import pytest
from botocore.awsrequest import AWSRequest

from localcloud.iam.authorization import Credentials
from tests.localcloud.authorized_moto import ADMINISTRATOR, allow, refusal, send, signed


def test_a_request_signed_by_the_administrator_is_allowed(gate):
    assert send(signed(gate, ADMINISTRATOR))[0] == 200


def test_an_unsigned_request_is_denied(gate):
    unsigned = AWSRequest(method="PUT", url=f"{gate.endpoint}/backups1/a", data=b"x").prepare()
    status, answer = send(unsigned)
    assert (status, "<Code>AccessDenied</Code>" in answer) == (403, True)


def presigned(gate, credentials=ADMINISTRATOR, *, method="PUT", key="a", expires=60, **more):
    """A URL of backups1/a with all the rights of its signer."""
    url = gate.client("s3", credentials, signature_version="s3v4").generate_presigned_url(
        f"{method.lower()}_object",
        Params={"Bucket": "backups1", "Key": key, **more},
        ExpiresIn=expires,
    )
    return AWSRequest(method=method, url=url, data=b"data" if method == "PUT" else b"").prepare()


@pytest.mark.parametrize("key", ["a", "a b", "a+b", "ü/€", "a//b", "=&?"])
def test_a_presigned_url_is_accepted(gate, key):
    assert send(presigned(gate, key=key))[0] == 200
    assert send(presigned(gate, key=key, method="GET"), method="GET") == (200, "data")
    [stored] = gate.client("s3").list_objects_v2(Bucket="backups1")["Contents"]
    assert stored["Key"] == key
    assert gate.client("s3").head_object(Bucket="backups1", Key=key)["Metadata"] == {}


@pytest.mark.parametrize("make", ["user", "role"])
def test_a_presigned_url_has_the_rights_of_its_signer(gate, make):
    signer = getattr(gate, make)(allow("s3:PutObject", "backups1/a"))
    assert send(presigned(gate, signer))[0] == 200
    assert send(presigned(gate, signer, method="GET"), method="GET")[0] == 403
    status, answer = send(presigned(gate, signer, key="b"))
    assert (status, "is not authorized to perform: s3:PutObject" in answer) == (403, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/a?", "/b?"),
        ("X-Amz-Expires=60", "X-Amz-Expires=600"),
        ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=60&", ""),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        ("%2Fs3%2F", "%2Fiam%2F"),
        ("?", "?partNumber=1&uploadId=u&"),
    ],
)
def test_a_presigned_url_that_was_changed_is_denied(gate, old, new):
    request = presigned(gate)
    assert old in request.url
    request.url = request.url.replace(old, new)
    assert send(request)[0] == 403


def test_headers_that_a_presigned_url_does_not_sign_are_denied(gate):
    assert send(presigned(gate), headers={"X-Amz-Tagging": "tier=daily"})[0] == 403
    tagged = presigned(gate, Tagging="tier=daily")
    assert send(tagged)[0] == 403
    assert send(tagged, headers={"X-Amz-Tagging": "tier=daily"})[0] == 200


@pytest.mark.parametrize(("seconds", "status"), [(3000, 200), (3601, 403)])
def test_a_presigned_url_expires(gate, monkeypatch, seconds, status):
    class Later(datetime):
        @classmethod
        def now(cls, zone):
            return super().now(zone) + timedelta(seconds=seconds)

    request = presigned(gate, expires=3600)
    monkeypatch.setattr("localcloud.iam.signatures.datetime", Later)
    answer = send(request)
    assert (answer[0], "Request has expired" in answer[1]) == (status, status == 403)


def test_a_signature_without_a_date_is_denied(gate):
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
def test_a_request_that_was_changed_after_signing_is_denied(gate, change, status, code):
    answer = send(signed(gate, ADMINISTRATOR), **change)
    assert (answer[0], f"<Code>{code}</Code>" in answer[1]) == (status, True)


@pytest.mark.parametrize("key", ["a b", "a+b", "ü/€", "a//b", "~-_.", "a%2Fb", "=&?"])
def test_signatures_of_unusual_keys_are_accepted(gate, key):
    s3 = gate.client("s3")
    s3.put_object(Bucket="backups1", Key=key, Body=b"data", Metadata={"a_b": "c  d"})
    assert s3.get_object(Bucket="backups1", Key=key)["Body"].read() == b"data"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="backups1", Prefix=key)["Contents"]] == [
        key
    ]


def test_an_upload_can_end_with_its_checksum(gate):
    """boto3 streams over TLS like this: no signed hash of the body, but a trailing checksum."""
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
