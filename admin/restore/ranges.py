"""Reads one version of an object in parallel ranges, and yields its bytes in order.

Memory is bounded: no range is requested while a window of ranges is waiting to be used.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

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

    S3's performance guidelines suggest 8 to 16 MiB and concurrent connections; each of them moves
    some 85 to 90 MB/s (S3 user guide, "Performance guidelines for Amazon S3"). A range is given up
    after this many attempts in a row without a byte, with growing pauses (seconds) between them.
    """

    range: int = 8 * MIB
    window: int = 24
    attempts: int = 8
    pause: float = 0.1


FULL_SPEED = Tuning()


def chunks(
    version: StoredVersion, tuning: Tuning, *, first: int = 0
) -> Generator[bytearray, None, None]:
    """The bytes from `first` on, in order. Close it if you stop before its end.

    Raises NotRestoredError if the object was replaced, NotFoundOutError if S3 cannot be reached,
    ClientError for what S3 denies.
    """
    stop = threading.Event()
    window: deque[Future[bytearray]] = deque()
    try:
        for start in range(first, version.size, tuning.range):
            if len(window) == tuning.window:
                yield window.popleft().result()
            end = min(start + tuning.range, version.size)
            window.append(_begin(_Reading(version, tuning, stop), start, end))
        while window:
            yield window.popleft().result()
    finally:
        stop.set()


def _begin(reading: "_Reading", first: int, end: int) -> Future[bytearray]:
    """Read a range in a thread that nobody has to wait for, even if its connection is stalled."""
    future: Future[bytearray] = Future()

    def read() -> None:
        try:
            future.set_result(reading.read(first, end))
        # It is raised again where the bytes are needed.
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    threading.Thread(target=read, name="range", daemon=True).start()
    return future


@dataclass(frozen=True)
class _Reading:
    version: StoredVersion
    tuning: Tuning
    stop: threading.Event

    def read(self, first: int, end: int) -> bytearray:
        """The bytes from `first` to `end` (excluded); a lost connection continues where it was."""
        data = bytearray()
        failures = 0
        while (length := len(data)) < end - first and not self.stop.is_set():
            try:
                for piece in self._pieces(first + length, end):
                    data += piece
                    if self.stop.is_set():
                        break
            except (BotoCoreError, ClientError) as error:
                if error_code(error) == "PreconditionFailed":
                    raise NotRestoredError(
                        f"{self.version.name} is not the same object as a moment ago: "
                        "somebody has replaced it. Run the same command again."
                    ) from None
                if not is_transient(error) and not isinstance(error, IncompleteReadError):
                    raise
                failures = 1 if len(data) > length else failures + 1
                if failures == self.tuning.attempts:
                    raise NotFoundOutError(
                        f"S3 cannot be read ({error}). Run the same command again later; a restore "
                        "to a file continues where it stopped."
                    ) from None
                self.stop.wait(min(self.tuning.pause * (1 << failures), LONGEST_PAUSE))
        return data

    def _pieces(self, first: int, end: int) -> Iterator[bytes]:
        version = self.version
        answer = version.vault.s3.get_object(
            **version.address, IfMatch=f'"{version.etag}"', Range=f"bytes={first}-{end - 1}"
        )
        if answer["ContentLength"] != end - first:
            raise NotFoundOutError(
                f"S3 returned {answer['ContentLength']:,} bytes of {version.name}, but was asked "
                f"for {end - first:,}; a proxy or a store other than S3 can do that"
            )
        yield from answer["Body"].iter_chunks(PIECE)
