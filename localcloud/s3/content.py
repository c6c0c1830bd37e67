"""The bytes of objects: copies and multipart uploads share them instead of copying."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Self

from moto.s3.models import FakeKey
from moto.settings import get_s3_default_key_buffer_size

from localcloud.s3.checksums import digest_of_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localcloud.s3.retrievals import Retrieval

CHUNK_BYTES = 1024 * 1024
"""Bytes read at a time: few enough for a processor's cache, and to let other threads run."""


class Blob:
    """Immutable bytes: in memory or, if there are many, in an unnamed temporary file."""

    def __init__(self, body: bytes) -> None:
        self.size = len(body)
        self.digests: dict[str, bytes] = {}
        self._in_memory = body
        self._file = None
        if self.size > get_s3_default_key_buffer_size():
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as the blob
            self._in_memory = b""
            unwritten = memoryview(body)
            while unwritten:
                unwritten = unwritten[self._file.write(unwritten) :]

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, start: int, stop: int) -> bytes:
        if self._file is None:
            return self._in_memory[start:stop]
        # Unlike seek and read, this is safe in several threads at once.
        return os.pread(self._file.fileno(), stop - start, start)


@dataclass(frozen=True)
class Piece:
    """A range of a blob's bytes."""

    blob: Blob
    start: int
    stop: int


@dataclass(frozen=True)
class Content:
    """The bytes of an object, as pieces of blobs."""

    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, body: bytes) -> Content:
        return cls((Piece(Blob(body), 0, len(body)),))

    @classmethod
    def joined(cls, contents: Iterable[Content]) -> Content:
        """The concatenation; adjacent pieces of the same blob become one piece again."""
        pieces: list[Piece] = []
        for piece in (piece for content in contents for piece in content.pieces):
            last = pieces[-1] if pieces else None
            if last and last.blob is piece.blob and last.stop == piece.start:
                pieces[-1] = Piece(piece.blob, last.start, piece.stop)
            else:
                pieces.append(piece)
        return cls(tuple(pieces))

    @property
    def size(self) -> int:
        return sum(piece.stop - piece.start for piece in self.pieces)

    def __len__(self) -> int:
        """The number of bytes."""
        return self.size

    def __getitem__(self, piece: slice) -> bytes:
        """The bytes of a range, without reading the others."""
        first, end, _ = piece.indices(self.size)
        return self.cut(first, end - 1).read()

    def cut(self, first: int, last: int) -> Content:
        """The bytes from `first` to `last`, both included."""
        pieces, offset = [], 0
        for piece in self.pieces:
            start = max(piece.start, piece.start + first - offset)
            stop = min(piece.stop, piece.start + last + 1 - offset)
            if start < stop:
                pieces.append(Piece(piece.blob, start, stop))
            offset += piece.stop - piece.start
        return Content(tuple(pieces))

    def chunks(self) -> Iterator[bytes]:
        for piece in self.pieces:
            for start in range(piece.start, piece.stop, CHUNK_BYTES):
                yield piece.blob.read(start, min(start + CHUNK_BYTES, piece.stop))

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def md5(self) -> str:
        """The MD5 in hexadecimal, as in ETags."""
        checksum = hashlib.md5(usedforsecurity=False)
        for chunk in self.chunks():
            checksum.update(chunk)
        return checksum.hexdigest()

    def digest(self, algorithm: str) -> bytes:
        """The checksum; it is computed only once if the content is a whole blob."""
        whole = self.pieces[0] if len(self.pieces) == 1 else None
        if whole is None or (whole.start, whole.stop) != (0, whole.blob.size):
            return digest_of_chunks(self.chunks(), algorithm)
        if algorithm not in whole.blob.digests:
            whole.blob.digests[algorithm] = digest_of_chunks(self.chunks(), algorithm)
        return whole.blob.digests[algorithm]


class StoredKey(FakeKey):
    """An object or a part of an upload; others may share its bytes."""

    content: Content
    retrieval: Retrieval | None = None

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Do not track it: moto keeps every key ever created, to close its file at the end."""
        return object.__new__(cls)

    def dispose(self, garbage: bool = False) -> None:  # noqa: FBT001, FBT002 - moto's signature
        """Keep the bytes: an overwritten object may still be read."""

    @property
    def response_dict(self) -> dict[str, Any]:
        """The headers that describe it, including those of a retrieval."""
        shown = self.retrieval.header if self.retrieval else None
        return super().response_dict | ({"x-amz-restore": shown} if shown else {})

    @property
    def value(self) -> bytes:
        return self.content.read()

    @value.setter
    def value(self, content: Content) -> None:
        self._value_buffer.close()  # where moto keeps the bytes
        self.content = content
        self.contentsize = content.size
