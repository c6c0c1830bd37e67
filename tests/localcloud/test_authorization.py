import io
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as Keys
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from moto.moto_api._internal import moto_api_backend
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

from localcloud.authorization import Authorization, Credentials, Refused, S3Call, s3_checks
from localcloud.s3 import Requester, corrected, requester

ADMINISTRATOR = Credentials(
    access_key_id="AKIALOCALADMINISTRAT", secret_access_key="administrator/of/the/test"
)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Cloud:
    """The endpoint, and what passed the authorization: the sender of each request."""

    def __init__(self):
        self.senders = []
        moto = DomainDispatcherApplication(create_backend_app)

        def app(environ, start_response):
            self.senders.append(requester.get())
            return moto(environ, start_response)

        self._app = Authorization(app, administrator=ADMINISTRATOR)

    def serve(self):
        return make_server(
            "127.0.0.1", 0, self._app, threaded=True, request_handler=MotoRequestHandler
        )

    def client(self, service, who=ADMINISTRATOR, **config):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=who.access_key_id,
            aws_secret_access_key=who.secret_access_key,
            aws_session_token=who.session_token,
            config=Config(proxies={}, retries={"total_max_attempts": 1}, **config),
        )

    def user(self, *statements, name="web1"):
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(
                UserName=name, PolicyName="own", PolicyDocument=document(*statements)
            )
        return keys_of(iam.create_access_key(UserName=name)["AccessKey"])

    def role(self, *statements, name="promoter"):
        iam = self.client("iam")
        trust = document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        answer = self.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="run")
        return keys_of(answer["Credentials"])


@pytest.fixture(scope="module")
def served():
    cloud = Cloud()
    server = cloud.serve()
    cloud.endpoint = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with corrected():
        yield cloud
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cloud(served):
    moto_api_backend.reset()
    s3 = served.client("s3")
    for bucket in ("backups1", "backups2"):
        s3.create_bucket(Bucket=bucket)
    served.senders.clear()
    yield served
    moto_api_backend.reset()


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def keys_of(answer):
    return Credentials(
        access_key_id=answer["AccessKeyId"],
        secret_access_key=answer["SecretAccessKey"],
        session_token=answer.get("SessionToken"),
    )


def allow(actions, *resources, **more):
    resources = [f"arn:aws:s3:::{resource}" for resource in resources]
    return {"Effect": "Allow", "Action": actions, "Resource": resources or "*", **more}


def deny(actions, *resources, **more):
    return {**allow(actions, *resources, **more), "Effect": "Deny"}


def refusal(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


def is_allowed(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True


# Who it is


def signed(cloud, who, *, body=b"data", headers=None, key="a", **context):
    """A put of backups1/a, signed as botocore signs."""
    request = AWSRequest(
        method="PUT", url=f"{cloud.endpoint}/backups1/{key}", data=body, headers=headers or {}
    )
    request.context.update(context)
    S3SigV4Auth(
        Keys(who.access_key_id, who.secret_access_key, who.session_token), "s3", "us-east-1"
    ).add_auth(request)
    return request.prepare()


def send(prepared, *, body=None, headers=None, method="PUT"):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = prepared.body if body is None else body
    plain = {"Content-Type": "application/octet-stream"}
    every = {**plain, **dict(prepared.headers.items()), **(headers or {})}
    request = urllib.request.Request(prepared.url, data=data, headers=every, method=method)
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_what_the_administrator_signs_passes(cloud):
    assert send(signed(cloud, ADMINISTRATOR))[0] == 200


def test_an_unsigned_request_is_denied(cloud):
    unsigned = AWSRequest(method="PUT", url=f"{cloud.endpoint}/backups1/a", data=b"x").prepare()
    status, answer = send(unsigned)
    assert (status, "<Code>AccessDenied</Code>" in answer) == (403, True)


def test_a_presigned_url_is_denied(cloud):
    url = cloud.client("s3").generate_presigned_url(
        "put_object", Params={"Bucket": "backups1", "Key": "a"}
    )
    assert send(AWSRequest(method="PUT", url=url, data=b"x").prepare())[0] == 403


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("iam", "list_users", "InvalidClientTokenId"),
    ],
)
def test_an_unknown_key_is_denied(cloud, service, call, code):
    nobody = Credentials(access_key_id="AKIA" + "Q" * 16, secret_access_key="secret")
    assert refusal(getattr(cloud.client(service, nobody), call)) == (403, code)


