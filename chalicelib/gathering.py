"""Looks at both sides of a promotion: the upload, and what its slot holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.copy_ends import expected_owner
from chalicelib.policy import Checksum, DeleteMarker, Policy, Sealed, Slot, Stored, Upload
from chalicelib.s3_errors import error_code, http_status
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Every checksum that S3 knows: the sender chooses one, and must not choose one that we overlook.
CHECKSUMS = (
    "CRC64NVME",
    "CRC32",
    "CRC32C",
    "SHA256",
    "SHA1",
    "SHA512",
    "MD5",
    "XXHASH64",
    "XXHASH3",
    "XXHASH128",
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Both sides of a promotion: the upload (None: gone) and what is in its slot (None: free)."""

    upload: Upload | Sealed | None = None
    stored: Stored | DeleteMarker | None = None


def gather(
    s3: "S3Client", settings: Settings, policy: Policy, *, key: str, version_id: str | None
) -> Found:
    """What is there now, by HEAD: 404 is absence and nothing else, whatever cannot be told raises.

    A key that no rule names is not looked at.
    """
    if key not in policy.claims:
        return Found()
    upload = _look_at_upload(s3, settings, key=key, version_id=version_id)
    if not isinstance(upload, Upload):
        return Found(upload=upload)
    slot = policy.slot_of(key, upload.last_modified)
    return Found(upload=upload, stored=look_at_slot(s3, settings, slot))


def look_at_slot(s3: "S3Client", settings: Settings, slot: Slot) -> Stored | DeleteMarker | None:
    """What the slot holds (None: it is free)."""
    request: dict[str, Any] = {
        "Bucket": settings.vault_bucket,
        "Key": slot.name,
        **expected_owner(settings.vault_owner),
    }
    try:
        head = s3.head_object(**request, ChecksumMode="ENABLED")
    except ClientError as error:
        if http_status(error) != HTTPStatus.NOT_FOUND:
            raise
        headers = error.response["ResponseMetadata"]["HTTPHeaders"]
        return DeleteMarker() if headers.get("x-amz-delete-marker") == "true" else None
    return Stored(
        size=head["ContentLength"],
        source_key=head["Metadata"].get("source-key"),
        source_etag=head["Metadata"].get("source-etag"),
        checksum=_checksum(head),
    )


def real_version(version_id: str | None) -> str | None:
    """A version id that pins; `null`, of an object written without versioning, does not."""
    return None if version_id == "null" else version_id


def _look_at_upload(
    s3: "S3Client", settings: Settings, *, key: str, version_id: str | None
) -> Upload | Sealed | None:
    request: dict[str, Any] = {
        "Bucket": settings.incoming_bucket,
        "Key": key,
        **({"VersionId": version_id} if version_id else {}),
        **expected_owner(settings.incoming_owner),
    }
    try:
        head: Mapping[str, Any] = s3.head_object(**request, ChecksumMode="ENABLED")
    except ClientError as error:
        if http_status(error) == HTTPStatus.NOT_FOUND:
            return None
        if http_status(error) == HTTPStatus.BAD_REQUEST and _is_sealed(s3, request):
            return Sealed(key=key)
        if http_status(error) != HTTPStatus.FORBIDDEN:
            raise
        # Under a KMS key that is not ours even asking for a checksum is forbidden.
        head = s3.head_object(**request)
        if not head.get("ServerSideEncryption", "").startswith("aws:kms"):
            raise
    return Upload(
        key=key,
        etag=head["ETag"].strip('"'),
        size=head["ContentLength"],
        last_modified=head["LastModified"],
        version_id=real_version(head.get("VersionId")),
        storage_class=head.get("ArchiveStatus") or head.get("StorageClass") or "STANDARD",
        encryption=head.get("ServerSideEncryption"),
        checksum=_checksum(head),
    )


def _is_sealed(s3: "S3Client", request: Mapping[str, Any]) -> bool:
    """Whether the upload is under its sender's own key: a HEAD's 400 has no body to say so."""
    try:
        s3.get_object(**request, Range="bytes=0-0")
    except ClientError as error:
        return error_code(error) == "InvalidRequest"
    return False


def _checksum(head: Mapping[str, Any]) -> Checksum | None:
    """The checksum over the whole object. (One over its parts, `...-N`, compares with nothing.)"""
    for algorithm in CHECKSUMS:
        value = head.get(f"Checksum{algorithm}")
        if value and head.get("ChecksumType") != "COMPOSITE":
            return Checksum(algorithm=algorithm, value=value)
    return None
