"""`backups verify --deep`: backups are decrypted and unpacked with real programs."""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from admin.restore.ranges import FULL_SPEED
from chalicelib.policy.file import parse_policy
from tests.admin.test_verify import DAY, Verifier, command, last_line, store, whats
from tests.support.keyring import ENCRYPT, new_keyring, run
from tests.support.restoring import (
    DAILY,
    HOURLY,
    NOW,
    TODAY,
    Restorer,
    damage,
    flip,
    restorer,
    store_in_parts,
    with_policy,
)

MIB = 1024**2
SQL = "2026-11-23.12.sql.gz.gpg"
LATEST = ("--deep", "latest", "--rule", DAILY)
NEWEST = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from new_keyring(tmp_path_factory)


@pytest.fixture
def own(keyring: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's keyring."""
    monkeypatch.setenv("GNUPGHOME", str(keyring))
    return keyring


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    (tmp_path / "empty").mkdir()
    yield from restorer(tmp_path / "empty", monkeypatch, tuning=FULL_SPEED)


@pytest.fixture
def deep(vault: Restorer, own: Path, monkeypatch: pytest.MonkeyPatch) -> Verifier:
    """Runs the command with the caller's keyring."""
    return command(monkeypatch, FULL_SPEED)


def archive(*sizes: int) -> bytes:
    """A tar archive with a directory and files of these sizes, dated an hour apart."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        folder = tarfile.TarInfo("site")
        folder.type, folder.mtime = tarfile.DIRTYPE, int((NEWEST + DAY).timestamp())
        tar.addfile(folder)
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"site/{number}")
            info.size = size
            info.mtime = int((NEWEST - number * timedelta(hours=1)).timestamp())
            tar.addfile(info, io.BytesIO(Random(number).randbytes(size)))
    return made.getvalue()


def encrypted(
    home: Path, body: bytes, how: str = "gpg --symmetric", compress: str = "gzip"
) -> bytes:
    return run(f"{compress} | {how}", home, input=body)


@pytest.mark.parametrize("how", ENCRYPT.values(), ids=ENCRYPT)
def test_an_archive_is_unpacked_and_nothing_touches_the_disk(
    vault: Restorer, deep: Verifier, own: Path, how: str
) -> None:
    store(vault, body=encrypted(own, archive(3 * MIB, 0, 5), how))
    result = deep(*LATEST)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        (
            f"{TODAY} can be unpacked: 3 files, 3,145,733 bytes; the newest file is from "
            "2026-11-23 02:15 UTC"
        ),
        "Verified 1 backup: no findings",
    ]
    assert re.search(f"Unpacking {TODAY} \\([0-9,]+ bytes\\)\n", result.stderr)
    assert vault.files() == {}


def test_a_dump_is_decompressed(vault: Restorer, deep: Verifier, own: Path) -> None:
    store(vault, body=encrypted(own, b"CREATE TABLE\n" * 10**5), name=SQL)
    result = deep("--deep", "latest", "--rule", HOURLY, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["unpacked"] == [
        {"name": SQL, "files": 1, "bytes": 1_300_000, "newest": None}
    ]


ENDINGS = {
    ".tar.gpg": "gpg --symmetric",
    ".tar.gz": "gzip",
    ".tar": "cat",
    ".tgz.gpg": "gzip | gpg --symmetric",
}


@pytest.mark.parametrize(("ending", "how"), ENDINGS.items(), ids=ENDINGS)
@pytest.mark.usefixtures("own")
def test_other_endings(
    vault: Restorer, deep: Verifier, monkeypatch: pytest.MonkeyPatch, ending: str, how: str
) -> None:
    body = run(how, Path(os.environ["GNUPGHOME"]), input=archive(5))
    stored = with_ending(vault, monkeypatch, ending, body)
    result = deep("--deep", "latest")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{stored} can be unpacked: 1 file, 5 bytes;")


def with_ending(vault: Restorer, monkeypatch: pytest.MonkeyPatch, ending: str, body: bytes) -> str:
    """Store a backup for a policy whose only rule has this ending. Returns its name."""
    policy = parse_policy(
        f'timezone = "Etc/UTC"\n[[rule]]\nupload = "b{ending}"\nstore_as = "%Y-%m-%d{ending}"\n'
    )
    with_policy(monkeypatch, rules=policy.rules)
    metadata = {"source-key": f"b{ending}", "source-last-modified": NOW.isoformat()}
    store(vault, name=f"2026-11-23{ending}", body=body, Metadata=metadata)
    return f"2026-11-23{ending}"


def test_each_server_and_rule(
    vault: Restorer, deep: Verifier, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(monkeypatch, servers=("web1", "db1"))
    for server in ("web1", "db1"):
        for name, key, body in ((TODAY, DAILY, archive(7)), (SQL, HOURLY, b"dump")):
            metadata = {
                "source-key": f"{server}/{key}",
                "source-last-modified": NOW.isoformat(),
            }
            whole = encrypted(own, body)
            store(vault, name=f"{server}/{name}", body=whole, Metadata=metadata)
    result = deep("--deep", "latest", "--each")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()[:-1]] == [
        f"{server}/{name}" for server in ("web1", "db1") for name in (TODAY, SQL)
    ]
    assert last_line(result) == "Verified 4 backups: no findings"
    vault.s3.delete_object(
        Bucket="backups2",
        Key=f"db1/{SQL}",
        VersionId=vault.s3.head_object(Bucket="backups2", Key=f"db1/{SQL}")["VersionId"],
    )
    result = deep("--deep", "latest", "--each")
    assert whats(result) == ["There is no backup of db1/sql.gz.gpg"]
    assert last_line(result) == "Verified 3 backups: 1 finding"


# Damaged


def test_a_byte_flipped_in_the_store(vault: Restorer, deep: Verifier, own: Path) -> None:
    body = encrypted(own, archive(MIB))
    store(vault, body=body)
    damage(TODAY, flip(body, len(body) // 2))
    [what] = whats(deep(*LATEST))
    assert what == f"{TODAY} is damaged: its bytes do not match the checksum that S3 has"


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_byte_flipped_before_it_was_uploaded(
    vault: Restorer, deep: Verifier, own: Path, part: float
) -> None:
    body = encrypted(own, archive(MIB))
    store(vault, body=flip(body, int(len(body) * part)))
    [what] = whats(deep(*LATEST))
    assert what.startswith(f"{TODAY} cannot be unpacked: gpg: ")


def test_a_byte_flipped_in_the_gzip_that_was_encrypted(
    vault: Restorer, deep: Verifier, own: Path
) -> None:
    body = run("gzip", own, input=archive(MIB))
    store(vault, body=encrypted(own, flip(body, len(body) - 6), compress="cat"))
    [what] = whats(deep(*LATEST))
    assert "cannot be unpacked" in what
    assert "gzip" in what


@pytest.mark.parametrize("length", [5000, 512 + 1024 + 3, 2 * 512, 512, 100, 0])
def test_a_truncated_archive(vault: Restorer, deep: Verifier, own: Path, length: int) -> None:
    store(vault, body=encrypted(own, archive(500, 50_000)[:length]))
    [what] = whats(deep(*LATEST))
    assert what.startswith(f"{TODAY} cannot be unpacked: ")


def test_a_truncated_upload(vault: Restorer, deep: Verifier, own: Path) -> None:
    body = encrypted(own, archive(MIB))
    store(vault, body=body[: len(body) // 2])
    [what] = whats(deep(*LATEST))
    assert what.startswith(f"{TODAY} cannot be unpacked: gpg: ")


def test_what_is_no_archive(vault: Restorer, deep: Verifier, own: Path) -> None:
    store(vault, body=encrypted(own, Random(1).randbytes(MIB)))
    [what] = whats(deep(*LATEST))
    assert what.startswith(f"{TODAY} cannot be unpacked: tar: ")


def test_what_is_not_encrypted(vault: Restorer, deep: Verifier) -> None:
    store(vault, body=b"not by gpg")
    [what] = whats(deep(*LATEST))
    assert what.startswith(f"{TODAY} cannot be unpacked: gpg: no valid OpenPGP data found.")


# What verify cannot detect


def not_found_out(result: Any) -> str:
    assert result.exit_code == 3, result.output
    [line] = [line for line in result.stdout.splitlines() if line.startswith("?")]
    return str(line)


def test_a_wrong_key(
    vault: Restorer,
    deep: Verifier,
    own: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = encrypted(own, archive(3 * MIB), ENCRYPT["public key"])
    store(vault, body=body)
    home = tmp_path_factory.mktemp("g", numbered=True)
    home.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    line = not_found_out(deep(*LATEST))
    assert line.startswith(f"? Could not check {TODAY} cannot be decrypted here: gpg: ")
    assert "No secret key" in line


def test_a_wrong_passphrase(
    vault: Restorer,
    deep: Verifier,
    own: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store(vault, body=encrypted(own, archive(MIB)))
    home = tmp_path_factory.mktemp("g", numbered=True)
    home.chmod(0o700)
    (home / "gpg.conf").write_text("batch\npinentry-mode loopback\npassphrase wrong\n")
    monkeypatch.setenv("GNUPGHOME", str(home))
    assert "cannot be decrypted here: gpg: " in not_found_out(deep(*LATEST))
    run("gpgconf --kill all", home)


def test_missing_gpg(
    vault: Restorer, deep: Verifier, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(vault, body=encrypted(own, archive(5)))
    monkeypatch.setenv("PATH", "/nowhere")
    assert not_found_out(deep(*LATEST)) == (
        "? Could not check gpg is not installed; install it first"
    )


def test_an_archived_backup(vault: Restorer, deep: Verifier) -> None:
    store(vault, StorageClass="DEEP_ARCHIVE")
    assert "is archived in DEEP_ARCHIVE; `backups restore` retrieves" in not_found_out(
        deep(*LATEST)
    )


def test_without_a_checksum_gpg_and_gzip_decide(vault: Restorer, deep: Verifier, own: Path) -> None:
    store_in_parts(vault, encrypted(own, archive(5)))
    result = deep(*LATEST)
    # Another finding, because it was not stored by the promoter.
    assert f"{TODAY} can be unpacked: 1 file, 5 bytes" in result.stdout
