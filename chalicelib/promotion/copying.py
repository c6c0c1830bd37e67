"""The conditional copy: one upload, pinned; one slot, never overwritten; all or nothing."""

from collections.abc import Callable
from datetime import UTC
from typing import Any
from weakref import WeakSet

from botocore.exceptions import ClientError

from chalicelib.policy.decision import Upload
from chalicelib.policy.policy import Slot
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.copy_plan import LARGEST_PART, Tuning, unlimited
from chalicelib.promotion.multipart import FULL_OBJECT_IN_PARTS, CopyInParts
from chalicelib.s3_errors import error_code

# Clients whose CopyObject S3 has refused with 501. AWS documents both: that the condition works for
# copies, and that a bucket whose policy requires it accepts no CopyObject at all.
_without_copy_object: WeakSet[Any] = WeakSet()


def copy(
    incoming: Incoming,
    vault: Vault,
    *,
    upload: Upload,
    slot: Slot,
    tuning: Tuning,
    seconds_left: Callable[[], float] = unlimited,
) -> bool:
    """Copy exactly this upload's bytes, and none of its metadata, into a slot that must be free.

    Returns True if S3 itself has compared the size and checksum of the copy with the upload's.
    Raises ClientError or BotoCoreError, neither of which proves whether the copy was made, or
    OutOfTimeError if it could not finish in time.
    """
    if fits_one_request(upload, tuning) and _copy_at_once(incoming, vault, upload, slot):
        return False
    in_parts = CopyInParts(
        incoming=incoming,
        vault=vault,
        upload=upload,
        name=slot.name,
        tuning=tuning,
        seconds_left=seconds_left,
    )
    return in_parts.make(carried(upload, slot))


def fits_one_request(upload: Upload, tuning: Tuning) -> bool:
    """True if one request copies it: it is small, or its checksum would be lost in parts."""
    if upload.checksum and upload.checksum.algorithm not in FULL_OBJECT_IN_PARTS:
        return upload.size <= LARGEST_PART
    return upload.size <= tuning.single


def carried(upload: Upload, slot: Slot) -> dict[str, Any]:
    """Everything the stored object has besides its bytes; none of it comes from the sender.

    The encryption is named because anyone who can change a bucket's default could have all later
    copies encrypted with their own key.
    """
    metadata = {
        "source-key": upload.key,
        "source-etag": upload.etag,
        "source-last-modified": upload.last_modified.astimezone(UTC).isoformat(),
    }
    if upload.identity:
        metadata["source-version-id"] = upload.identity
    return {
        "Metadata": metadata,
        "StorageClass": slot.rule.storage_class,
        "ServerSideEncryption": "AES256",
    }


def _copy_at_once(incoming: Incoming, vault: Vault, upload: Upload, slot: Slot) -> bool:
    """Copy in one request; False if S3 does not support that for this client."""
    if vault.s3 in _without_copy_object:
        return False
    checksum = upload.checksum
    algorithm: dict[str, Any] = {"ChecksumAlgorithm": checksum.algorithm} if checksum else {}
    try:
        vault.s3.copy_object(
            **vault.args,
            Key=slot.name,
            **carried(upload, slot),
            **incoming.copy_source(upload),
            **algorithm,
            IfNoneMatch="*",
            # By default, a copy inherits metadata, tags and annotations, all of which the sender
            # chose.
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            AnnotationDirective="EXCLUDE",
        )
    except ClientError as error:
        # A copy in parts cannot be empty.
        if error_code(error) != "NotImplemented" or upload.size == 0:
            raise
        _without_copy_object.add(vault.s3)
        return False
    return True
