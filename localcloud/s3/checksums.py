"""The checksums S3 knows: moto answers with CRC32 for some of them."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from typing import TYPE_CHECKING

from awscrt import checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def digest(data: bytes, algorithm: str) -> bytes:
    """The raw checksum of `data`; `algorithm` is one of ALGORITHMS."""
    return digest_of_chunks([data], algorithm)


def digest_of_chunks(chunks: Iterable[bytes], algorithm: str) -> bytes:
    """The raw checksum of the chunks in a row."""
    return ALGORITHMS[algorithm](chunks)


def encoded(raw: bytes) -> str:
    """A checksum as S3's headers carry it: base64."""
    return base64.b64encode(raw).decode("ascii")


def _crc(continued: Callable[[bytes, int], int], size: int, chunks: Iterable[bytes]) -> bytes:
    crc = 0
    for chunk in chunks:
        crc = continued(chunk, crc)
    return crc.to_bytes(size, "big")


def _hashed(algorithm: str, chunks: Iterable[bytes]) -> bytes:
    digested = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in chunks:
        digested.update(chunk)
    return digested.digest()


ALGORITHMS: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "CRC32": partial(_crc, checksums.crc32, 4),
    "CRC32C": partial(_crc, checksums.crc32c, 4),
    "CRC64NVME": partial(_crc, checksums.crc64nvme, 8),
    "SHA1": partial(_hashed, "sha1"),
    "SHA256": partial(_hashed, "sha256"),
}
"""S3's name of an algorithm, and what computes it."""