@pytest.mark.parametrize(
    ("service", "call"),
    [("s3", "list_buckets"), ("iam", "list_users"), ("sts", "get_caller_identity")],
)
def test_a_wrong_secret_is_denied(cloud, service, call):
    guess = Credentials(access_key_id=ADMINISTRATOR.access_key_id, secret_access_key="guess")
    client = cloud.client(service, guess)
    assert refusal(getattr(client, call)) == (403, "SignatureDoesNotMatch")


def test_a_deactivated_key_is_unknown(cloud):
    web1 = cloud.user(allow("s3:*"))
    cloud.client("iam").update_access_key(
        UserName="web1", AccessKeyId=web1.access_key_id, Status="Inactive"
    )
    assert refusal(cloud.client("s3", web1).list_buckets) == (403, "InvalidAccessKeyId")


def test_a_role_is_known_by_its_session_token(cloud):
    promoter = cloud.role(allow("s3:*"))
    stolen = Credentials(
        access_key_id=promoter.access_key_id, secret_access_key=promoter.secret_access_key
    )
    assert is_allowed(cloud.client("s3", promoter).list_buckets)
    assert refusal(cloud.client("s3", stolen).list_buckets) == (400, "InvalidToken")


def test_a_session_ends(cloud):
    promoter = cloud.role(allow("s3:*"))
    (session,) = sts_backends["123456789012"]["aws"].assumed_roles
    session.expiration -= timedelta(days=1)
    assert refusal(cloud.client("s3", promoter).list_buckets) == (403, "InvalidAccessKeyId")


def test_a_session_of_its_own_policy_is_not_understood(cloud):
    cloud.role(allow("s3:*"))
    session = cloud.client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/promoter",
        RoleSessionName="less",
        Policy=document(allow("s3:GetObject")),
    )
    s3 = cloud.client("s3", keys_of(session["Credentials"]))
    assert refusal(s3.list_buckets) == (501, "NotImplemented")


def test_an_undated_signature_is_none(cloud):
    undated = signed(cloud, ADMINISTRATOR)
    del undated.headers["X-Amz-Date"]
    assert send(undated)[0] == 403


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
def test_what_is_changed_on_the_way_is_denied(cloud, change, status, code):
    answer = send(signed(cloud, ADMINISTRATOR), **change)
    assert (answer[0], f"<Code>{code}</Code>" in answer[1]) == (status, True)


@pytest.mark.parametrize("key", ["a b", "a+b", "ü/€", "a//b", "~-_.", "a%2Fb", "=&?"])
def test_keys_of_every_kind_are_signed_alike(cloud, key):
    s3 = cloud.client("s3")
    s3.put_object(Bucket="backups1", Key=key, Body=b"data", Metadata={"a_b": "c  d"})
    assert s3.get_object(Bucket="backups1", Key=key)["Body"].read() == b"data"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="backups1", Prefix=key)["Contents"]] == [
        key
    ]


def test_an_upload_may_end_with_its_checksum(cloud):
    """As boto3 streams over TLS: the body's hash is not signed, its checksum is a trailer."""
    body = b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32:rfPzYw==\r\n\r\n"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Decoded-Content-Length": "4",
    }
    checksum = {"request_algorithm": {"in": "trailer"}}
    prepared = signed(cloud, ADMINISTRATOR, body=body, headers=headers, checksum=checksum)
    assert prepared.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert send(prepared)[0] == 200
    assert cloud.client("s3").get_object(Bucket="backups1", Key="a")["Body"].read() == b"data"


@pytest.mark.parametrize("service", ["s3", "sts"])
@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/data.json", "/%6doto-api/reset"])
def test_motos_own_controls_are_closed_to_all(cloud, path, service):
    request = AWSRequest(method="POST", url=cloud.endpoint + path, data=b"")
    keys = Keys(ADMINISTRATOR.access_key_id, ADMINISTRATOR.secret_access_key)
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    assert send(request.prepare(), method="POST")[0] == 403
    assert is_allowed(cloud.client("s3").head_bucket, Bucket="backups1")


def test_a_header_of_motos_chooses_no_other_account(cloud):
    put = AWSRequest(method="PUT", url=f"{cloud.endpoint}/backups3", data=b"")
    S3SigV4Auth(
        Keys(ADMINISTRATOR.access_key_id, ADMINISTRATOR.secret_access_key), "s3", "us-east-1"
    ).add_auth(put)
    assert send(put.prepare(), headers={"X-Moto-Account-Id": "999999999999"})[0] == 200
    assert s3_backends.bucket_accounts["backups3"] == ("aws", "123456789012")


