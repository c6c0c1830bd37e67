import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from localcloud.iam.authorization import Credentials
from tests.localcloud.authorized_moto import (
    ADMINISTRATOR,
    allow,
    deny,
    document,
    is_allowed,
    refusal,
    send,
    signed,
)


@pytest.mark.parametrize("service", ["s3", "sts"])
@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/data.json", "/%6doto-api/reset"])
def test_the_controls_of_moto_are_closed_to_everyone(gate, path, service):
    request = AWSRequest(method="POST", url=gate.endpoint + path, data=b"")
    keys = Keys(ADMINISTRATOR.access_key_id, ADMINISTRATOR.secret_access_key)
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    assert send(request.prepare(), method="POST")[0] == 403
    assert is_allowed(gate.client("s3").head_bucket, Bucket="backups1")


def test_the_account_header_of_moto_is_ignored(gate):
    put = AWSRequest(method="PUT", url=f"{gate.endpoint}/backups3", data=b"")
    keys = Keys(ADMINISTRATOR.access_key_id, ADMINISTRATOR.secret_access_key)
    S3SigV4Auth(keys, "s3", "us-east-1").add_auth(put)
    assert send(put.prepare(), headers={"X-Moto-Account-Id": "999999999999"})[0] == 200
    assert s3_backends.bucket_accounts["backups3"] == ("aws", "123456789012")


def test_a_host_name_cannot_name_a_bucket(gate):
    web1 = gate.user(allow("s3:PutObject", "backups1/*"))
    another = {"Host": "backups2.s3.amazonaws.com"}
    assert send(signed(gate, web1, headers=another))[0] == 403


def test_a_server_can_do_what_its_policy_allows_and_nothing_else(gate):
    web1 = gate.client("s3", gate.user(allow("s3:PutObject", "backups1/backup.tar.gz.gpg")))
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


def test_a_denial_names_user_action_resource_and_reason(gate):
    promoter = gate.client("s3", gate.role(allow("s3:GetObject", "backups1/*")))
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
def test_an_explicit_denial_names_the_kind_of_policy(gate, own, bucket, reason):
    web1 = gate.client("s3", gate.user(own))
    if bucket:
        gate.client("s3").put_bucket_policy(Bucket="backups2", Policy=document(bucket))
    with pytest.raises(ClientError, match=reason):
        web1.put_object(Bucket="backups2", Key="a")


def test_a_bucket_policy_binds_the_administrator_too(gate):
    s3 = gate.client("s3")
    s3.put_object(Bucket="backups2", Key="a", Body=b"data")
    s3.put_bucket_policy(
        Bucket="backups2",
        Policy=document(deny("s3:DeleteObject*", "backups2/*", Principal="*")),
    )
    stored = {"Bucket": "backups2", "Key": "a"}
    assert refusal(s3.delete_object, **stored) == (403, "AccessDenied")
    several = {"Bucket": "backups2", "Delete": {"Objects": [{"Key": "b"}, {"Key": "a"}]}}
    assert refusal(s3.delete_objects, **several) == (403, "AccessDenied")
    assert s3.get_object(**stored)["Body"].read() == b"data"
    s3.delete_bucket_policy(Bucket="backups2")
    assert is_allowed(s3.delete_object, **stored)


def stranger_of(gate):
    """A user of another account, with a client of S3."""
    other = iam_backends["999999999999"]["aws"]
    other.create_user("us-east-1", "stranger")
    key = other.create_access_key("stranger")
    credentials = Credentials(
        access_key_id=key.access_key_id, secret_access_key=key.secret_access_key
    )
    return other, gate.client("s3", credentials)


def test_another_account_needs_its_own_policy_and_the_buckets(gate):
    other, stranger = stranger_of(gate)
    put = {"Bucket": "backups1", "Key": "a"}
    other.put_user_policy("stranger", "own", document(allow("s3:PutObject")))
    assert not is_allowed(stranger.put_object, **put)
    root = {"AWS": "arn:aws:iam::999999999999:root"}
    gate.client("s3").put_bucket_policy(
        Bucket="backups1", Policy=document(allow("s3:PutObject", "backups1/*", Principal=root))
    )
    assert is_allowed(stranger.put_object, **put)
    other.delete_user_policy("stranger", "own")
    assert not is_allowed(stranger.put_object, **put)


