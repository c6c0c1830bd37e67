"""The parts of `backups restore` that only compute: checksums, and the next command."""

import base64
import hashlib
import subprocess
import sys
import zlib
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from awscrt import checksums
from botocore.loaders import Loader

from admin.restore.checksums import ALGORITHMS, RunningChecksum
from admin.restore.next_step import next_step
from admin.restore.progress import progress
from admin.restore.ranges import MIB
from chalicelib.policy.decision import Checksum

BODY = Random(3).randbytes(1000)
RAW = {
    "CRC32": zlib.crc32(BODY).to_bytes(4, "big"),
    "CRC32C": checksums.crc32c(BODY).to_bytes(4, "big"),
    "CRC64NVME": checksums.crc64nvme(BODY).to_bytes(8, "big"),
    "MD5": hashlib.md5(BODY).digest(),
    "SHA1": hashlib.sha1(BODY).digest(),
    "SHA256": hashlib.sha256(BODY).digest(),
    "SHA512": hashlib.sha512(BODY).digest(),
    "XXHASH64": checksums.XXHash.compute_xxhash64(BODY),
    "XXHASH3": checksums.XXHash.compute_xxhash3_64(BODY),
    "XXHASH128": checksums.XXHash.compute_xxhash3_128(BODY),
}


def test_every_algorithm_of_s3_is_supported() -> None:
    model = Loader().load_service_model("s3", "service-2")
    assert set(model["shapes"]["ChecksumAlgorithm"]["enum"]) == ALGORITHMS.keys() == RAW.keys()


@pytest.mark.parametrize("algorithm", sorted(RAW))
@pytest.mark.parametrize("size", [1, 7, 999, 1000])
def test_bytes_in_pieces_have_the_checksum_of_the_whole(algorithm: str, size: int) -> None:
    expected = Checksum(algorithm=algorithm, value=base64.b64encode(RAW[algorithm]).decode())
    right, wrong = RunningChecksum(expected), RunningChecksum(expected)
    for first in range(0, len(BODY), size):
        right.update(bytearray(BODY[first : first + size]))
        wrong.update(bytearray(BODY[first : first + size])[::-1] + b"1" * (size == 1))
    assert right.matches()
    assert not wrong.matches()


@pytest.mark.parametrize(
    ("file", "command"),
    [
        (
            "2026-11-20.tar.gz.gpg",
            "mkdir restored && gpg --decrypt 2026-11-20.tar.gz.gpg | tar -xzf - -C restored",
        ),
        ("a.tar.gpg", "mkdir restored && gpg --decrypt a.tar.gpg | tar -xf - -C restored"),
        (
            "a.tar.zst.pgp",
            "mkdir restored && gpg --decrypt a.tar.zst.pgp | unzstd | tar -xf - -C restored",
        ),
        ("a.sql.gz.gpg", "gpg --decrypt a.sql.gz.gpg | gunzip >a.sql"),
        ("a.sql.asc", "gpg --decrypt a.sql.asc >a.sql"),
        ("a.tgz", "mkdir restored && tar -xzf - -C restored <a.tgz"),
        ("a.tar.xz", "mkdir restored && tar -xJf - -C restored <a.tar.xz"),
        ("a.sql.gz", "gunzip <a.sql.gz >a.sql"),
        ("it is/a.sql.gpg", "gpg --decrypt 'it is/a.sql.gpg' >'it is/a.sql'"),
        ("a.sql", ""),
        ("a.zip", ""),
    ],
)
def test_the_next_command_follows_from_the_name(file: str, command: str) -> None:
    assert next_step(file) == command


@pytest.mark.parametrize(
    ("pack", "unpacked"),
    [
        ("tar -czf packed.tar.gz file", "restored/file"),
        ("tar -cjf packed.tar.bz2 file", "restored/file"),
        ("tar -cJf packed.tar.xz file", "restored/file"),
        ("tar -cf packed.tar file", "restored/file"),
        ("tar -czf packed.tgz file", "restored/file"),
        ("gzip <file >packed.sql.gz", "packed.sql"),
    ],
)
def test_the_next_command_unpacks(pack: str, unpacked: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BODY)
    subprocess.run(["sh", "-c", pack], cwd=tmp_path, check=True)
    [packed] = tmp_path.glob("packed.*")
    subprocess.run(["sh", "-c", next_step(packed.name)], cwd=tmp_path, check=True)
    assert (tmp_path / unpacked).read_bytes() == BODY


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("kind", "is_shown"), [(Terminal, True), (StringIO, False)])
def test_a_terminal_shows_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, kind: type[StringIO], *, is_shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = kind()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress(10 * MIB) as advance:
        advance(5 * MIB)
    assert ("5.0/10.0 MiB" in stderr.getvalue()) is is_shown
    assert bool(stderr.getvalue()) is is_shown