def test_a_host_name_names_no_bucket(cloud):
    web1 = cloud.user(allow("s3:PutObject", "backups1/*"))
    elsewhere = {"Host": "backups2.s3.amazonaws.com"}
    assert send(signed(cloud, web1, headers=elsewhere))[0] == 403


def test_events_can_say_who_sent_the_request(cloud):
    web1, promoter = cloud.user(allow("s3:*")), cloud.role(allow("s3:*"))
    cloud.senders.clear()
    for who in (ADMINISTRATOR, web1, promoter):
        cloud.client("s3", who).list_buckets()
    administrator, user, session = (sender.principal_id for sender in cloud.senders)
    assert administrator.startswith("AWS:AIDA")
    assert (user.startswith("AWS:AIDA"), user.endswith(":web1")) == (True, True)
    assert (session.startswith("AWS:AROA"), session.endswith(":run")) == (True, True)
    assert {sender.source_ip for sender in cloud.senders} == {"127.0.0.1"}
    assert requester.get() == Requester()


# What it may do


def test_a_server_may_do_what_its_policy_says_and_nothing_else(cloud):
    web1 = cloud.client("s3", cloud.user(allow("s3:PutObject", "backups1/backup.tar.gz.gpg")))
    web1.put_object(Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"data")
    for denied, arguments in [
        (web1.put_object, {"Bucket": "backups1", "Key": "another"}),
        (web1.put_object, {"Bucket": "backups2", "Key": "backup.tar.gz.gpg"}),
        (web1.get_object, {"Bucket": "backups1", "Key": "backup.tar.gz.gpg"}),
        (web1.delete_object, {"Bucket": "backups1", "Key": "backup.tar.gz.gpg"}),
        (web1.list_objects_v2, {"Bucket": "backups1"}),
        (web1.get_bucket_policy, {"Bucket": "backups1"}),
        (
            web1.put_object_tagging,
            {
                "Bucket": "backups1",
                "Key": "backup.tar.gz.gpg",
                "Tagging": {"TagSet": []},
            },
        ),
        (web1.list_buckets, {}),
    ]:
        assert refusal(denied, **arguments) == (403, "AccessDenied")
    head = {"Bucket": "backups1", "Key": "backup.tar.gz.gpg"}
    assert refusal(web1.head_object, **head) == (403, "403")
    assert refusal(web1.head_bucket, Bucket="backups1") == (403, "403")


def test_a_denial_says_who_what_where_and_why(cloud):
    promoter = cloud.client("s3", cloud.role(allow("s3:GetObject", "backups1/*")))
    with pytest.raises(ClientError) as raised:
        promoter.put_object(Bucket="backups2", Key="a<b")
    assert raised.value.response["Error"]["Message"] == (
        "User: arn:aws:sts::123456789012:assumed-role/promoter/run is not authorized to perform: "
        's3:PutObject on resource: "arn:aws:s3:::backups2/a<b" '
        "because no identity-based policy allows the s3:PutObject action"
    )


@pytest.mark.parametrize(
    ("own", "bucket", "reason"),
    [
        (deny("s3:*"), None, "with an explicit deny in an identity-based policy"),
        (
            allow("s3:*"),
            deny("s3:PutObject", "backups2/*", Principal="*"),
            "with an explicit deny in a resource-based policy",
        ),
    ],
)
def test_an_explicit_denial_says_on_which_side(cloud, own, bucket, reason):
    web1 = cloud.client("s3", cloud.user(own))
    if bucket:
        cloud.client("s3").put_bucket_policy(Bucket="backups2", Policy=document(bucket))
    with pytest.raises(ClientError, match=reason):
        web1.put_object(Bucket="backups2", Key="a")


