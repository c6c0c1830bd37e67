"""`backups restore` to a file: complete, verified, resumable, and never under a wrong name."""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.response import StreamingBody
from urllib3.exceptions import ProtocolError

from admin.restore import partial as partials
from tests.support.faults import answers, dropped_before, every, never_answers, slow_down
from tests.support.restoring import (
    DAILY,
    RANGE,
    SMALL,
    TODAY,
    Restorer,
    damage,
    flip,
    interrupt_after,
    reading,
    restorer,
    store_in_parts,
)
from tests.support.simulated_object import SimulatedObject

BODY = Random(14).randbytes(12 * RANGE + 5)
FULL = ("latest", "--rule", DAILY)


@pytest.fixture
def restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    yield from restorer(tmp_path, monkeypatch)


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


# Interrupted


def test_ctrl_c_leaves_one_sentence_and_the_same_command_continues(restore: Restorer) -> None:
    version_id = restore.store(BODY)
    with reading(restore, interrupt_after(9)):
        result = restore(*FULL)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[2:] == [
        "",
        "Interrupted: run the same command again; a restore to a file continues where it stopped.",
    ]
    assert result.stdout == ""
    partial = restore.partial()
    assert partial.name == f"{TODAY}.{version_id}.partial"
    there = partial.stat().st_size
    assert 0 < there < len(BODY)
    restore.wire.calls.clear()
    result = restore(*FULL)
    assert result.exit_code == 0
    assert f"An earlier restore of {TODAY} is incomplete, and is continued first." in result.stderr
    assert restore.files() == {TODAY: BODY}
    assert restore.ranges()[0][0] == there


def test_killed_at_any_byte_it_continues_behind_it(restore: Restorer) -> None:
    restore.store(BODY)
    random = Random(20)
    for _ in range(20):
        with reading(restore, interrupt_after(random.randrange(1, 12))):
            assert restore("2026-11-23", "--rule", DAILY).exit_code == 130
        # A kill can come before the last bytes are written.
        there = random.randrange(restore.partial().stat().st_size + 1)
        os.truncate(restore.partial(), there)
        restore.wire.calls.clear()
        assert restore("2026-11-23", "--rule", DAILY).exit_code == 0
        assert restore.ranges()[0][0] == there
        assert restore.files() == {TODAY: BODY}
        (restore.folder / TODAY).unlink()


def test_a_complete_partial_file_only_needs_to_be_verified(restore: Restorer) -> None:
    version_id = restore.store(BODY)
    (restore.folder / f"{TODAY}.{version_id}.partial").write_bytes(BODY)
    assert restore(*FULL).exit_code == 0
    assert restore.ranges() == []
    assert restore.files() == {TODAY: BODY}


def test_latest_first_completes_what_it_began(restore: Restorer) -> None:
    restore.store(BODY, "2026-11-22.tar.gz.gpg")
    with reading(restore, interrupt_after(9)):
        restore(*FULL)
    restore.store(b"newer")
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {"2026-11-22.tar.gz.gpg": BODY}
    assert restore(*FULL).exit_code == 0
    assert restore.files()[TODAY] == b"newer"


def test_latest_completes_a_file_that_was_named_and_no_other(restore: Restorer) -> None:
    restore.store(BODY, "2026-11-22.tar.gz.gpg")
    for output in ("one", "other"):
        with reading(restore, interrupt_after(9)):
            restore(*FULL, "-o", output)
    restore.store(b"newer")
    assert restore(*FULL, "-o", "one").exit_code == 0
    assert restore(*FULL, "-o", "third").exit_code == 0
    assert (restore.folder / "one").read_bytes() == BODY
    assert (restore.folder / "third").read_bytes() == b"newer"
    assert restore.partial().name.startswith("other.2026-11-22.tar.gz.gpg.")


def test_latest_leaves_the_incomplete_backup_of_another_rule(restore: Restorer) -> None:
    restore.store(BODY)
    restore.store(b"sql", "2026-11-23.11.sql.gz.gpg")
    with reading(restore, interrupt_after(9)):
        restore(*FULL)
    assert restore("latest", "--rule", "sql.gz.gpg").exit_code == 0
    assert restore.files()["2026-11-23.11.sql.gz.gpg"] == b"sql"
    assert restore.partial().name.startswith(TODAY)


def test_a_partial_file_whose_version_is_gone_is_named_and_left(restore: Restorer) -> None:
    version_id = restore.store(BODY, "2026-11-22.tar.gz.gpg")
    with reading(restore, interrupt_after(9)):
        restore(*FULL)
    restore.s3.delete_object(Bucket="backups2", Key="2026-11-22.tar.gz.gpg", VersionId=version_id)
    restore.store(b"newer")
    result = restore(*FULL)
    assert result.exit_code == 0
    partial = restore.partial().name
    assert f"{partial} cannot be completed: S3 no longer has its version. Remove it." in (
        result.stderr
    )
    assert restore.files()[TODAY] == b"newer"


