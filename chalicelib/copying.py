"""The conditional copy: one source, pinned; one destination, never overwritten; all or nothing."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.part_plan import LARGEST_PART, Limits, Part, plan_parts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# Checksums that S3 can compute over a whole object that arrives in parts; the others it cannot.
FULL_OBJECT_IN_PARTS = frozenset({"CRC64NVME", "CRC32", "CRC32C"})

CONFLICT = "ConditionalRequestConflict"
# A conflict means that another request is at work on the same key; S3 asks to try again.
CONFLICT_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class Source:
    """Exactly one object: its key, and the ETag and version that it had when it was looked at.

    `checksum` is (algorithm, base64 value) over the whole object, where S3 has one.
    """

    bucket: str
    key: str
    etag: str
    size: int
    version_id: str | None = None
    checksum: tuple[str, str] | None = None
    owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A name that must be free, and what the object will carry besides the source's bytes."""

    bucket: str
    key: str
    metadata: Mapping[str, str]
    storage_class: str = "STANDARD"
    owner: str | None = None


def copy(s3: "S3Client", *, source: Source, destination: Destination, limits: Limits) -> None:
    """Copy exactly `source` to `destination`, which must not exist, with nothing but its bytes.

    Raises ClientError or BotoCoreError. No such error says by itself whether the copy was made.
    """
    if is_single(source, limits):
        _copy_at_once(s3, source, destination)
    else:
        _copy_in_parts(s3, source, destination, limits)


def is_single(source: Source, limits: Limits) -> bool:
    """Whether one request copies `source`: it is small, or only so can its checksum be kept."""
    if source.checksum and source.checksum[0] not in FULL_OBJECT_IN_PARTS:
        return source.size <= LARGEST_PART
    return source.size <= limits.single


def abort_unfinished(s3: "S3Client", *, bucket: str, key: str, owner: str | None) -> None:
    """Abort every unfinished multipart upload of exactly `key`, whoever left it behind."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Prefix=key, **_owner("ExpectedBucketOwner", owner)
    )
    for page in pages:
        for upload in page.get("Uploads", []):
            if upload["Key"] == key:
                _abort(s3, bucket=bucket, key=key, owner=owner, upload_id=upload["UploadId"])


def remove(s3: "S3Client", source: Source) -> None:
    """Remove exactly `source`: a newer object under its key stays, and so do its other versions.

    That it is gone already is success.
    """
    which: dict[str, Any] = {"IfMatch": f'"{source.etag}"'}
    if source.version_id:
        which = {"VersionId": source.version_id}
    for attempt in range(1, CONFLICT_ATTEMPTS + 1):
        try:
            s3.delete_object(
                Bucket=source.bucket,
                Key=source.key,
                **which,
                **_owner("ExpectedBucketOwner", source.owner),
            )
        except ClientError as error:
            if error_code(error) in {"PreconditionFailed", "NoSuchKey", "NoSuchVersion"}:
                return
            if error_code(error) != CONFLICT or attempt == CONFLICT_ATTEMPTS:
                raise
        else:
            return


def error_code(error: Exception) -> str:
    """AWS's own code for an error (`NoSuchKey`); empty where AWS did not answer."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def _copy_at_once(s3: "S3Client", source: Source, destination: Destination) -> None:
    algorithm: dict[str, Any] = {"ChecksumAlgorithm": source.checksum[0]} if source.checksum else {}
    s3.copy_object(
        **_place(destination),
        **_carried(destination),
        **_pinned(source),
        **algorithm,
        IfNoneMatch="*",
        # By default a copy inherits metadata, tags and annotations: all of them the sender's.
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        AnnotationDirective="EXCLUDE",
    )


def _copy_in_parts(
    s3: "S3Client", source: Source, destination: Destination, limits: Limits
) -> None:
    """A multipart copy carries nothing of the source's but bytes; S3 checks size and checksum."""
    place = _place(destination)
    algorithm, value = source.checksum or ("CRC64NVME", None)
    begun: dict[str, Any] = {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}
    expected: dict[str, Any] = {f"Checksum{algorithm}": value} if value else {}
    upload_id = s3.create_multipart_upload(**place, **_carried(destination), **begun)["UploadId"]

    def copy_part(part: Part) -> "CompletedPartTypeDef":
        result = s3.upload_part_copy(
            **place,
            UploadId=upload_id,
            PartNumber=part.number,
            CopySourceRange=f"bytes={part.first}-{part.last}",
            **_pinned(source),
        )["CopyPartResult"]
        return {"PartNumber": part.number, "ETag": result["ETag"]}

    try:
        # Leaving the pool waits for the parts under way: what is aborted before they end stays.
        with ThreadPoolExecutor(max_workers=limits.streams) as pool:
            parts = list(pool.map(copy_part, plan_parts(source.size, limits)))
        s3.complete_multipart_upload(
            **place,
            UploadId=upload_id,
            IfNoneMatch="*",
            MultipartUpload={"Parts": parts},
            MpuObjectSize=source.size,
            ChecksumType="FULL_OBJECT",
            **expected,
        )
    except BaseException as error:
        try:
            _abort(
                s3,
                bucket=destination.bucket,
                key=destination.key,
                owner=destination.owner,
                upload_id=upload_id,
            )
        except (ClientError, BotoCoreError) as second:
            error.add_note(f"Its parts could not be removed either: {second}")
        raise


def _abort(s3: "S3Client", *, bucket: str, key: str, owner: str | None, upload_id: str) -> None:
    try:
        s3.abort_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload_id, **_owner("ExpectedBucketOwner", owner)
        )
    except ClientError as error:
        # Finished or aborted already. Another run may have done it: that is what was wanted.
        if error_code(error) != "NoSuchUpload":
            raise


def _place(destination: Destination) -> dict[str, Any]:
    return {
        "Bucket": destination.bucket,
        "Key": destination.key,
        **_owner("ExpectedBucketOwner", destination.owner),
    }


def _carried(destination: Destination) -> dict[str, Any]:
    """What the object will carry besides its bytes: said once, when it is created."""
    return {
        "Metadata": dict(destination.metadata),
        "StorageClass": destination.storage_class,
    }


def _pinned(source: Source) -> dict[str, Any]:
    """What every request that reads the source says, so that no two read different uploads."""
    version = {"VersionId": source.version_id} if source.version_id else {}
    return {
        "CopySource": {"Bucket": source.bucket, "Key": source.key, **version},
        "CopySourceIfMatch": f'"{source.etag}"',
        **_owner("ExpectedSourceBucketOwner", source.owner),
    }


def _owner(argument: str, owner: str | None) -> dict[str, Any]:
    return {argument: owner} if owner else {}