def test_policies_of_groups_and_attached_ones_count(cloud):
    iam, web1 = cloud.client("iam"), cloud.user()
    s3 = cloud.client("s3", web1)
    assert not is_allowed(s3.put_object, Bucket="backups1", Key="a")
    iam.create_group(GroupName="servers")
    iam.put_group_policy(
        GroupName="servers",
        PolicyName="put",
        PolicyDocument=document(allow("s3:PutObject", "backups1/*")),
    )
    iam.add_user_to_group(GroupName="servers", UserName="web1")
    assert is_allowed(s3.put_object, Bucket="backups1", Key="a")
    managed = iam.create_policy(PolicyName="get", PolicyDocument=document(allow("s3:GetObject")))
    assert not is_allowed(s3.get_object, Bucket="backups1", Key="a")
    iam.attach_user_policy(UserName="web1", PolicyArn=managed["Policy"]["Arn"])
    assert is_allowed(s3.get_object, Bucket="backups1", Key="a")
    iam.create_policy_version(
        PolicyArn=managed["Policy"]["Arn"],
        PolicyDocument=document(allow("s3:ListBucket")),
        SetAsDefault=True,
    )
    assert not is_allowed(s3.get_object, Bucket="backups1", Key="a")


def test_a_role_whose_policy_is_taken_away_may_do_nothing(cloud):
    promoter = cloud.client("s3", cloud.role(allow("s3:PutObject", "backups2/*")))
    assert is_allowed(promoter.put_object, Bucket="backups2", Key="a")
    cloud.client("iam").delete_role_policy(RoleName="promoter", PolicyName="own")
    assert not is_allowed(promoter.put_object, Bucket="backups2", Key="a")


def test_a_bucket_policy_binds_the_administrator_too(cloud):
    s3 = cloud.client("s3")
    s3.put_object(Bucket="backups2", Key="a", Body=b"data")
    s3.put_bucket_policy(
        Bucket="backups2",
        Policy=document(deny("s3:DeleteObject*", "backups2/*", Principal="*")),
    )
    one = {"Bucket": "backups2", "Key": "a"}
    assert refusal(s3.delete_object, **one) == (403, "AccessDenied")
    several = {"Bucket": "backups2", "Delete": {"Objects": [{"Key": "b"}, {"Key": "a"}]}}
    assert refusal(s3.delete_objects, **several) == (403, "AccessDenied")
    assert s3.get_object(**one)["Body"].read() == b"data"
    s3.delete_bucket_policy(Bucket="backups2")
    assert is_allowed(s3.delete_object, **one)


def test_another_account_needs_its_own_policy_and_the_buckets(cloud):
    other = iam_backends["999999999999"]["aws"]
    other.create_user("us-east-1", "stranger")
    key = other.create_access_key("stranger")
    stranger = cloud.client(
        "s3",
        Credentials(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key),
    )
    put = {"Bucket": "backups1", "Key": "a"}
    other.put_user_policy("stranger", "own", document(allow("s3:PutObject")))
    assert not is_allowed(stranger.put_object, **put)
    root = {"AWS": "arn:aws:iam::999999999999:root"}
    cloud.client("s3").put_bucket_policy(
        Bucket="backups1", Policy=document(allow("s3:PutObject", "backups1/*", Principal=root))
    )
    assert is_allowed(stranger.put_object, **put)
    other.delete_user_policy("stranger", "own")
    assert not is_allowed(stranger.put_object, **put)


def test_a_policy_that_is_not_understood_lets_nobody_through(cloud):
    odd = {"Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}}
    web1 = cloud.client("s3", cloud.user(allow("s3:*"), deny("s3:GetObject", **odd)))
    assert refusal(web1.put_object, Bucket="backups1", Key="a") == (501, "NotImplemented")


# The two locks of the vault


def ways_to_write(s3):
    """Each way of making an object in the vault, and whether it carries the condition."""
    one = {"Bucket": "backups2", "Key": "slot"}
    source = {"CopySource": {"Bucket": "backups1", "Key": "upload"}}

    def multipart(copied=None, **condition):
        upload = {**one, "UploadId": s3.create_multipart_upload(**one)["UploadId"]}
        if copied:
            part = s3.upload_part_copy(**upload, PartNumber=1, **copied)["CopyPartResult"]
        else:
            part = s3.upload_part(**upload, PartNumber=1, Body=b"data")
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        s3.complete_multipart_upload(**upload, MultipartUpload=parts, **condition)

    guarded = {"IfNoneMatch": "*"}
    return {
        "plain put": (False, lambda: s3.put_object(**one)),
        "plain copy": (False, lambda: s3.copy_object(**one, **source)),
        "plain multipart": (False, multipart),
        "plain multipart copy": (False, lambda: multipart(source)),
        "guarded put": (True, lambda: s3.put_object(**one, **guarded)),
        "guarded copy": (True, lambda: s3.copy_object(**one, **source, **guarded)),
        "guarded multipart": (True, lambda: multipart(**guarded)),
        "guarded multipart copy": (True, lambda: multipart(source, **guarded)),
    }


WAYS = list(ways_to_write(None))
READING = allow(["s3:GetObject", "s3:ListBucket"])
GUARDED = allow("s3:PutObject", "backups2/*", Condition={"Null": {"s3:if-none-match": "false"}})
STEPS = allow(
    "s3:PutObject", "backups2/*", Condition={"Bool": {"s3:ObjectCreationOperation": "false"}}
)
UNGUARDED = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}


