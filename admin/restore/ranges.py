"""Reads one version of an object in parallel ranges, and yields its bytes in order.

Memory is bounded: no range is requested while a window of ranges is waiting to be used.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from chalicelib.policy.decision import Checksum
from chalicelib.s3_errors import error_code

MIB = 1024**2
RANGE = 8 * MIB
# S3's performance guidelines suggest 8 to 16 MiB and concurrent connections; one of them moves some
# 85 to 90 MB/s (S3 user guide, "Performance guidelines for Amazon S3").
STREAMS = 16
# Ranges that are requested or wait to be used: some more than are requested at a time.
WINDOW = 24
# Bytes between two looks at whether the caller has stopped.
PIECE = MIB
ATTEMPTS, LONGEST_PAUSE = 8, 10.0


class ReplacedError(Exception):
    """The object's version has other bytes than before."""


class LostConnectionError(Exception):
    """S3 could not be read, after several attempts."""


@dataclass(frozen=True, kw_only=True)
class StoredVersion:
    """One version of a stored object. `checksum` is over the whole object (None: S3 has none)."""

    s3: Any
    args: dict[str, Any]
    name: str
    version_id: str | None
    etag: str
    size: int
    checksum: Checksum | None = None

    @property
    def address(self) -> dict[str, Any]:
        """The arguments of every request about this version."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {**self.args, "Key": self.name, **version}

    def chunks(self, first: int = 0) -> Iterator[bytes]:
        """The bytes from `first` on, in order.

        Raises ReplacedError or LostConnectionError; ClientError for what S3 denies.
        """
        stop = threading.Event()
        pool = ThreadPoolExecutor(STREAMS)
        window: deque[Future[bytes]] = deque()
        try:
            for start in range(first, self.size, RANGE):
                if len(window) == WINDOW:
                    yield window.popleft().result()
                end = min(start + RANGE, self.size)
                window.append(pool.submit(self._read, start, end, stop))
            while window:
                yield window.popleft().result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def _read(self, first: int, end: int, stop: threading.Event) -> bytes:
        """The bytes from `first` to `end` (excluded). A lost connection continues where it was."""
        data = bytearray()
        lost: Exception | None = None
        for attempt in range(ATTEMPTS):
            try:
                for piece in self._pieces(first + len(data), end):
                    data += piece
                    if stop.is_set():
                        return b""
            except _LOST as error:
                lost = error
            except ClientError as error:
                if error_code(error) == "PreconditionFailed":
                    raise ReplacedError from error
                if error_code(error) not in _BUSY:
                    raise
                lost = error
            else:
                return bytes(data)
            if stop.wait(min(0.1 * (1 << attempt), LONGEST_PAUSE)):
                return b""
        raise LostConnectionError(str(lost)) from lost

    def _pieces(self, first: int, end: int) -> Iterator[bytes]:
        answer = self.s3.get_object(
            **self.address, IfMatch=f'"{self.etag}"', Range=f"bytes={first}-{end - 1}"
        )
        yield from answer["Body"].iter_chunks(PIECE)


_LOST = (HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
# botocore has retried these a few times.
_BUSY = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503"}
)
