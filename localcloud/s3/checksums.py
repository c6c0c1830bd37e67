"""S3's checksum algorithms; moto computes CRC32 in place of some of them."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from typing import TYPE_CHECKING

from awscrt import checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def digest(data: bytes, algorithm: str) -> bytes:
    """The raw checksum of `data`; `algorithm` is a name in ALGORITHMS."""
    return digest_of_chunks([data], algorithm)


def digest_of_chunks(chunks: Iterable[bytes], algorithm: str) -> bytes:
    """The raw checksum of the concatenated chunks."""
    return ALGORITHMS[algorithm](chunks)


def encoded(raw: bytes) -> str:
    """The checksum in base64, as in S3's headers."""
    return base64.b64encode(raw).decode("ascii")


def _crc(update: Callable[[bytes, int], int], size: int, chunks: Iterable[bytes]) -> bytes:
    crc = 0
    for chunk in chunks:
        crc = update(chunk, crc)
    return crc.to_bytes(size, "big")


def _hashed(algorithm: str, chunks: Iterable[bytes]) -> bytes:
    checksum = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in chunks:
        checksum.update(chunk)
    return checksum.digest()


ALGORITHMS: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "CRC32": partial(_crc, checksums.crc32, 4),
    "CRC32C": partial(_crc, checksums.crc32c, 4),
    "CRC64NVME": partial(_crc, checksums.crc64nvme, 8),
    "SHA1": partial(_hashed, "sha1"),
    "SHA256": partial(_hashed, "sha256"),
}
"""The functions that compute them, by S3's names."""