@pytest.mark.parametrize("way", WAYS)
def test_the_promoters_policy_lets_only_conditional_writes_pass(cloud, way):
    cloud.client("s3").put_object(Bucket="backups1", Key="upload", Body=b"data")
    promoter = cloud.client("s3", cloud.role(READING, GUARDED, STEPS))
    guarded, write = ways_to_write(promoter)[way]
    assert is_allowed(write) is guarded
    assert exists(cloud, "slot") is guarded


@pytest.mark.parametrize("way", WAYS)
def test_the_vaults_policy_lets_only_conditional_writes_pass(cloud, way):
    s3 = cloud.client("s3")
    s3.put_object(Bucket="backups1", Key="upload", Body=b"data")
    s3.put_bucket_policy(
        Bucket="backups2",
        Policy=document(
            deny("s3:PutObject", "backups2/*", Principal="*", Condition=UNGUARDED),
            deny(
                "s3:*",
                "backups2",
                "backups2/*",
                Principal="*",
                Condition={"Bool": {"aws:SecureTransport": "false"}},
            ),
        ),
    )
    guarded, write = ways_to_write(s3)[way]
    assert is_allowed(write) is guarded
    assert exists(cloud, "slot") is guarded


def exists(cloud, key):
    return "Contents" in cloud.client("s3").list_objects_v2(Bucket="backups2", Prefix=key)


def test_a_negated_condition_denies_what_does_not_carry_the_header(cloud):
    s3 = cloud.client("s3")
    not_standard = {"StringNotEquals": {"s3:x-amz-storage-class": "STANDARD"}}
    if_given = {"Null": {"s3:x-amz-storage-class": "false"}}

    def allows(condition, **storage):
        s3.put_bucket_policy(
            Bucket="backups2",
            Policy=document(deny("s3:*", "backups2/*", Principal="*", Condition=condition)),
        )
        return is_allowed(s3.put_object, Bucket="backups2", Key="a", **storage)

    assert not allows(not_standard)
    assert allows(not_standard, StorageClass="STANDARD")
    assert allows({**not_standard, **if_given})
    assert not allows({**not_standard, **if_given}, StorageClass="GLACIER_IR")


# What a missing object looks like


@pytest.mark.parametrize(("rights", "status"), [([], 403), (["s3:ListBucket"], 404)])
def test_only_who_may_list_learns_what_is_missing(cloud, rights, status):
    administrator = cloud.client("s3")
    administrator.put_bucket_versioning(
        Bucket="backups2", VersioningConfiguration={"Status": "Enabled"}
    )
    administrator.put_object(Bucket="backups2", Key="removed")
    administrator.delete_object(Bucket="backups2", Key="removed")
    objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    s3 = cloud.client("s3", cloud.user(allow([*objects, *rights])))
    for key in ("missing", "removed"):
        place = {"Bucket": "backups2", "Key": key}
        assert refusal(s3.head_object, **place)[0] == status
        assert refusal(s3.get_object, **place)[0] == status
        assert refusal(s3.copy_object, Bucket="backups1", Key="a", CopySource=place)[0] == status


def test_a_copy_needs_its_source_too(cloud):
    cloud.client("s3").put_object(Bucket="backups1", Key="upload", Body=b"data", Tagging="a=b")
    copy = {
        "Bucket": "backups2",
        "Key": "slot",
        "CopySource": {"Bucket": "backups1", "Key": "upload"},
    }
    writer = cloud.client("s3", cloud.role(allow("s3:PutObject"), name="writer"))
    copier = cloud.client("s3", cloud.role(READING, allow("s3:PutObject"), name="copier"))
    assert not is_allowed(writer.copy_object, **copy, TaggingDirective="REPLACE")
    assert not is_allowed(copier.copy_object, **copy)
    assert is_allowed(copier.copy_object, **copy, TaggingDirective="REPLACE")