def test_bytes_of_a_replaced_object_are_never_mixed(restore: Restorer) -> None:
    """Without versions and checksums, only the ETag shows it."""
    restore.keep_versions("Suspended")
    restore.store(BODY)
    with reading(restore, interrupt_after(9)):
        restore(*FULL)
    restore.store(BODY[::-1])
    result = restore(*FULL)
    assert result.exit_code == 0
    assert "cannot be completed: S3 no longer has its version" in result.stderr
    assert restore.files()[TODAY] == BODY[::-1]


def test_an_object_that_is_replaced_meanwhile_is_noticed(restore: Restorer) -> None:
    restore.keep_versions("Suspended")
    restore.store(BODY)

    def change(number: int, answer: Any) -> None:
        if number == 2:
            restore.store(BODY[::-1])

    with reading(restore, change):
        result = restore(*FULL)
    assert result.exit_code == 1
    assert "has other bytes than a moment ago: somebody has replaced it" in result.stderr
    assert TODAY not in restore.files()


@pytest.mark.parametrize("version_id", ["a.b_C-d", "3/L4kqt+JlcpXro", "null"])
def test_the_name_of_a_partial_file_has_name_and_version(
    restore: Restorer, version_id: str
) -> None:
    version = replace(
        SimulatedObject(size=1).version(), version_id=version_id, name="web1/2026.tar.gpg"
    )
    for output in (None, Path("other.gpg")):
        path = partials.partial_of(version, output).path
        path.touch()
        [begun] = [begun for begun in partials.begun(output) if begun.name == version.name]
        assert (begun.path, begun.version_id) == (path, version_id)
        assert begun.identity == partials.identity_of(version)


def test_a_second_restore_at_the_same_time_is_refused(restore: Restorer) -> None:
    restore.store(BODY)
    others = []

    def another(number: int, answer: Any) -> None:
        if number == 9:
            partial = partials.Partial(path=restore.partial(), final=Path(TODAY))
            with (
                pytest.raises(partials.Refused, match="Another restore is writing"),
                partial.opened(),
            ):
                pass
            others.append(number)

    with reading(restore, another):
        assert restore(*FULL).exit_code == 0
    assert others
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
    assert "S3 returned 197 bytes of 2026-11-23.tar.gz.gpg, but was asked for 16;" in result.stderr


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


# The network


class Broken(BytesIO):
    """A body that breaks where it ends."""

    def read(self, *args: Any) -> bytes:
        if piece := super().read(*args):
            return piece
        raise ProtocolError


@pytest.mark.parametrize("kind", [BytesIO, Broken], ids=["ends early", "breaks"])
def test_a_body_that_is_cut_is_continued_where_it_was(
    restore: Restorer, kind: type[BytesIO]
) -> None:
    restore.store(BODY)

    def change(number: int, answer: Any) -> None:
        body = answer["Body"].read()
        cut = body[: number % 5] if number % 2 else body
        answer["Body"] = StreamingBody(kind(cut), len(body))

    with reading(restore, change):
        result = restore(*FULL)
    assert result.exit_code == 0, result.output
    assert restore.files() == {TODAY: BODY}


def test_a_connection_that_brings_one_byte_at_a_time_is_enough(restore: Restorer) -> None:
    restore.store(BODY[:40])

    def change(number: int, answer: Any) -> None:
        answer["Body"] = streaming(answer["Body"].read()[:1], answer["ContentLength"])

    with reading(restore, change):
        assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY[:40]}


@pytest.mark.parametrize("fault", [slow_down, dropped_before, never_answers])
def test_requests_that_fail_are_repeated(restore: Restorer, fault: Any) -> None:
    restore.store(BODY)
    restore.wire.fail("GetObject", *[fault] * 6, None, *[fault] * 2)
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY}


@pytest.mark.parametrize("fault", [slow_down, dropped_before, never_answers])
def test_a_lost_network_is_status_3_and_the_same_command_continues(
    restore: Restorer, fault: Any
) -> None:
    restore.store(BODY)
    restore.wire.fail("GetObject", *[None] * 6)
    restore.wire.plan(every("GetObject", fault))
    result = restore(*FULL)
    assert result.exit_code == 3
    assert re.search(
        r"Error: S3 cannot be read \(.*\)\. Run the same command again later; a restore to a file "
        r"continues where it stopped\.\n$",
        result.stderr,
    )
    restore.wire.mend()
    assert restore.partial().stat().st_size > 0
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY}


def test_a_denial_is_not_repeated(restore: Restorer) -> None:
    restore.store(BODY)
    restore.wire.plan(every("GetObject", answers(403, "AccessDenied")))
    result = restore(*FULL)
    assert result.exit_code == 3
    assert result.stderr.endswith("Error: GetObject is denied: AccessDenied\n")
    assert restore.wire.sent.count("GetObject") <= SMALL.window


# The file


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


def test_too_little_disk_is_said_before_the_first_range(
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
