"""The checksum of bytes that arrive in order, by S3's names of the algorithms."""

import base64
import hashlib
from collections.abc import Callable

from awscrt import checksums

from chalicelib.policy.decision import Checksum

_CRCS: dict[str, tuple[Callable[[bytes, int], int], int]] = {
    "CRC32": (checksums.crc32, 4),
    "CRC32C": (checksums.crc32c, 4),
    "CRC64NVME": (checksums.crc64nvme, 8),
}


class RunningChecksum:
    """Adds up bytes, and compares them with the checksum that S3 has of the whole object."""

    def __init__(self, expected: Checksum) -> None:
        """Raises KeyError for an algorithm that S3 does not have."""
        self.expected = expected
        self._crc = 0
        name = expected.algorithm
        self._hash = None if name in _CRCS else hashlib.new(_HASHES[name], usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        if self._hash:
            self._hash.update(data)
        else:
            update, _ = _CRCS[self.expected.algorithm]
            self._crc = update(data, self._crc)

    @property
    def matches(self) -> bool:
        """Whether the bytes so far are those of the object."""
        if self._hash:
            digest = self._hash.digest()
        else:
            digest = self._crc.to_bytes(_CRCS[self.expected.algorithm][1], "big")
        return base64.b64encode(digest).decode() == self.expected.value


_HASHES = {"SHA1": "sha1", "SHA256": "sha256"}
