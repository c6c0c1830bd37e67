"""A stored version of any size, whose bytes are generated on request."""

import base64
import io
import threading
from datetime import UTC, datetime
from typing import Any

from awscrt import checksums

from admin.restore.stored import StoredVersion
from chalicelib.policy.decision import Checksum
from chalicelib.promotion.buckets import Vault

# The bytes repeat after this many, which divides the length of no range.
_BLOCK = bytes(range(251)) * 50_000


class SimulatedObject:
    """Replaces S3: responds to GetObject for ranges, and counts them.

    The first `zeros` bytes are zero. If it `is_stalled`, it prints that, and never responds.
    """

    def __init__(self, *, size: int, zeros: int = 0, is_stalled: bool = False) -> None:
        self.size = size
        self.requests = 0
        self._zeros = zeros
        self._is_stalled = is_stalled
        self._lock = threading.Lock()

    def version(self) -> StoredVersion:
        """The version, with the checksum of its bytes."""
        return StoredVersion(
            vault=Vault(s3=self, name="backups2"),  # type: ignore[arg-type]
            name="2026-11-23.tar.gz.gpg",
            version_id="version",
            etag="etag",
            size=self.size,
            stored=datetime(2026, 11, 23, tzinfo=UTC),
            checksum=self._checksum(),
        )

    def bytes(self, first: int, end: int) -> bytes:
        """The bytes from `first` to `end` (excluded)."""
        pieces = [bytes(max(0, min(end, self._zeros) - first))]
        first += len(pieces[0])
        while first < end:
            begin = first % len(_BLOCK)
            pieces.append(_BLOCK[begin : begin + end - first])
            first += len(pieces[-1])
        return b"".join(pieces)

    def get_object(self, *, Range: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - S3's name
        """Respond as S3 does."""
        with self._lock:
            self.requests += 1
        if self._is_stalled:
            print("stalled", flush=True)  # noqa: T201
            threading.Event().wait()
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        return {"Body": io.BytesIO(self.bytes(first, last + 1)), "ContentLength": last + 1 - first}

    @staticmethod
    def wait_for_ranges() -> None:
        """Return when all ranges that were started are complete."""
        for thread in threading.enumerate():
            if thread.name == "range":
                thread.join()

    def _checksum(self) -> Checksum:
        crc = 0
        for first in range(0, self.size, len(_BLOCK)):
            crc = checksums.crc64nvme(self.bytes(first, min(first + len(_BLOCK), self.size)), crc)
        value = base64.b64encode(crc.to_bytes(8, "big")).decode()
        return Checksum(algorithm="CRC64NVME", value=value)
