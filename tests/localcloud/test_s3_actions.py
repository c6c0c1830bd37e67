from datetime import UTC, datetime

import pytest

from localcloud.iam.http_requests import Refused
from localcloud.iam.s3_actions import s3_checks
from localcloud.iam.s3_calls import S3Call

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def name_of(value):
    """The name of a case; sets are sorted, because every process must collect the same names."""
    return str(sorted(value)) if isinstance(value, set | frozenset) else str(value)


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


def permissions(call, **more):
    return {
        (c.action.removeprefix("s3:"), c.resource[13:]) for c in s3_checks(call, now=NOW, **more)
    }


COPY = {"x_amz_copy_source": "backups1/u%20p?versionId=v1"}


@pytest.mark.parametrize(
    ("call", "actions"),
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
        (call("DELETE", x_amz_bypass_governance_retention="false"), {"DeleteObject"}),
        (call("PUT", "tagging&versionId=v"), {"PutObjectVersionTagging"}),
        (call("DELETE", "tagging"), {"DeleteObjectTagging"}),
        (call("PUT", "acl"), {"PutObjectAcl"}),
        (call("PUT", "legal-hold"), {"PutObjectLegalHold"}),
        (
            call("PUT", "retention", body=b"<R/>", x_amz_bypass_governance_retention="true"),
            {"PutObjectRetention", "BypassGovernanceRetention"},
        ),
    ],
    ids=name_of,
)
def test_the_permissions_of_each_object_operation(call, actions):
    assert permissions(call) == {(action, "backups1/a") for action in actions}


def test_a_copy_needs_permissions_for_source_and_destination():
    destination, source = ("PutObject", "backups1/a"), ("GetObjectVersion", "backups1/u p")
    both_tags = {("PutObjectTagging", "backups1/a"), ("GetObjectVersionTagging", "backups1/u p")}
    part = "partNumber=1&uploadId=u"
    assert permissions(call("PUT", **COPY)) == {destination, source}
    assert permissions(call("PUT", part, **COPY), source_is_tagged=True) == {destination, source}
    tagged = permissions(call("PUT", **COPY), source_is_tagged=True)
    assert tagged == {destination, source} | both_tags
    replacing = call("PUT", **COPY, x_amz_tagging_directive="REPLACE")
    assert permissions(replacing, source_is_tagged=True) == {destination, source}


def test_a_bulk_delete_with_etags_also_reads_the_objects():
    body = b"<Delete><Object><Key>a</Key><ETag>e</ETag></Object></Delete>"
    checks = s3_checks(call("POST", "delete", key="", body=body), now=NOW)
    assert [(check.action, check.context) for check in checks] == [
        ("s3:DeleteObject", {"s3:if-match": "e"}),
        ("s3:GetObject", {"s3:if-match": "e"}),
    ]


def test_a_bulk_delete_needs_a_permission_for_each_key():
    body = (
        b"<Delete><Object><Key>a</Key></Object>"
        b"<Object><Key>b</Key><VersionId>v</VersionId></Object></Delete>"
    )
    many = call("POST", "delete", key="", body=body)
    assert permissions(many) == {
        ("DeleteObject", "backups1/a"),
        ("DeleteObjectVersion", "backups1/b"),
    }


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("HEAD", "", "ListBucket"),
        ("GET", "list-type=2&prefix=a", "ListBucket"),
        ("GET", "versions", "ListBucketVersions"),
        ("GET", "uploads", "ListBucketMultipartUploads"),
        ("PUT", "", "CreateBucket"),
        ("DELETE", "", "DeleteBucket"),
        ("GET", "policy", "GetBucketPolicy"),
        ("GET", "policyStatus", "GetBucketPolicyStatus"),
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
        ("DELETE", "website", "DeleteBucketWebsite"),
        ("PUT", "metrics&id=all", "PutMetricsConfiguration"),
        ("POST", "metadataTable", "CreateBucketMetadataTableConfiguration"),
    ],
)
def test_the_permission_of_each_bucket_operation(method, query, action):
    assert permissions(call(method, query, key="")) == {(action, "backups1")}


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
    ids=name_of,
)
def test_an_unsupported_operation_is_denied(unknown):
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
        (
            call("PUT", if_none_match=""),
            {"s3:ObjectCreationOperation": "true", "s3:if-none-match": ""},
        ),
        (
            call("PUT", **COPY, if_none_match=""),
            {
                "s3:ObjectCreationOperation": "true",
                "s3:if-none-match": "",
                "s3:x-amz-copy-source": "backups1/u p?versionId=v1",
            },
        ),
        (
            call("POST", "uploadId=u", if_none_match=""),
            {"s3:ObjectCreationOperation": "true", "s3:if-none-match": ""},
        ),
        (
            call("POST", "uploads", x_amz_server_side_encryption="AES256"),
            {"s3:ObjectCreationOperation": "false", "s3:x-amz-server-side-encryption": "AES256"},
        ),
        (
            call(
                "PUT",
                "partNumber=1&uploadId=u",
                x_amz_server_side_encryption_customer_algorithm="AES256",
            ),
            {
                "s3:ObjectCreationOperation": "false",
                "s3:x-amz-server-side-encryption-customer-algorithm": "AES256",
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
    ids=name_of,
)
def test_the_condition_keys_of_a_request(call, context):
    assert s3_checks(call, now=NOW)[0].context == context
