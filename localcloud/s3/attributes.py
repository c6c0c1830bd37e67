"""The attributes of an object of the local S3: everything but its name and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import InvalidStorageClass, InvalidTagError, LockNotEnabled
from moto.s3.utils import STORAGE_CLASS, metadata_from_headers

from localcloud.s3.checksums import encoded
from localcloud.s3.kms_keys import kms_keys

if TYPE_CHECKING:
    from moto.s3.models import FakeAcl, FakeBucket
    from moto.s3.responses import S3Response

    from localcloud.s3.content import Content

CUSTOMER_KEY = "x-amz-server-side-encryption-customer-key-md5"
SYSTEM_METADATA = "x-amz-"
USER_METADATA = "x-amz-meta-"


@dataclass(frozen=True)
class Checksum:
    """A checksum as HEAD shows it: `value` is base64, followed by -N if it is COMPOSITE."""

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"

    @classmethod
    def of(cls, content: Content, algorithm: str) -> Checksum:
        return cls(algorithm, encoded(content.digest(algorithm)))

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.algorithm.lower()}"


@dataclass(frozen=True)
class Attributes:
    """The attributes of an object, from the request that puts it or initiates its upload."""

    metadata: dict[str, str]
    storage_class: str
    tags: dict[str, str]
    acl: FakeAcl | None
    encryption: dict[str, Any]
    lock: dict[str, Any]
    customer_key: str | None
    redirect: str | None

    @classmethod
    def of_request(cls, request: S3Response) -> Attributes:
        headers = request.headers
        bucket = request.backend.get_bucket(request.bucket_name)
        storage_class = headers.get("x-amz-storage-class") or "STANDARD"
        if storage_class not in STORAGE_CLASS:
            raise InvalidStorageClass(storage=storage_class)
        tags = request._tagging_from_headers(headers)
        problem = request.backend.tagger.validate_tags(
            request.backend.tagger.convert_dict_to_tags_input(tags)
        )
        if problem:
            raise InvalidTagError(problem)
        return cls(
            metadata=_metadata(request),
            storage_class=storage_class,
            tags=tags,
            acl=request._acl_from_headers(headers) or bucket.acl,
            encryption=_encryption(request, bucket),
            lock=_lock(request, bucket),
            customer_key=headers.get(CUSTOMER_KEY),
            redirect=headers.get("x-amz-website-redirect-location"),
        )


def _metadata(request: S3Response) -> dict[str, str]:
    # moto would keep headers of the request itself (checksums, digests) and show them forever.
    candidates = {
        **metadata_from_headers(request.headers),
        **metadata_from_headers(request.querystring),
    }
    return {
        name: value
        for name, value in candidates.items()
        if name.lower().startswith(USER_METADATA)
        or not (name.lower().startswith(SYSTEM_METADATA) or name.lower() == "content-md5")
    }


def _encryption(request: S3Response, bucket: FakeBucket) -> dict[str, Any]:
    headers = request.headers
    if headers.get(CUSTOMER_KEY):
        return {"encryption": None, "kms_key_id": None}
    header = "x-amz-server-side-encryption"
    rule = (bucket.encryption or {}).get("Rule", {})
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    if headers.get(header):
        algorithm, key_id = headers[header], headers.get(f"{header}-aws-kms-key-id")
    else:
        algorithm = default.get("SSEAlgorithm") or "AES256"
        key_id = default.get("KMSMasterKeyID")
    bucket_key = headers.get(f"{header}-bucket-key-enabled", rule.get("BucketKeyEnabled"))
    encryption = {
        "encryption": algorithm,
        "kms_key_id": key_id,
        "bucket_key_enabled": None if bucket_key is None else str(bucket_key).lower(),
    }
    kms_keys.refuse_to_encrypt(encryption)
    return encryption


def _lock(request: S3Response, bucket: FakeBucket) -> dict[str, Any]:
    legal_hold, mode, until = request._get_lock_details(bucket, bucket.object_lock_enabled)
    if (legal_hold or mode or until) and not bucket.object_lock_enabled:
        raise LockNotEnabled
    return {"lock_legal_status": legal_hold, "lock_mode": mode, "lock_until": until}
