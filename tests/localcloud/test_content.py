"""The bytes of objects: shared by copies, and read in chunks."""

import gc
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from random import Random
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.s3.models import s3_backends

from localcloud.s3 import content as contents
from localcloud.s3.backend import corrected
from localcloud.s3.checksums import ALGORITHMS, digest
from localcloud.s3.content import Blob, Content

MIB = 1024 * 1024
BODY = Random(7).randbytes(10_000)


@pytest.fixture(params=["in memory", "in a file"])
def blobs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, and blobs of either kind."""
    limit = "1000000" if request.param == "in memory" else "100"
    monkeypatch.setenv("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", limit)
    monkeypatch.setattr(contents, "CHUNK_BYTES", 999)


@pytest.mark.usefixtures("blobs")
def test_cut_and_joined_content_has_the_expected_bytes() -> None:
    random = Random(8)
    other = BODY[::-1]
    content = Content.joined([Content.of(BODY), Content.of(other)])
    body = BODY + other
    for _ in range(200):
        first, last = sorted(random.sample(range(len(body)), 2))
        cut = content.cut(first, last)
        assert cut.read() == body[first : last + 1]
        assert (cut.size, cut.md5()) == (last + 1 - first, md5(cut.read()).hexdigest())
        within = random.randrange(cut.size)
        assert cut.cut(within, within).read() == body[first + within : first + within + 1]


@pytest.mark.usefixtures("blobs")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_is_the_same_in_chunks_and_in_pieces(algorithm: str) -> None:
    content = Content.of(BODY)
    pieces = Content.joined([Content.of(BODY[:4321]), content.cut(4321, len(BODY) - 1)])
    assert content.digest(algorithm) == pieces.digest(algorithm) == digest(BODY, algorithm)
    assert content.cut(5, 3000).digest(algorithm) == digest(BODY[5:3001], algorithm)


def test_adjacent_parts_of_an_object_become_a_single_piece() -> None:
    content = Content.of(BODY)
    parts = [content.cut(first, first + 999) for first in range(0, len(BODY), 1000)]
    assert Content.joined(parts) == content
    assert Content.joined(reversed(parts)) != content


def test_content_can_be_empty() -> None:
    empty = Content.of(b"")
    assert (empty.size, empty.read(), empty.digest("CRC32")) == (0, b"", bytes(4))
    assert Content.joined([empty, Content.of(BODY), empty]).read() == BODY


# Large objects


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A client of an S3 in this process, with the bucket `backups`."""
    with mock_aws(), corrected():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="backups")
        yield s3


def copy_in_parts(s3: Any, *, size: int, part: int) -> None:
    """Copies `large` to `copied`, eight parts at a time."""
    upload = {"Bucket": "backups", "Key": "copied"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]

    def copy(number: int) -> dict[str, Any]:
        first = (number - 1) * part
        answer = s3.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource="backups/large",
            CopySourceRange=f"bytes={first}-{min(first + part, size) - 1}",
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(copy, range(1, -(-size // part) + 1)))
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("limit", ["1000000000", "1000000"], ids=["in memory", "in a file"])
def test_a_multipart_copy_needs_little_memory_besides_the_object(
    bucket: Any, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", limit)
    size = 64 * MIB
    bucket.put_object(Bucket="backups", Key="large")
    # A real upload of this size would take seconds, most of them in the client.
    stored = s3_backends["123456789012"]["aws"].buckets["backups"].keys["large"]
    stored.value = Content.of(bytes(size))
    tracemalloc.start()
    try:
        copy_in_parts(bucket, size=size, part=4 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 2
    copied = bucket.head_object(Bucket="backups", Key="copied")
    assert copied["ContentLength"] == size


def test_other_requests_are_served_while_a_large_object_is_completed(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_object(Bucket="backups", Key="large", Body=BODY)
    reading, answered = threading.Event(), threading.Event()
    read = Content.digest

    def slow(self: Content, algorithm: str) -> bytes:
        reading.set()
        assert answered.wait(10)
        return read(self, algorithm)

    monkeypatch.setattr(Content, "digest", slow)
    with ThreadPoolExecutor(1) as pool:
        copy = pool.submit(copy_in_parts, bucket, size=len(BODY), part=1000)
        assert reading.wait(10)
        bucket.head_object(Bucket="backups", Key="large")
        [listed] = bucket.list_objects_v2(Bucket="backups")["Contents"]
        answered.set()
        copy.result()
    assert listed["Key"] == "large"


def test_an_objects_bytes_are_read_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = Blob.read

    def counted(self: Blob, start: int, stop: int) -> bytes:
        read.append(stop - start)
        return plain(self, start, stop)

    monkeypatch.setattr(Blob, "read", counted)
    content = Content.of(bytes(3 * MIB + 1))
    content.md5()
    content.digest("CRC64NVME")
    assert read == 2 * [MIB, MIB, MIB, 1]
    # The checksum is known by now, also for a multipart copy.
    Content.joined([content.cut(0, MIB), content.cut(MIB + 1, 3 * MIB)]).digest("CRC64NVME")
    assert len(read) == 8


def test_a_removed_object_is_gone_from_memory(bucket: Any) -> None:
    bucket.put_object(Bucket="backups", Key="key", Body=BODY)
    stored = s3_backends["123456789012"]["aws"].buckets["backups"].keys["key"]
    blob = weakref.ref(stored.content.pieces[0].blob)
    del stored
    bucket.delete_object(Bucket="backups", Key="key")
    gc.collect()
    assert blob() is None