def test_another_account_cannot_use_a_bucket_policy_whatever_its_rights_are(gate):
    """S3 API reference, GetBucketPolicy: 403 without the right to read it, and 405 with it."""
    other, stranger = stranger_of(gate)
    bucket, owner = {"Bucket": "backups1"}, gate.client("s3")
    root = {"AWS": "arn:aws:iam::999999999999:root"}
    everything = document(allow("s3:*", "backups1", "backups1/*", Principal=root))
    owner.put_bucket_policy(**bucket, Policy=everything)
    requests = [
        (stranger.get_bucket_policy, bucket),
        (stranger.put_bucket_policy, {**bucket, "Policy": everything}),
        (stranger.delete_bucket_policy, bucket),
    ]
    for call, arguments in requests:
        assert refusal(call, **arguments) == (403, "AccessDenied")
    other.put_user_policy("stranger", "own", document(allow("s3:*")))
    for call, arguments in requests:
        assert refusal(call, **arguments) == (405, "MethodNotAllowed")
    # All other settings of the bucket can be read from another account.
    assert is_allowed(stranger.get_bucket_versioning, **bucket)
    assert not stranger.get_bucket_policy_status(**bucket)["PolicyStatus"]["IsPublic"]
    assert "Statement" in json.loads(owner.get_bucket_policy(**bucket)["Policy"])
    owner.delete_bucket_policy(**bucket)
    assert refusal(stranger.get_bucket_policy, **bucket) == (403, "AccessDenied")


def test_an_unsupported_policy_denies_every_request(gate):
    odd = {"Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}}
    web1 = gate.client("s3", gate.user(allow("s3:*"), deny("s3:GetObject", **odd)))
    assert refusal(web1.put_object, Bucket="backups1", Key="a") == (501, "NotImplemented")


def test_a_bucket_policy_forgets_a_deleted_user(gate):
    """A new user of the same name is another principal; the policy cannot be put back as it is."""
    s3, iam = gate.client("s3"), gate.client("iam")
    gate.user(name="web1")
    web1 = "arn:aws:iam::123456789012:user/web1"
    s3.put_bucket_policy(
        Bucket="backups1",
        Policy=document(
            allow("s3:PutObject", "backups1/*", Principal={"AWS": web1}),
            deny("s3:PutObject", "backups1/b", Principal={"AWS": [web1, "123456789012"]}),
        ),
    )

    def policy():
        return s3.get_bucket_policy(Bucket="backups1")["Policy"]

    assert policy().count(web1) == 2
    [key] = iam.list_access_keys(UserName="web1")["AccessKeyMetadata"]
    iam.delete_access_key(UserName="web1", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="web1")
    assert (policy().count(web1), policy().count("AIDA")) == (0, 2)

    again = gate.client("s3", gate.user(name="web1"))
    assert not is_allowed(again.put_object, Bucket="backups1", Key="a")
    assert policy().count(web1) == 0
    put_back = {"Bucket": "backups1", "Policy": policy()}
    assert refusal(s3.put_bucket_policy, **put_back) == (400, "MalformedPolicy")


def test_a_role_is_limited_by_its_boundary(gate):
    reads = gate.client("iam").create_policy(
        PolicyName="reads", PolicyDocument=document(allow("s3:Get*"))
    )["Policy"]["Arn"]
    promoter = gate.client("s3", gate.role(allow("s3:*")))
    put = {"Bucket": "backups1", "Key": "a"}
    assert is_allowed(promoter.put_object, **put)
    gate.client("iam").put_role_permissions_boundary(RoleName="promoter", PermissionsBoundary=reads)
    assert not is_allowed(promoter.put_object, **put)
    assert is_allowed(promoter.get_object, **put)


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ({"Null": {"s3:if-nonematch": "true"}}, (400, "MalformedPolicy")),
        ({"StringEquals": {"s3:authType": "POST"}}, (501, "NotImplemented")),
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}, (501, "NotImplemented")),
    ],
    ids=["unknown to S3", "key unknown here", "operator unknown here"],
)
def test_a_bucket_policy_that_cannot_be_evaluated_is_refused_when_it_is_put(
    gate, condition, answer
):
    s3 = gate.client("s3")
    denial = deny("s3:PutObject", "backups2/*", Principal="*")
    s3.put_bucket_policy(Bucket="backups2", Policy=document(denial))
    odd = document({**denial, "Condition": condition})
    assert refusal(s3.put_bucket_policy, Bucket="backups2", Policy=odd) == answer
    assert not is_allowed(s3.put_object, Bucket="backups2", Key="a")
    s3.delete_bucket_policy(Bucket="backups2")
    assert is_allowed(s3.put_object, Bucket="backups2", Key="a")


