"""The permissions that S3 requires for a request."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import unquote

from localcloud.iam.http_requests import denied
from localcloud.iam.s3_calls import S3Call, copy_source, unknown_call, xml_body


@dataclass(frozen=True, kw_only=True)
class S3Check:
    """One permission that a request needs."""

    action: str
    bucket: str
    key: str = ""
    version: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        if not self.bucket:
            return "*"
        return f"arn:aws:s3:::{self.bucket}" + (f"/{self.key}" if self.key else "")


def s3_checks(call: S3Call, *, now: datetime, source_is_tagged: bool = False) -> list[S3Check]:
    """All permissions that S3 requires for `call`. Raises Refused if the operation is unknown."""
    operation = (call.method, call.subresource)
    if call.key and operation in _WRITES:
        return _write_checks(call, now=now, source_is_tagged=source_is_tagged)
    if call.key and operation in _OBJECT_ACTIONS:
        return _object_checks(call, _OBJECT_ACTIONS[operation], now=now)
    if call.bucket and not call.key and operation == ("POST", "delete"):
        return _bulk_delete_checks(call)
    if call.bucket and not call.key and operation in _BUCKET_ACTIONS | _ONLY_DENIED:
        context = _acl(call)
        if "prefix" in call.query:
            context["s3:prefix"] = call.query["prefix"]
        action = (_BUCKET_ACTIONS | _ONLY_DENIED)[operation]
        return [S3Check(action=f"s3:{action}", bucket=call.bucket, context=context)]
    if not call.bucket and operation == ("GET", ""):
        return [S3Check(action="s3:ListAllMyBuckets", bucket="")]
    raise unknown_call(call)


def is_served(call: S3Call) -> bool:
    """Whether the local cloud supports the call, once it is allowed."""
    return bool(call.key) or (call.method, call.subresource) not in _ONLY_DENIED


def _write_checks(call: S3Call, *, now: datetime, source_is_tagged: bool) -> list[S3Check]:
    def check(action: str, context: Mapping[str, str] | None = None) -> S3Check:
        return S3Check(action=action, bucket=call.bucket, key=call.key, context=context or {})

    headers = call.headers
    lock = _lock(
        headers.get("x-amz-object-lock-mode"),
        headers.get("x-amz-object-lock-retain-until-date"),
        now=now,
    )
    creates = (call.method, "uploadId" in call.query) in (("PUT", False), ("POST", True))
    context = {f"s3:{name}": headers[name] for name in _WRITE_KEYS if name in headers}
    context |= {"s3:ObjectCreationOperation": str(creates).lower(), **lock, **_acl(call)}

    source = copy_source(call)
    if source is not None:
        context["s3:x-amz-copy-source"] = unquote(headers["x-amz-copy-source"]).lstrip("/")
    checks = [check("s3:PutObject", context)]
    if source is not None:
        bucket, key, version = source
        v = "Version" if version else ""
        reads = [f"s3:GetObject{v}"]
        copies_tags = headers.get("x-amz-tagging-directive", "COPY") == "COPY"
        if source_is_tagged and copies_tags and "uploadId" not in call.query:
            reads.append(f"s3:GetObject{v}Tagging")
            checks.append(check("s3:PutObjectTagging"))
        checks += [S3Check(action=a, bucket=bucket, key=key, version=version) for a in reads]
    if "x-amz-tagging" in headers:
        checks.append(check("s3:PutObjectTagging"))
    if lock:
        checks.append(check("s3:PutObjectRetention", lock))
    if "x-amz-object-lock-legal-hold" in headers:
        checks.append(check("s3:PutObjectLegalHold"))
    if any(name == "x-amz-acl" or name.startswith("x-amz-grant-") for name in headers):
        checks.append(check("s3:PutObjectAcl", _acl(call)))
    return checks


def _object_checks(call: S3Call, actions: str, *, now: datetime) -> list[S3Check]:
    version = call.query.get("versionId")
    context = _acl(call)
    required = [f"s3:{a}" for a in actions.format(v="Version" if version else "").split()]
    if call.method == "DELETE" and "if-match" in call.headers:
        context["s3:if-match"] = call.headers["if-match"]
        required.append("s3:GetObjectVersion" if version else "s3:GetObject")
    if required == ["s3:PutObjectRetention"]:
        retention = xml_body(call)
        context |= _lock(
            retention.findtext("{*}Mode"), retention.findtext("{*}RetainUntilDate"), now=now
        )
    if _bypasses_governance(call):
        required.append("s3:BypassGovernanceRetention")
    return [
        S3Check(action=a, bucket=call.bucket, key=call.key, version=version, context=context)
        for a in required
    ]


def _bulk_delete_checks(call: S3Call) -> list[S3Check]:
    """The permissions for all keys. One denied key refuses them all; S3 would delete the rest."""
    checks = []
    for item in xml_body(call).iterfind("{*}Object"):
        key, version = item.findtext("{*}Key"), item.findtext("{*}VersionId")
        if not key:
            raise unknown_call(call)
        required = ["s3:DeleteObjectVersion" if version else "s3:DeleteObject"]
        etag = item.findtext("{*}ETag")
        if etag:
            required.append("s3:GetObjectVersion" if version else "s3:GetObject")
        required += ["s3:BypassGovernanceRetention"] if _bypasses_governance(call) else []
        context = {"s3:if-match": etag} if etag else {}
        checks += [
            S3Check(action=a, bucket=call.bucket, key=key, version=version, context=context)
            for a in required
        ]
    if not checks:
        raise unknown_call(call)
    return checks


def _acl(call: S3Call) -> dict[str, str]:
    return {"s3:x-amz-acl": call.headers["x-amz-acl"]} if "x-amz-acl" in call.headers else {}


def _bypasses_governance(call: S3Call) -> bool:
    return call.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


def _lock(mode: str | None, until: str | None, *, now: datetime) -> dict[str, str]:
    context = {} if mode is None else {"s3:object-lock-mode": mode}
    if until is not None:
        try:
            remaining = datetime.fromisoformat(until) - now
        except (ValueError, TypeError):
            raise denied(f"Not a time with a time zone: {until}") from None
        # A part of a day counts as a whole day. This is undocumented, but it is the stricter
        # interpretation of a maximum.
        days = math.ceil(remaining / timedelta(days=1))
        context["s3:object-lock-remaining-retention-days"] = str(days)
    return context


_WRITE_KEYS = (
    "if-match",
    "if-none-match",
    "x-amz-metadata-directive",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
)

_WRITES = {("PUT", ""), ("PUT", "partNumber&uploadId"), ("POST", "uploads"), ("POST", "uploadId")}

# {v} becomes Version if the request names a version.
_OBJECT_ACTIONS = {
    ("GET", ""): "GetObject{v}",
    ("GET", "partNumber"): "GetObject{v}",
    ("HEAD", ""): "GetObject{v}",
    ("HEAD", "partNumber"): "GetObject{v}",
    ("GET", "acl"): "GetObject{v}Acl",
    ("GET", "attributes"): "GetObject{v} GetObject{v}Attributes",
    ("GET", "legal-hold"): "GetObjectLegalHold",
    ("GET", "retention"): "GetObjectRetention",
    ("GET", "tagging"): "GetObject{v}Tagging",
    ("GET", "uploadId"): "ListMultipartUploadParts",
    ("PUT", "acl"): "PutObject{v}Acl",
    ("PUT", "legal-hold"): "PutObjectLegalHold",
    ("PUT", "retention"): "PutObjectRetention",
    ("PUT", "tagging"): "PutObject{v}Tagging",
    ("POST", "restore"): "RestoreObject",
    ("DELETE", ""): "DeleteObject{v}",
    ("DELETE", "tagging"): "DeleteObject{v}Tagging",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}

_BUCKET_ACTIONS = {
    ("HEAD", ""): "ListBucket",
    ("GET", ""): "ListBucket",
    ("GET", "versions"): "ListBucketVersions",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("PUT", ""): "CreateBucket",
    ("DELETE", ""): "DeleteBucket",
    ("GET", "acl"): "GetBucketAcl",
    ("PUT", "acl"): "PutBucketAcl",
    ("GET", "accelerate"): "GetAccelerateConfiguration",
    ("PUT", "accelerate"): "PutAccelerateConfiguration",
    ("GET", "cors"): "GetBucketCORS",
    ("PUT", "cors"): "PutBucketCORS",
    ("DELETE", "cors"): "PutBucketCORS",
    ("GET", "encryption"): "GetEncryptionConfiguration",
    ("PUT", "encryption"): "PutEncryptionConfiguration",
    ("DELETE", "encryption"): "PutEncryptionConfiguration",
    ("GET", "lifecycle"): "GetLifecycleConfiguration",
    ("PUT", "lifecycle"): "PutLifecycleConfiguration",
    ("DELETE", "lifecycle"): "PutLifecycleConfiguration",
    ("PUT", "inventory"): "PutInventoryConfiguration",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "logging"): "GetBucketLogging",
    ("PUT", "logging"): "PutBucketLogging",
    ("GET", "notification"): "GetBucketNotification",
    ("PUT", "notification"): "PutBucketNotification",
    ("GET", "object-lock"): "GetBucketObjectLockConfiguration",
    ("PUT", "object-lock"): "PutBucketObjectLockConfiguration",
    ("GET", "ownershipControls"): "GetBucketOwnershipControls",
    ("PUT", "ownershipControls"): "PutBucketOwnershipControls",
    ("DELETE", "ownershipControls"): "PutBucketOwnershipControls",
    ("GET", "policy"): "GetBucketPolicy",
    ("GET", "policyStatus"): "GetBucketPolicyStatus",
    ("PUT", "policy"): "PutBucketPolicy",
    ("DELETE", "policy"): "DeleteBucketPolicy",
    ("GET", "publicAccessBlock"): "GetBucketPublicAccessBlock",
    ("PUT", "publicAccessBlock"): "PutBucketPublicAccessBlock",
    ("DELETE", "publicAccessBlock"): "PutBucketPublicAccessBlock",
    ("GET", "replication"): "GetReplicationConfiguration",
    ("PUT", "replication"): "PutReplicationConfiguration",
    ("DELETE", "replication"): "PutReplicationConfiguration",
    ("GET", "requestPayment"): "GetBucketRequestPayment",
    ("PUT", "requestPayment"): "PutBucketRequestPayment",
    ("GET", "tagging"): "GetBucketTagging",
    ("PUT", "tagging"): "PutBucketTagging",
    ("DELETE", "tagging"): "PutBucketTagging",
    ("GET", "versioning"): "GetBucketVersioning",
    ("PUT", "versioning"): "PutBucketVersioning",
    ("GET", "website"): "GetBucketWebsite",
    ("PUT", "website"): "PutBucketWebsite",
    ("DELETE", "website"): "DeleteBucketWebsite",
}

# Configurations that moto does not have; it would even treat some of these requests as
# DeleteBucket.
_ONLY_DENIED = {
    ("PUT", "abac"): "PutBucketAbac",
    ("PUT", "analytics"): "PutAnalyticsConfiguration",
    ("DELETE", "analytics"): "PutAnalyticsConfiguration",
    ("PUT", "intelligent-tiering"): "PutIntelligentTieringConfiguration",
    ("DELETE", "intelligent-tiering"): "PutIntelligentTieringConfiguration",
    ("DELETE", "inventory"): "PutInventoryConfiguration",
    ("PUT", "metadataAnnotationTable"): "UpdateBucketMetadataAnnotationTableConfiguration",
    ("POST", "metadataConfiguration"): "CreateBucketMetadataTableConfiguration",
    ("DELETE", "metadataConfiguration"): "DeleteBucketMetadataTableConfiguration",
    ("PUT", "metadataInventoryTable"): "UpdateBucketMetadataInventoryTableConfiguration",
    ("PUT", "metadataJournalTable"): "UpdateBucketMetadataJournalTableConfiguration",
    ("POST", "metadataTable"): "CreateBucketMetadataTableConfiguration",
    ("DELETE", "metadataTable"): "DeleteBucketMetadataTableConfiguration",
    ("PUT", "metrics"): "PutMetricsConfiguration",
    ("DELETE", "metrics"): "PutMetricsConfiguration",
}
