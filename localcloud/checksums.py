"""The checksums S3 knows: moto answers with CRC32 for some of them."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from awscrt import checksums

if TYPE_CHECKING:
    from collections.abc import Callable


def digest(data: bytes, algorithm: str) -> bytes:
    """The raw checksum of `data`; `algorithm` is one of ALGORITHMS."""
    return ALGORITHMS[algorithm](data)


def encoded(raw: bytes) -> str:
    """A checksum as S3's headers carry it: base64."""
    return base64.b64encode(raw).decode("ascii")


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: checksums.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
"""S3's name of an algorithm, and what computes it."""
