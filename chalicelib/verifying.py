"""Makes sure, before the only other copy of an upload is removed, that its slot holds its bytes."""

from dataclasses import replace

from chalicelib.copy_ends import Source
from chalicelib.policy import DeleteMarker, Slot, Stored, Upload


class UnverifiedCopyError(Exception):
    """What is in the slot is not what was copied there. The upload stays; somebody must look."""


def verify(
    slot: Slot, source: Source, upload: Upload, stored: Stored | DeleteMarker | None
) -> None:
    """What was just copied has the upload's size and, wherever S3 keeps it, its checksum.

    Raises UnverifiedCopyError.
    """
    if not isinstance(stored, Stored) or not stored.came_from(upload):
        raise UnverifiedCopyError(f"{slot.name} does not hold {upload.key}: {stored}")
    if source.kept_checksum is not None and stored.checksum != upload.checksum:
        raise UnverifiedCopyError(
            f"{slot.name} has the checksum {stored.checksum}, {upload.key} has {upload.checksum}"
        )


def verify_again(
    slot: Slot, source: Source, upload: Upload, stored: Stored | DeleteMarker | None
) -> None:
    """What was copied before, perhaps of the same bytes sent with a checksum of another kind."""
    there = stored.checksum if isinstance(stored, Stored) else None
    if there and upload.checksum and there.algorithm != upload.checksum.algorithm:
        source = replace(source, checksum=None)
    verify(slot, source, upload, stored)
