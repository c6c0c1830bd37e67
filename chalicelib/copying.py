"""The conditional copy: one source, pinned; one destination, never overwritten; all or nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.copy_ends import (
    FULL_OBJECT_IN_PARTS,
    Destination,
    Source,
    expected_owner,
)
from chalicelib.copying_in_parts import Copied, Interrupted, copy_in_parts
from chalicelib.part_plan import Limits
from chalicelib.s3_errors import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFLICT = "ConditionalRequestConflict"
# A conflict means that another request is at work on the same key; S3 asks to try again.
CONFLICT_ATTEMPTS = 5


def copy(
    s3: "S3Client",
    *,
    source: Source,
    destination: Destination,
    limits: Limits,
    seconds_left: Callable[[], float] | None = None,
    upload_id: str | None = None,
) -> Copied | Interrupted:
    """Copy exactly `source` to `destination`, which must not exist, with nothing but its bytes.

    No part is started that could not end in the seconds that are left (None: there is no end, and
    nobody goes on); a copy by one request is always started. `upload_id` is of a copy of this very
    source that was interrupted: its parts are not copied again, but only who handed it over knows
    that they are this source's.
    Raises ClientError or BotoCoreError. No such error says by itself whether the copy was made.
    """
    if upload_id is None and is_single(source, limits):
        _copy_at_once(s3, source, destination)
        return Copied(proven=False, others=list)
    return copy_in_parts(
        s3,
        source=source,
        destination=destination,
        limits=limits,
        seconds_left=seconds_left,
        upload_id=upload_id,
    )


def is_single(source: Source, limits: Limits) -> bool:
    """Whether one request copies `source`: it is small, or only so can its checksum be kept."""
    checksum = source.kept_checksum
    if checksum and checksum[0] not in FULL_OBJECT_IN_PARTS:
        return True
    return source.size <= limits.single


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
                **expected_owner(source.owner),
            )
        except ClientError as error:
            if error_code(error) in {"PreconditionFailed", "NoSuchKey", "NoSuchVersion"}:
                return
            if error_code(error) != CONFLICT or attempt == CONFLICT_ATTEMPTS:
                raise
        else:
            return


def _copy_at_once(s3: "S3Client", source: Source, destination: Destination) -> None:
    algorithm: dict[str, Any] = {"ChecksumAlgorithm": source.checksum[0]} if source.checksum else {}
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
