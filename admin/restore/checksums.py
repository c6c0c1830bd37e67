"""Computes a checksum incrementally; by S3's name of the algorithm."""

import base64
import hashlib
from collections.abc import Callable
from typing import Protocol

from awscrt import checksums

from chalicelib.policy.decision import Checksum


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...
    def digest(self) -> bytes: ...


class RunningChecksum:
    """Computes the checksum of an object's bytes, and compares it with the one that S3 has."""

    def __init__(self, expected: Checksum) -> None:
        """Raises KeyError for an algorithm that is not in ALGORITHMS."""
        self._expected = expected.value
        self._hash = ALGORITHMS[expected.algorithm]()

    def update(self, data: memoryview) -> None:
        """Add the next bytes."""
        self._hash.update(data)

    def matches(self) -> bool:
        """Whether the bytes so far have the object's checksum. Ends the computation."""
        return base64.b64encode(self._hash.digest()).decode() == self._expected


class _Crc:
    def __init__(self, update: Callable[[memoryview, int], int], size: int) -> None:
        self._update, self._size, self._crc = update, size, 0

    def update(self, data: memoryview) -> None:
        self._crc = self._update(data, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(self._size, "big")


class _XxHash:
    def __init__(self, xxhash: checksums.XXHash) -> None:
        self._xxhash, self.digest = xxhash, xxhash.finalize

    def update(self, data: memoryview) -> None:
        # Unlike its other functions, awscrt's XXHash takes only read-only bytes.
        self._xxhash.update(bytes(data))


def _hash(name: str) -> Callable[[], _Hash]:
    return lambda: hashlib.new(name, usedforsecurity=False)


# All algorithms that S3 supports (API reference, "Checksum"): the uploader chooses.
ALGORITHMS: dict[str, Callable[[], _Hash]] = {
    "CRC32": lambda: _Crc(checksums.crc32, 4),
    "CRC32C": lambda: _Crc(checksums.crc32c, 4),
    "CRC64NVME": lambda: _Crc(checksums.crc64nvme, 8),
    "MD5": _hash("md5"),
    "SHA1": _hash("sha1"),
    "SHA256": _hash("sha256"),
    "SHA512": _hash("sha512"),
    "XXHASH64": lambda: _XxHash(checksums.XXHash.new_xxhash64()),
    "XXHASH3": lambda: _XxHash(checksums.XXHash.new_xxhash3_64()),
    "XXHASH128": lambda: _XxHash(checksums.XXHash.new_xxhash3_128()),
}
