"""`backups restore` to a file: the file is complete and verified, or does not get its name."""

import re
from io import BytesIO
from random import Random
from typing import Any

import pytest
from botocore.response import StreamingBody

from tests.support.restoring import (
    DAILY,
    RANGE,
    TODAY,
    Restorer,
    damage,
    flip,
    interrupt_after,
    reading,
    store_in_parts,
)

BODY = Random(14).randbytes(12 * RANGE + 5)
FULL = ("latest", "--rule", DAILY)


def test_a_backup_comes_back_under_its_own_name(restore: Restorer) -> None:
    restore.store(BODY)
    result = restore(*FULL)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{TODAY}\n"
    assert restore.files() == {TODAY: BODY}
    assert re.fullmatch(
        "Stage dev, account 123456789012, region us-east-1\n"
        "2026-11-23.tar.gz.gpg: 197 bytes, stored 2026-11-23 12:30 UTC\n"
        r"Size and checksum \(CRC32:[^ ]{8}\) are right.\n"
        "To unpack it:\n\n"
        r"  mkdir restored && gpg --decrypt 2026-11-23.tar.gz.gpg \| tar -xzf - -C restored\n\n",
        result.stderr,
    )


@pytest.mark.parametrize(
    "size",
    [1, RANGE - 1, RANGE, RANGE + 1, 4 * RANGE - 1, 4 * RANGE, 4 * RANGE + 1, 40 * RANGE],
)
def test_each_byte_is_requested_once_and_restored_at_any_size(restore: Restorer, size: int) -> None:
    body = Random(size).randbytes(size)
    restore.store(body)
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: body}
    firsts = range(0, size, RANGE)
    assert restore.ranges() == [(first, min(first + RANGE, size) - 1) for first in firsts]


def test_each_range_is_pinned_to_the_version_and_its_bytes(restore: Restorer) -> None:
    version_id = restore.store(BODY)
    restore(*FULL)
    requests = [params for name, params in restore.wire.calls if name == "GetObject"]
    assert {request["VersionId"] for request in requests} == {version_id}
    assert {request["ExpectedBucketOwner"] for request in requests} == {"123456789012"}
    [etag] = {request["IfMatch"] for request in requests}
    assert etag.startswith('"')


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_each_checksum_is_compared(restore: Restorer, algorithm: str) -> None:
    restore.store(BODY, ChecksumAlgorithm=algorithm)
    result = restore(*FULL)
    assert result.exit_code == 0
    assert f"Size and checksum ({algorithm}:" in result.stderr


def test_a_file_of_another_name_and_directory(restore: Restorer) -> None:
    restore.store(BODY)
    (restore.folder / "there").mkdir()
    result = restore(*FULL, "-o", "there/it is.tar.gz.gpg")
    assert result.stdout == "there/it is.tar.gz.gpg\n"
    assert (restore.folder / "there" / "it is.tar.gz.gpg").read_bytes() == BODY
    assert "gpg --decrypt 'there/it is.tar.gz.gpg' |" in result.stderr


def test_a_named_version_is_restored(restore: Restorer) -> None:
    restore.store(b"the backup")
    other = restore.store(BODY)
    assert restore(*FULL, "--version-id", other).exit_code == 0
    assert restore.files() == {TODAY: BODY}


def test_a_backup_that_was_stored_without_versioning(restore: Restorer) -> None:
    restore.s3.create_bucket(Bucket="plain")
    restore.s3.put_object(Bucket="plain", Key=TODAY, Body=BODY)
    restore.wire.client.meta.events.register(
        "provide-client-params.s3", lambda params, **_: {**params, "Bucket": "plain"}
    )
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY}


# Damaged


def wrong(restore: Restorer, *arguments: str) -> str:
    result = restore(*FULL, *arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert restore.files() == {}
    assert f"Error: What was downloaded is not {TODAY}: its size or checksum" in result.stderr
    return result.stderr


def streaming(body: bytes, length: int | None = None) -> StreamingBody:
    return StreamingBody(BytesIO(body), len(body) if length is None else length)


def test_a_byte_flipped_in_a_range(restore: Restorer) -> None:
    restore.store(BODY)

    def change(number: int, answer: Any) -> None:
        if number == 7:
            answer["Body"] = streaming(flip(answer["Body"].read(), 3))

    with reading(restore, change):
        wrong(restore)
    assert restore(*FULL).exit_code == 0


@pytest.mark.parametrize(
    ("size", "position"),
    [(len(BODY), 0), (len(BODY), RANGE), (len(BODY), len(BODY) - 1), (RANGE, 0), (1, 0)],
)
def test_a_byte_flipped_in_the_store(restore: Restorer, size: int, position: int) -> None:
    restore.store(BODY[:size])
    damage(TODAY, flip(BODY[:size], position))
    wrong(restore)
    wrong(restore, "--unverified")


@pytest.mark.parametrize("position", [0, RANGE, 5 * RANGE - 1])
def test_a_byte_flipped_in_the_partial_file(restore: Restorer, position: int) -> None:
    restore.store(BODY)
    with reading(restore, interrupt_after(9)):
        restore(*FULL)
    partial = restore.partial()
    partial.write_bytes(flip(BODY[: 5 * RANGE], position))
    wrong(restore)
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY}


def test_a_partial_file_that_is_too_long(restore: Restorer) -> None:
    version_id = restore.store(BODY)
    (restore.folder / f"{TODAY}.{version_id}.partial").write_bytes(BODY + b"more")
    wrong(restore)
    assert restore.ranges() == []


def test_a_range_that_a_store_cuts_or_ignores(restore: Restorer) -> None:
    restore.store(BODY)

    def whole(number: int, answer: Any) -> None:
        answer["Body"], answer["ContentLength"] = streaming(BODY), len(BODY)

    with reading(restore, whole):
        result = restore(*FULL)
    assert result.exit_code == 3
    assert "S3 returned 197 bytes of 2026-11-23.tar.gz.gpg, but 16 were requested;" in result.stderr


# Without a checksum


def test_a_partial_file_that_is_too_long_is_wrong_without_a_checksum_too(
    restore: Restorer,
) -> None:
    store_in_parts(restore, BODY)
    restore(*FULL)
    with restore.partial().open("ab") as file:
        file.write(b"more")
    wrong(restore, "--unverified")


def test_size_only_is_status_3_and_names_no_file(restore: Restorer) -> None:
    store_in_parts(restore, BODY)
    result = restore(*FULL)
    assert result.exit_code == 3
    assert result.stdout == ""
    partial = restore.partial().name
    assert result.stderr.splitlines()[-1] == (
        f"Error: Size only: S3 has no checksum over all of {TODAY}, so its bytes are not verified. "
        f"It stays in {partial}; the same command with --unverified names it {TODAY}."
    )
    restore.wire.calls.clear()
    result = restore(*FULL, "--unverified")
    assert result.exit_code == 3
    assert result.stdout == f"{TODAY}\n"
    assert "Size only: S3 has no checksum" in result.stderr
    assert "are right" not in result.stderr
    assert restore.files() == {TODAY: BODY}
    assert restore.ranges() == []


def test_a_checksum_of_an_unknown_algorithm_is_none(restore: Restorer) -> None:
    restore.store(BODY)

    def change(parsed: Any, **_: Any) -> None:
        del parsed["ChecksumCRC32"]
        parsed["ChecksumFUTURE1"] = "x"

    restore.wire.client.meta.events.register("after-call.s3.HeadObject", change)
    result = restore(*FULL)
    assert result.exit_code == 3
    assert "Error: Size only: S3 has no checksum over all of" in result.stderr