# The two locks of the vault


def ways_to_write(s3):
    """Each way to create an object in the vault, and whether its request has the condition."""
    slot = {"Bucket": "backups2", "Key": "slot"}
    source = {"CopySource": {"Bucket": "backups1", "Key": "upload"}}

    def multipart(copied=None, **condition):
        upload = {**slot, "UploadId": s3.create_multipart_upload(**slot)["UploadId"]}
        if copied:
            part = s3.upload_part_copy(**upload, PartNumber=1, **copied)["CopyPartResult"]
        else:
            part = s3.upload_part(**upload, PartNumber=1, Body=b"data")
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        s3.complete_multipart_upload(**upload, MultipartUpload=parts, **condition)

    guarded, empty = {"IfNoneMatch": "*"}, {"IfNoneMatch": ""}
    return {
        "plain put": (False, lambda: s3.put_object(**slot)),
        "plain copy": (False, lambda: s3.copy_object(**slot, **source)),
        "plain multipart": (False, multipart),
        "plain multipart copy": (False, lambda: multipart(source)),
        "empty put": (False, lambda: s3.put_object(**slot, **empty)),
        "empty copy": (False, lambda: s3.copy_object(**slot, **source, **empty)),
        "empty multipart": (False, lambda: multipart(**empty)),
        "empty multipart copy": (False, lambda: multipart(source, **empty)),
        "guarded put": (True, lambda: s3.put_object(**slot, **guarded)),
        "guarded copy": (True, lambda: s3.copy_object(**slot, **source, **guarded)),
        "guarded multipart": (True, lambda: multipart(**guarded)),
        "guarded multipart copy": (True, lambda: multipart(source, **guarded)),
    }


WAYS = list(ways_to_write(None))
READING = allow(["s3:GetObject", "s3:ListBucket"])
GUARDED = allow("s3:PutObject", "backups2/*", Condition={"StringLike": {"s3:if-none-match": "?*"}})
STEPS = allow(
    "s3:PutObject", "backups2/*", Condition={"Bool": {"s3:ObjectCreationOperation": "false"}}
)
UNGUARDED = {
    "StringNotLike": {"s3:if-none-match": "?*"},
    "BoolIfExists": {"s3:ObjectCreationOperation": "true"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_promoters_policy_allows_only_conditional_writes(gate, way):
    gate.client("s3").put_object(Bucket="backups1", Key="upload", Body=b"data")
    promoter = gate.client("s3", gate.role(READING, GUARDED, STEPS))
    guarded, write = ways_to_write(promoter)[way]
    assert is_allowed(write) is guarded
    assert exists(gate, "slot") is guarded


@pytest.mark.parametrize("way", WAYS)
def test_the_vaults_policy_allows_only_conditional_writes(gate, way):
    s3 = gate.client("s3")
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
    assert exists(gate, "slot") is guarded


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("empty")])
def test_a_header_without_a_value_counts_as_present(gate, way):
    """A policy that only requires the header allows it; S3 itself rejects it."""
    present = {"Null": {"s3:if-none-match": "false"}}
    gate.client("s3").put_object(Bucket="backups1", Key="upload", Body=b"data")
    presence = allow("s3:PutObject", "backups2/*", Condition=present)
    promoter = gate.client("s3", gate.role(READING, presence, STEPS))
    _, write = ways_to_write(promoter)[way]
    assert error_of(write) != "AccessDenied"