def test_a_conditional_delete_needs_to_read(cloud):
    etag = cloud.client("s3").put_object(Bucket="backups1", Key="a", Body=b"data")["ETag"]
    removal = {"Bucket": "backups1", "Key": "a", "IfMatch": etag}
    blind = cloud.role(allow("s3:DeleteObject"), name="blind")
    seeing = cloud.role(allow(["s3:DeleteObject", "s3:GetObject"]), name="seeing")
    assert not is_allowed(cloud.client("s3", blind).delete_object, **removal)
    assert is_allowed(cloud.client("s3", seeing).delete_object, **removal)


# Other services


def test_everybody_may_ask_who_they_are(cloud):
    sts = cloud.client("sts", cloud.user(deny("*")))
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/web1"


def test_nobody_else_does_what_is_not_allowed(cloud):
    web1 = cloud.user(allow("s3:*"), allow("sts:*"))
    role = "arn:aws:iam::123456789012:role/promoter"
    cloud.role(allow("s3:*"))
    sts, iam = cloud.client("sts", web1), cloud.client("iam", web1)
    assert not is_allowed(sts.assume_role, RoleArn=role, RoleSessionName="mine")
    assert not is_allowed(iam.create_access_key, UserName="web1")
    logs, functions = cloud.client("logs", web1), cloud.client("lambda", web1)
    assert refusal(logs.describe_log_groups) == (403, "AccessDeniedException")
    assert refusal(functions.list_functions) == (403, "AccessDeniedException")


