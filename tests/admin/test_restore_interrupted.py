"""`backups restore` to a file: it continues after Ctrl-C, a kill and a network failure."""

import os
import re
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
    interrupt_after,
    reading,
)
from tests.support.simulated_object import SimulatedObject

BODY = Random(14).randbytes(12 * RANGE + 5)
FULL = ("latest", "--rule", DAILY)


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
    """Without versions and checksums, only the ETag shows the change."""
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
    assert "is not the same object as a moment ago: somebody has replaced it" in result.stderr
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


def test_a_restore_that_another_one_has_just_completed_is_refused(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore.store(BODY)

    def complete(*_: Any) -> None:
        restore.partial().rename(restore.folder / TODAY)

    monkeypatch.setattr(partials.fcntl, "flock", complete)
    result = restore(*FULL)
    assert result.exit_code == 2
    assert "Error: Another restore is writing" in result.stderr
    assert restore.ranges() == []


# The network


class Broken(BytesIO):
    """A body whose connection breaks at its end."""

    def readinto(self, buffer: Any) -> int:
        if length := super().readinto(buffer):
            return length
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
        body = BytesIO(answer["Body"].read()[:1])
        answer["Body"] = StreamingBody(body, answer["ContentLength"])

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
