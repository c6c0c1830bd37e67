"""Reads one version of an object in parallel ranges, and yields its bytes in order.

Memory is bounded: no range is requested while a window of ranges is waiting to be used. It is
reused, because allocating new memory takes longer than reading into it.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.stored import StoredVersion
from chalicelib.s3_errors import error_code, is_transient

MIB = 1024**2
# Bytes to read at a time. If the connection breaks, they are read again.
PIECE = MIB // 4
LONGEST_PAUSE = 10.0


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How an object is read: the bytes of a range, and how many ranges are in flight or waiting.

    S3's performance guidelines suggest 8 to 16 MiB and concurrent connections, each of which
    transfers some 85 to 90 MB/s (S3 user guide, "Performance guidelines for Amazon S3"). AWS's own
    client has 25 connections if it cannot tell how fast the network is. A range fails after this
    many attempts in a row without a byte, with growing pauses (seconds) between them.
    """

    range: int = 8 * MIB
    window: int = 32
    attempts: int = 8
    pause: float = 0.1


FULL_SPEED = Tuning()


def chunks(
    version: StoredVersion, tuning: Tuning, *, first: int = 0
) -> Generator[memoryview, None, None]:
    """The bytes from `first` on, in order. Close it if you stop before its end.

    A chunk is valid until the next one is requested; using it later raises ValueError.

    Raises NotRestoredError if the object was replaced, NotFoundOutError if S3 cannot be reached,
    and ClientError if S3 denies the request.
    """
    stop = threading.Event()
    reading = _Reading(version, tuning, stop)
    window: deque[Future[memoryview]] = deque()
    free: list[Any] = []

    def oldest() -> Iterator[memoryview]:
        chunk = window.popleft().result()
        yield chunk
        free.append(chunk.obj)
        chunk.release()

    try:
        for start in range(first, version.size, tuning.range):
            if len(window) == tuning.window:
                yield from oldest()
            buffer = free.pop() if free else bytearray(min(tuning.range, version.size - first))
            window.append(_begin(reading, start, memoryview(buffer)[: version.size - start]))
        while window:
            yield from oldest()
    finally:
        stop.set()


def _begin(reading: "_Reading", first: int, chunk: memoryview) -> Future[memoryview]:
    """Fill it in a thread that nothing has to wait for, even if its connection is stalled."""
    future: Future[memoryview] = Future()

    def fill() -> None:
        try:
            reading.fill(chunk, first)
            future.set_result(chunk)
        # The error is raised again where the bytes are needed.
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    threading.Thread(target=fill, name="range", daemon=True).start()
    return future


@dataclass(frozen=True)
class _Reading:
    version: StoredVersion
    tuning: Tuning
    stop: threading.Event

    def fill(self, chunk: memoryview, first: int) -> None:
        """Read the bytes from `first` on; after a lost connection, continue at the same place."""
        filled = failures = 0
        while filled < len(chunk) and not self.stop.is_set():
            before = filled
            try:
                body = self._request(first + filled, first + len(chunk))
                while filled < len(chunk) and not self.stop.is_set():
                    filled += body.readinto(chunk[filled : filled + PIECE])
            except (BotoCoreError, ClientError) as error:
                if error_code(error) == "PreconditionFailed":
                    raise NotRestoredError(
                        f"{self.version.name} is not the same object as a moment ago: "
                        "somebody has replaced it. Run the same command again."
                    ) from None
                if not is_transient(error) and not isinstance(error, IncompleteReadError):
                    raise
                failures = 1 if filled > before else failures + 1
                if failures == self.tuning.attempts:
                    raise NotFoundOutError(
                        f"S3 cannot be read ({error}). Run the same command again later; a restore "
                        "to a file continues where it stopped."
                    ) from None
                self.stop.wait(min(self.tuning.pause * (1 << failures), LONGEST_PAUSE))

    def _request(self, first: int, end: int) -> Any:
        """A stream of the bytes from `first` to `end` (excluded)."""
        version = self.version
        answer = version.vault.s3.get_object(
            **version.address, IfMatch=f'"{version.etag}"', Range=f"bytes={first}-{end - 1}"
        )
        if answer["ContentLength"] != end - first:
            raise NotFoundOutError(
                f"S3 returned {answer['ContentLength']:,} bytes of {version.name}, but "
                f"{end - first:,} were requested; a proxy or a store other than S3 can do that"
            )
        return answer["Body"]