def test_a_topic_is_published_to_by_who_may(cloud):
    topic = cloud.client("sns").create_topic(Name="alerts")["TopicArn"]
    audit = cloud.role({"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    sns = cloud.client("sns", audit)
    assert is_allowed(sns.publish, TopicArn=topic, Message="m")
    assert not is_allowed(sns.publish, TopicArn=f"{topic}-of-others", Message="m")


@pytest.mark.parametrize(
    "named", ["promote", "arn:aws:lambda:us-east-1:123456789012:function:promote"]
)
def test_a_function_is_invoked_by_who_may(cloud, named):
    promote = "arn:aws:lambda:us-east-1:123456789012:function:promote"
    sweep = cloud.role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": promote})
    functions = cloud.client("lambda", sweep)
    # It passed: there is no such function.
    assert refusal(functions.invoke, FunctionName=named)[0] == 404
    assert refusal(functions.invoke, FunctionName="audit")[0] == 403


def test_an_action_is_told_from_requests_that_have_one_only(cloud):
    """Else moto might do another than the one that was allowed."""
    web1 = cloud.user({"Effect": "Allow", "Action": "lambda:GetAccountSettings", "Resource": "*"})
    functions = cloud.client("lambda", web1)

    def name_another(request, **_):
        request.url += "?Action=GetAccountSettings"

    functions.meta.events.register("before-sign", name_another)
    assert refusal(functions.list_functions)[0] == 403


# What S3 asks


def call(method, query="", bucket="backups1", key="a", body=b"", **headers):
    names = [pair.partition("=") for pair in query.split("&") if pair]
    return S3Call(
        method=method,
        bucket=bucket,
        key=key,
        query={name: value for name, _, value in names},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
    )


def asked(call, **more):
    return {
        (c.action.removeprefix("s3:"), c.resource[13:]) for c in s3_checks(call, now=NOW, **more)
    }


COPY = {"x_amz_copy_source": "backups1/u%20p?versionId=v1"}


@pytest.mark.parametrize(
    ("call", "rights"),
    [
        (call("GET"), {"GetObject"}),
        (call("HEAD", "versionId=v"), {"GetObjectVersion"}),
        (call("GET", "response-content-type=text/plain"), {"GetObject"}),
        (call("GET", "attributes&versionId=v"), {"GetObjectVersion", "GetObjectVersionAttributes"}),
        (call("GET", "tagging"), {"GetObjectTagging"}),
        (call("GET", "retention"), {"GetObjectRetention"}),
        (call("GET", "uploadId=u"), {"ListMultipartUploadParts"}),
        (call("PUT"), {"PutObject"}),
        (call("PUT", x_amz_tagging="a=b"), {"PutObject", "PutObjectTagging"}),
        (call("PUT", x_amz_acl="private"), {"PutObject", "PutObjectAcl"}),
        (call("PUT", x_amz_object_lock_mode="COMPLIANCE"), {"PutObject", "PutObjectRetention"}),
        (call("PUT", x_amz_object_lock_legal_hold="ON"), {"PutObject", "PutObjectLegalHold"}),
        (call("POST", "uploads"), {"PutObject"}),
        (call("PUT", "partNumber=1&uploadId=u"), {"PutObject"}),
        (call("POST", "uploadId=u"), {"PutObject"}),
        (call("DELETE", "uploadId=u"), {"AbortMultipartUpload"}),
        (call("DELETE"), {"DeleteObject"}),
        (call("DELETE", "versionId=v"), {"DeleteObjectVersion"}),
        (call("DELETE", if_match='"e"'), {"DeleteObject", "GetObject"}),
        (
            call("DELETE", "versionId=v", x_amz_bypass_governance_retention="true"),
            {"DeleteObjectVersion", "BypassGovernanceRetention"},
        ),
        (call("PUT", "tagging&versionId=v"), {"PutObjectVersionTagging"}),
        (call("DELETE", "tagging"), {"DeleteObjectTagging"}),
        (call("PUT", "acl"), {"PutObjectAcl"}),
        (call("PUT", "legal-hold"), {"PutObjectLegalHold"}),
        (
            call("PUT", "retention", body=b"<R/>", x_amz_bypass_governance_retention="true"),
            {"PutObjectRetention", "BypassGovernanceRetention"},
        ),
    ],
    ids=str,
)
def test_each_request_for_an_object_asks_for_its_rights(call, rights):
    assert asked(call) == {(right, "backups1/a") for right in rights}


def test_a_copy_asks_on_both_sides():
    destination, source = ("PutObject", "backups1/a"), ("GetObjectVersion", "backups1/u p")
    both_tags = {("PutObjectTagging", "backups1/a"), ("GetObjectVersionTagging", "backups1/u p")}
    part = "partNumber=1&uploadId=u"
    assert asked(call("PUT", **COPY)) == {destination, source}
    assert asked(call("PUT", part, **COPY), source_is_tagged=True) == {destination, source}
    assert asked(call("PUT", **COPY), source_is_tagged=True) == {destination, source} | both_tags
    replacing = call("PUT", **COPY, x_amz_tagging_directive="REPLACE")
    assert asked(replacing, source_is_tagged=True) == {destination, source}


def test_a_delete_of_many_asks_for_each():
    body = (
        b"<Delete><Object><Key>a</Key></Object>"
        b"<Object><Key>b</Key><VersionId>v</VersionId></Object></Delete>"
    )
    many = call("POST", "delete", key="", body=body)
    assert asked(many) == {("DeleteObject", "backups1/a"), ("DeleteObjectVersion", "backups1/b")}


@pytest.mark.parametrize(
    ("method", "query", "right"),
    [
        ("HEAD", "", "ListBucket"),
        ("GET", "list-type=2&prefix=a", "ListBucket"),
        ("GET", "versions", "ListBucketVersions"),
        ("GET", "uploads", "ListBucketMultipartUploads"),
        ("PUT", "", "CreateBucket"),
        ("DELETE", "", "DeleteBucket"),
        ("GET", "policy", "GetBucketPolicy"),
        ("PUT", "policy", "PutBucketPolicy"),
        ("DELETE", "policy", "DeleteBucketPolicy"),
        ("PUT", "lifecycle", "PutLifecycleConfiguration"),
        ("DELETE", "lifecycle", "PutLifecycleConfiguration"),
        ("PUT", "versioning", "PutBucketVersioning"),
        ("PUT", "object-lock", "PutBucketObjectLockConfiguration"),
        ("PUT", "notification", "PutBucketNotification"),
        ("PUT", "encryption", "PutEncryptionConfiguration"),
        ("PUT", "publicAccessBlock", "PutBucketPublicAccessBlock"),
        ("PUT", "ownershipControls", "PutBucketOwnershipControls"),
        ("PUT", "tagging", "PutBucketTagging"),
    ],
)
def test_each_request_for_a_bucket_asks_for_its_right(method, query, right):
    assert asked(call(method, query, key="")) == {(right, "backups1")}


@pytest.mark.parametrize(
    "unknown",
    [
        call("GET", "torrent"),
        call("PUT", "renameObject"),
        call("PUT", "uploadId=u"),
        call("PUT", "partNumber=1"),
        call("PUT", "tagging&retention"),
        call("HEAD", "acl"),
        call("POST"),
        call("PATCH"),
        call("POST", key=""),
        call("PUT", "metadataTable", key=""),
        call("POST", "delete", key="", body=b"<Delete/>"),
        call("POST", "delete", key="", body=b"no xml"),
        call("PUT", x_amz_copy_source="backups1"),
        call("PUT", bucket="", key=""),
    ],
    ids=str,
)
def test_an_unknown_request_is_denied(unknown):
    with pytest.raises(Refused):
        s3_checks(unknown, now=NOW)


@pytest.mark.parametrize(
    ("call", "context"),
    [
        (
            call("PUT", if_none_match="*", x_amz_storage_class="STANDARD_IA"),
            {
                "s3:ObjectCreationOperation": "true",
                "s3:if-none-match": "*",
                "s3:x-amz-storage-class": "STANDARD_IA",
            },
        ),
        (
            call("PUT", **COPY, if_match='"e"', x_amz_metadata_directive="REPLACE"),
            {
                "s3:ObjectCreationOperation": "true",
                "s3:if-match": '"e"',
                "s3:x-amz-copy-source": "backups1/u p?versionId=v1",
                "s3:x-amz-metadata-directive": "REPLACE",
            },
        ),
        (call("POST", "uploads", **COPY), {"s3:ObjectCreationOperation": "false"}),
        (call("PUT", "partNumber=1&uploadId=u"), {"s3:ObjectCreationOperation": "false"}),
        (
            call("POST", "uploadId=u", **COPY, if_none_match="*"),
            {"s3:ObjectCreationOperation": "true", "s3:if-none-match": "*"},
        ),
        (
            call(
                "PUT",
                x_amz_object_lock_mode="COMPLIANCE",
                x_amz_object_lock_retain_until_date="2026-11-30T12:00:00Z",
            ),
            {
                "s3:ObjectCreationOperation": "true",
                "s3:object-lock-mode": "COMPLIANCE",
                "s3:object-lock-remaining-retention-days": "7",
            },
        ),
        (
            call(
                "PUT",
                "retention",
                body=b'<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>COMPLIANCE</Mode>'
                b"<RetainUntilDate>2026-11-30T12:00:01Z</RetainUntilDate></Retention>",
            ),
            {
                "s3:object-lock-mode": "COMPLIANCE",
                "s3:object-lock-remaining-retention-days": "8",
            },
        ),
        (call("GET", "prefix=2026", key=""), {"s3:prefix": "2026"}),
        (call("GET", if_none_match='"e"'), {}),
        (call("DELETE", if_match='"e"'), {"s3:if-match": '"e"'}),
    ],
    ids=str,
)
def test_a_request_carries_its_condition_keys(call, context):
    assert s3_checks(call, now=NOW)[0].context == context


# Real clients


def test_boto3_uploads_in_parts(cloud):
    web1 = cloud.client("s3", cloud.user(allow("s3:PutObject", "backups1/sql.gz.gpg")))
    data = os.urandom(9_000_000)
    web1.upload_fileobj(io.BytesIO(data), "backups1", "sql.gz.gpg")
    stored = cloud.client("s3").get_object(Bucket="backups1", Key="sql.gz.gpg")
    assert stored["Body"].read() == data
    assert stored["ETag"].endswith('-2"')


def test_s3cmd_streams_an_upload_in_parts(cloud, tmp_path):
    web1 = cloud.user(
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], "backups1/backup.tar.gz.gpg")
    )
    host = cloud.endpoint.removeprefix("http://")
    config = tmp_path / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {web1.access_key_id}\nsecret_key = {web1.secret_access_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
    )
    s3cmd = [Path(sys.executable).with_name("s3cmd"), "-c", config, "--multipart-chunk-size-mb=5"]
    data = os.urandom(12_000_000)
    put = [*s3cmd, "--quiet", "--no-progress", "put", "-"]
    ours = [*put, "s3://backups1/backup.tar.gz.gpg"]
    uploaded = subprocess.run(ours, input=data, capture_output=True, check=False)
    assert (uploaded.returncode, uploaded.stderr) == (0, b"")
    stored = cloud.client("s3").get_object(Bucket="backups1", Key="backup.tar.gz.gpg")
    assert stored["Body"].read() == data
    assert stored["ETag"].endswith('-3"')
    vault = [*put, "s3://backups2/backup.tar.gz.gpg"]
    denied = subprocess.run(vault, input=b"rubbish", capture_output=True, check=False)
    assert denied.returncode != 0
    assert b"AccessDenied" in denied.stderr
    assert not exists(cloud, "backup.tar.gz.gpg")
