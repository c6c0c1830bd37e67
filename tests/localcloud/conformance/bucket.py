"""A bucket of the tested S3, and the checks that tests repeat."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError

WRITERS = 16
ACCOUNT = "123456789012"
STRANGER = "999999999999"

# The usual check input for CRCs.
DIGITS = b"123456789"
CHECKSUMS = {
    "CRC32": base64.b64encode(0xCBF43926.to_bytes(4, "big")).decode(),
    "CRC32C": base64.b64encode(0xE3069283.to_bytes(4, "big")).decode(),
    "CRC64NVME": base64.b64encode(0xAE8B14860A799888.to_bytes(8, "big")).decode(),
    "SHA1": base64.b64encode(hashlib.sha1(DIGITS, usedforsecurity=False).digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(DIGITS).digest()).decode(),
}
WRONG = {
    name: base64.b64encode(bytes(len(base64.b64decode(CHECKSUMS[name])))).decode()
    for name in CHECKSUMS
}


class Store:
    """A bucket and its client, with the requests that tests repeat."""

    def __init__(self, s3: Any, bucket: str, *, part_bytes: int) -> None:
        self.s3, self.bucket, self.part_bytes = s3, bucket, part_bytes

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call = getattr(self.s3, operation)
        return lambda **arguments: call(**({"Bucket": self.bucket} | arguments))

    def put(self, key: str, body: bytes = b"one", **more: Any) -> Any:
        return self.put_object(Key=key, Body=body, **more)

    def body(self, key: str, **more: Any) -> bytes:
        return bytes(self.get_object(Key=key, **more)["Body"].read())

    def source(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": key}

    def copy(self, source: str, key: str, **more: Any) -> Any:
        return self.copy_object(CopySource=self.source(source), Key=key, **more)

    def begin(self, key: str, **more: Any) -> dict[str, str]:
        upload = self.create_multipart_upload(Key=key, **more)
        return {"Key": key, "UploadId": upload["UploadId"]}

    def parts(self, upload: dict[str, str], *bodies: bytes, first: int = 1, **more: Any) -> Any:
        """Uploads the bodies; returns the MultipartUpload argument that completes the upload."""
        parts = []
        for number, body in enumerate(bodies, first):
            answer = self.upload_part(**upload, PartNumber=number, Body=body, **more)
            sums = {
                n: v for n, v in answer.items() if n.startswith("Checksum") and n != "ChecksumType"
            }
            parts.append({"PartNumber": number, "ETag": answer["ETag"]} | sums)
        return {"Parts": parts}

    def version(self, key: str) -> str:
        return str(self.head_object(Key=key)["VersionId"])


@contextmanager
def refused(status: int, code: str | None = None) -> Iterator[ClientError]:
    """Expect this error from the block; for HEAD, the code of an error is only its status."""
    with pytest.raises(ClientError) as caught:
        yield caught  # type: ignore[misc]
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer
    assert answer["Error"]["Code"] == (code or str(status))


def race(attempts: list[Callable[[], Any]]) -> list[str]:
    """Runs all functions at the same time; returns `won` or the error code of each."""
    start = Barrier(len(attempts))

    def run(attempt: Callable[[], Any]) -> str:
        start.wait()
        try:
            attempt()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "won"

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(run, attempts))


def assert_one_winner(words: list[str]) -> None:
    assert words.count("won") == 1, words
    assert set(words) <= {"won", "PreconditionFailed", "ConditionalRequestConflict"}


@contextmanager
def without_checksums(store: Store) -> Iterator[Store]:
    """The bucket through a client that, like old ones, neither sends nor requests checksums."""
    settings = store.s3.meta.config
    old = settings.request_checksum_calculation, settings.response_checksum_validation
    settings.request_checksum_calculation = "when_required"
    settings.response_checksum_validation = "when_required"
    yield store
    settings.request_checksum_calculation, settings.response_checksum_validation = old
