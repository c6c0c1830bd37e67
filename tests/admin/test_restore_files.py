"""`backups restore` to a file: which files it writes, without ever overwriting another."""

import errno
import os
from random import Random
from typing import Any

import pytest

from admin.restore import partial as partials
from tests.support.restoring import (
    DAILY,
    RANGE,
    TODAY,
    Restorer,
    damage,
    flip,
    interrupt_after,
    reading,
)

BODY = Random(14).randbytes(12 * RANGE + 5)
FULL = ("latest", "--rule", DAILY)


def test_an_existing_file_is_refused_before_any_request(restore: Restorer) -> None:
    restore.store(BODY)
    (restore.folder / "mine").write_bytes(b"mine")
    result = restore(*FULL, "-o", "mine")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: mine exists; choose another file with -o, or overwrite it with --force\n"
    )
    assert restore.wire.sent == []
    assert restore.files() == {"mine": b"mine"}


def test_an_existing_file_is_refused_before_the_first_range(restore: Restorer) -> None:
    restore.store(BODY)
    (restore.folder / TODAY).write_bytes(b"mine")
    result = restore(*FULL)
    assert result.exit_code == 2
    assert f"Error: {TODAY} exists; choose another file" in result.stderr
    assert restore.ranges() == []
    assert restore.files() == {TODAY: b"mine"}
    assert restore(*FULL, "--force").exit_code == 0
    assert restore.files() == {TODAY: BODY}


def test_force_overwrites_only_with_what_is_right(restore: Restorer) -> None:
    restore.store(BODY)
    damage(TODAY, flip(BODY, 0))
    (restore.folder / TODAY).write_bytes(b"mine")
    assert restore(*FULL, "--force").exit_code == 1
    assert restore.files() == {TODAY: b"mine"}


def test_a_file_that_appears_meanwhile_is_not_overwritten(restore: Restorer) -> None:
    restore.store(BODY)

    def appear(number: int, answer: Any) -> None:
        (restore.folder / TODAY).write_bytes(b"mine")

    with reading(restore, appear):
        result = restore(*FULL)
    assert result.exit_code == 2
    assert restore.files() == {TODAY: b"mine", restore.partial().name: BODY}
    assert f"--force. The backup is in {restore.partial().name}." in result.stderr


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("nowhere/file", "There is no directory nowhere; create it first"),
        (".", "is not a regular file; choose another one with -o"),
        ("/dev/null", "/dev/null is not a regular file; choose another one with -o"),
        ("x" * 256, "x is too long for the name of a file; choose another one with -o"),
    ],
)
def test_an_impossible_file_is_refused_before_any_request(
    restore: Restorer, output: str, sentence: str
) -> None:
    result = restore(*FULL, "-o", output, "--force")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert restore.wire.sent == []


def test_a_read_only_directory_is_refused_before_the_first_range(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore.store(BODY)
    # Root can write into any directory.
    monkeypatch.setattr(partials.os, "access", lambda path, mode: mode != os.W_OK | os.X_OK)
    result = restore(*FULL)
    assert result.exit_code == 2
    assert "Error: You cannot write into the directory .; choose a file with -o" in result.stderr
    assert restore.ranges() == []


def test_too_little_disk_is_reported_before_the_first_range(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore.store(BODY)
    monkeypatch.setattr(
        partials.shutil, "disk_usage", lambda folder: partials.shutil._ntuple_diskusage(9, 9, 196)
    )
    result = restore(*FULL)
    assert result.exit_code == 2
    assert "has 196 bytes free, but the backup needs 197 more; free some, or" in result.stderr
    assert restore.files() == {}


def test_what_is_on_the_disk_already_needs_no_room(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_id = restore.store(BODY)
    (restore.folder / f"{TODAY}.{version_id}.partial").write_bytes(BODY[:1])
    monkeypatch.setattr(
        partials.shutil, "disk_usage", lambda folder: partials.shutil._ntuple_diskusage(9, 9, 196)
    )
    assert restore(*FULL).exit_code == 0


def test_a_disk_that_fills_up_keeps_what_is_there(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore.store(BODY)

    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("admin.restore.to_file.os.fsync", full)
    result = restore(*FULL)
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == (
        "Error: No space left on device (free some first): run the same command again; a restore "
        "to a file continues where it stopped."
    )
    assert TODAY not in restore.files()


def test_a_name_that_is_too_long_with_its_version(restore: Restorer) -> None:
    restore.store(BODY)
    output = "x" * 230
    with reading(restore, interrupt_after(9)):
        assert restore(*FULL, "-o", output).exit_code == 130
    there = restore.partial().stat().st_size
    assert there
    restore.wire.calls.clear()
    assert restore(*FULL, "-o", output).exit_code == 0
    assert restore.ranges()[0][0] == there
    assert restore.files() == {output: BODY}


def test_a_file_system_without_links(restore: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    restore.store(BODY)
    monkeypatch.setattr(partials.os, "link", no_links)
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY}
