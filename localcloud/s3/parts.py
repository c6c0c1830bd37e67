"""The parts and byte ranges that requests of a multipart upload name, and S3's errors for them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from moto.s3 import models
from moto.s3.exceptions import (
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    MalformedXML,
    S3ClientError,
)

from localcloud.s3.conditions import bad_digest, claimed_checksum

if TYPE_CHECKING:
    from moto.s3.responses import S3Response

    from localcloud.s3.attributes import Checksum
    from localcloud.s3.content import StoredKey
    from localcloud.s3.uploads import MultipartUpload


def listed_parts(body: bytes) -> list[tuple[int, str]]:
    """The numbers and ETags in the body of a completion."""
    if not body:
        raise S3ClientError("InvalidRequest", "You must specify at least one part")
    try:
        parts = ET.fromstring(body).findall("{*}Part")
        return [(int(p.findtext("{*}PartNumber", "")), p.findtext("{*}ETag", "")) for p in parts]
    except (ET.ParseError, ValueError):
        raise MalformedXML from None


def chosen_parts(upload: MultipartUpload, chosen: list[tuple[int, str]]) -> list[StoredKey]:
    """The parts that a completion lists by number and ETag."""
    numbers = [number for number, _ in chosen]
    if not chosen:
        raise MalformedXML
    if numbers != sorted(set(numbers)):
        raise InvalidPartOrder
    parts = []
    for number, etag in chosen:
        part = upload.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        parts.append(part)
    smallest = models.S3_UPLOAD_PART_MIN_SIZE  # type: ignore[attr-defined]
    if any(part.size < smallest for part in parts[:-1]):
        raise EntityTooSmall
    return parts


def refuse_wrong_checksum(request: S3Response, computed: Checksum) -> None:
    type_ = request.headers.get("x-amz-checksum-type")
    if type_ and type_ != computed.type:
        raise S3ClientError(
            "InvalidRequest",
            f"The upload was created using the {computed.type} checksum mode. The complete "
            "request must use the same checksum mode.",
        )
    claimed = claimed_checksum(request)
    if claimed is None:
        return
    if claimed.algorithm != computed.algorithm:
        raise S3ClientError(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: "
            f"{computed.algorithm.lower()}, actual checksum Type: {claimed.algorithm.lower()}",
        )
    if claimed.value not in (computed.value, computed.value.partition("-")[0]):
        raise bad_digest(claimed.algorithm)


def source_range(header: str, size: int) -> tuple[int, int]:
    """The offsets of the first and the last byte in the header."""
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not (header.startswith("bytes=") and first.isdigit() and last.isdigit()):
        raise S3ClientError(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
        )
    if not int(first) <= int(last) < size:
        raise S3ClientError(
            "InvalidArgument", f"Range specified is not valid for source object of size: {size}"
        )
    return int(first), int(last)
