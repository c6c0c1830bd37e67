"""The conditional copy: one source, pinned; one destination, never overwritten; all or nothing."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from botocore.exceptions import ClientError

from chalicelib.copy_ends import (
    FULL_OBJECT_IN_PARTS,
    Destination,
    Source,
    expected_owner,
)
from chalicelib.copying_in_parts import Copied, copy_in_parts
from chalicelib.part_plan import LARGEST_PART, Limits
from chalicelib.s3_errors import error_code, http_status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFLICT = "ConditionalRequestConflict"
# A conflict means that another request is at work on the same key; S3 asks to try again.
CONFLICT_ATTEMPTS = 5

# Clients whose CopyObject S3 has answered with 501. AWS documents both: that the condition works
# for copies, and that a bucket whose policy demands it takes no CopyObject at all.
_without_copy_object: WeakSet[Any] = WeakSet()


def copy(
    s3: "S3Client",
    *,
    source: Source,
    destination: Destination,
    limits: Limits,
    seconds_left: Callable[[], float] | None = None,
) -> Copied:
    """Copy exactly `source` to `destination`, which must not exist, with nothing but its bytes.

    Raises ClientError or BotoCoreError, which never says by itself whether the copy was made;
    OutOfTimeError if it could not end in the seconds that are left (None: unlimited).
    """
    if is_single(source, limits) and _copy_at_once(s3, source, destination):
        return Copied(verified=False, others=list)
    return copy_in_parts(
        s3,
        source=source,
        destination=destination,
        limits=limits,
        seconds_left=seconds_left,
    )


def is_single(source: Source, limits: Limits) -> bool:
    """Whether one request copies `source`: it is small, or only so can its checksum be kept."""
    if source.checksum and source.checksum[0] not in FULL_OBJECT_IN_PARTS:
        return source.size <= LARGEST_PART
    return source.size <= limits.single


def remove(s3: "S3Client", source: Source) -> None:
    """Remove exactly `source`: a newer object under its key stays, and so do its other versions.

    That it is gone already is success.
    """
    if source.version_id == "null" and not _is_still_there(s3, source):
        return
    which: dict[str, Any] = {"IfMatch": f'"{source.etag}"'}
    if source.version_id:
        which = {"VersionId": source.version_id}
    for attempt in range(1, CONFLICT_ATTEMPTS + 1):
        try:
            s3.delete_object(
                Bucket=source.bucket,
                Key=source.key,
                **which,
                **expected_owner(source.owner),
            )
        except ClientError as error:
            if error_code(error) in {"PreconditionFailed", "NoSuchKey", "NoSuchVersion"}:
                return
            if error_code(error) != CONFLICT or attempt == CONFLICT_ATTEMPTS:
                raise
        else:
            return


def _is_still_there(s3: "S3Client", source: Source) -> bool:
    """Whether `null` is still `source`: while versioning is suspended, each upload replaces it."""
    try:
        head = s3.head_object(
            Bucket=source.bucket,
            Key=source.key,
            VersionId="null",
            **expected_owner(source.owner),
        )
    except ClientError as error:
        if http_status(error) != HTTPStatus.NOT_FOUND:
            raise
        return False
    there = (head["ETag"].strip('"'), head["ContentLength"], head["LastModified"])
    return there == (source.etag, source.size, source.last_modified)


def _copy_at_once(s3: "S3Client", source: Source, destination: Destination) -> bool:
    """Copy by one request; False if S3 takes none from this client."""
    if s3 in _without_copy_object:
        return False
    algorithm: dict[str, Any] = {"ChecksumAlgorithm": source.checksum[0]} if source.checksum else {}
    try:
        s3.copy_object(
            **destination.place,
            **destination.carried,
            **source.pinned,
            **algorithm,
            IfNoneMatch="*",
            # By default a copy inherits metadata, tags and annotations: all of them the sender's.
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            AnnotationDirective="EXCLUDE",
        )
    except ClientError as error:
        # A copy in parts cannot be empty.
        if error_code(error) != "NotImplemented" or source.size == 0:
            raise
        _without_copy_object.add(s3)
        return False
    return True