def error_of(call):
    """The code of S3's error; None if the call succeeds."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def exists(gate, key):
    return "Contents" in gate.client("s3").list_objects_v2(Bucket="backups2", Prefix=key)


def test_a_negated_condition_denies_requests_without_the_header(gate):
    s3 = gate.client("s3")
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
def test_only_a_user_who_can_list_learns_that_an_object_is_missing(gate, rights, status):
    administrator = gate.client("s3")
    administrator.put_bucket_versioning(
        Bucket="backups2", VersioningConfiguration={"Status": "Enabled"}
    )
    administrator.put_object(Bucket="backups2", Key="removed")
    administrator.delete_object(Bucket="backups2", Key="removed")
    objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    s3 = gate.client("s3", gate.user(allow([*objects, *rights])))
    for key in ("missing", "removed"):
        place = {"Bucket": "backups2", "Key": key}
        assert refusal(s3.head_object, **place)[0] == status
        assert refusal(s3.get_object, **place)[0] == status
        assert refusal(s3.copy_object, Bucket="backups1", Key="a", CopySource=place)[0] == status


def test_a_copy_needs_permission_to_read_its_source(gate):
    gate.client("s3").put_object(Bucket="backups1", Key="upload", Body=b"data", Tagging="a=b")
    copy = {
        "Bucket": "backups2",
        "Key": "slot",
        "CopySource": {"Bucket": "backups1", "Key": "upload"},
    }
    writer = gate.client("s3", gate.role(allow("s3:PutObject"), name="writer"))
    copier = gate.client("s3", gate.role(READING, allow("s3:PutObject"), name="copier"))
    assert not is_allowed(writer.copy_object, **copy, TaggingDirective="REPLACE")
    assert not is_allowed(copier.copy_object, **copy)
    assert is_allowed(copier.copy_object, **copy, TaggingDirective="REPLACE")


def test_a_conditional_delete_needs_permission_to_read(gate):
    etag = gate.client("s3").put_object(Bucket="backups1", Key="a", Body=b"data")["ETag"]
    removal = {"Bucket": "backups1", "Key": "a", "IfMatch": etag}
    blind = gate.role(allow("s3:DeleteObject"), name="blind")
    seeing = gate.role(allow(["s3:DeleteObject", "s3:GetObject"]), name="seeing")
    assert not is_allowed(gate.client("s3", blind).delete_object, **removal)
    assert is_allowed(gate.client("s3", seeing).delete_object, **removal)


# Other services


def test_everyone_can_call_get_caller_identity(gate):
    sts = gate.client("sts", gate.user(deny("*")))
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/web1"


def test_actions_of_other_services_are_denied_unless_allowed(gate):
    web1 = gate.user(allow("s3:*"), allow("sts:*"))
    iam = gate.client("iam", web1)
    assert not is_allowed(iam.create_access_key, UserName="web1")
    logs, functions = gate.client("logs", web1), gate.client("lambda", web1)
    assert refusal(logs.describe_log_groups) == (403, "AccessDeniedException")
    assert refusal(functions.list_functions) == (403, "AccessDeniedException")


WEB1, ACCOUNT = "arn:aws:iam::123456789012:user/web1", "arn:aws:iam::123456789012:root"
ASSUME = allow("sts:AssumeRole")


@pytest.mark.parametrize(
    ("trusted", "own", "assumed"),
    [
        pytest.param({"AWS": WEB1}, [], True, id="by name"),
        pytest.param({"AWS": ACCOUNT}, [ASSUME], True, id="account, with its permission"),
        pytest.param({"AWS": ACCOUNT}, [], False, id="account, without its permission"),
        pytest.param({"AWS": WEB1}, [deny("sts:*")], False, id="by name, but denied"),
        pytest.param({"AWS": f"{WEB1}2"}, [ASSUME], False, id="another user"),
        pytest.param({"Service": "lambda.amazonaws.com"}, [ASSUME], False, id="Lambda"),
    ],
)
def test_a_role_can_be_assumed_by_those_it_trusts(gate, trusted, own, assumed):
    trust = document({"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"})
    web1 = gate.client("sts", gate.user(*own))
    role = gate.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]
    arguments = {"RoleArn": role["Arn"], "RoleSessionName": "mine"}
    assert is_allowed(web1.assume_role, **arguments) is assumed
    other = {**arguments, "RoleArn": f"{role['Arn']}2"}
    assert not is_allowed(web1.assume_role, **other)


def test_even_the_administrator_cannot_assume_a_role_that_trusts_only_lambda(gate):
    lambdas = {"Service": "lambda.amazonaws.com"}
    trust = document({"Effect": "Allow", "Principal": lambdas, "Action": "sts:AssumeRole"})
    role = gate.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]
    sts = gate.client("sts")
    assert not is_allowed(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="mine")


def test_a_configuration_that_moto_lacks_is_denied_or_refused(gate):
    """moto would treat this as DeleteBucket."""
    answers = {"s3:Put*": (501, "NotImplemented"), "s3:Get*": (403, "AccessDenied")}
    for allowed, answer in answers.items():
        s3 = gate.client("s3", gate.user(allow(allowed), name=allowed[3:6]))
        delete = s3.delete_bucket_analytics_configuration
        assert refusal(delete, Bucket="backups1", Id="all") == answer
    gate.client("s3").head_bucket(Bucket="backups1")


# Real clients


def test_boto3_makes_a_multipart_upload(gate):
    web1 = gate.client("s3", gate.user(allow("s3:PutObject", "backups1/sql.gz.gpg")))
    data = os.urandom(9_000_000)
    web1.upload_fileobj(io.BytesIO(data), "backups1", "sql.gz.gpg")
    stored = gate.client("s3").get_object(Bucket="backups1", Key="sql.gz.gpg")
    assert stored["Body"].read() == data
    assert stored["ETag"].endswith('-2"')


def test_s3cmd_streams_a_multipart_upload(gate, tmp_path):
    web1 = gate.user(
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], "backups1/backup.tar.gz.gpg")
    )
    host = gate.endpoint.removeprefix("http://")
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
    stored = gate.client("s3").get_object(Bucket="backups1", Key="backup.tar.gz.gpg")
    assert stored["Body"].read() == data
    assert stored["ETag"].endswith('-3"')
    vault = [*put, "s3://backups2/backup.tar.gz.gpg"]
    denied = subprocess.run(vault, input=b"rubbish", capture_output=True, check=False)
    assert denied.returncode != 0
    assert b"AccessDenied" in denied.stderr
    assert not exists(gate, "backup.tar.gz.gpg")


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:PutObjectAcl", "s3:PutBucketAcl"])
def test_a_policy_can_depend_on_the_acl_that_a_request_names(gate, action):
    public = {"Condition": {"StringEquals": {"s3:x-amz-acl": "public-read"}}}
    s3 = gate.client("s3", gate.user(allow("s3:*"), deny(action, **public)))
    bucket, stored = {"Bucket": "backups1"}, {"Bucket": "backups1", "Key": "a"}
    for call, arguments, needed in (
        (s3.put_object, stored, ("s3:PutObject", "s3:PutObjectAcl")),
        (s3.put_object_acl, stored, ("s3:PutObjectAcl",)),
        (s3.put_bucket_acl, bucket, ("s3:PutBucketAcl",)),
    ):
        assert is_allowed(call, ACL="private", **arguments)
        assert is_allowed(call, ACL="public-read", **arguments) == (action not in needed)
