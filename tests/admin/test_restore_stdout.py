"""`backups restore -o -`: in order, with bounded memory, and every error is reported."""

import fcntl
import os
import subprocess
import sys
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

import admin.cli
from admin.restore.partial import Partial
from admin.restore.ranges import FULL_SPEED, MIB, Tuning, chunks
from admin.restore.to_file import to_file
from admin.restore.to_stdout import to_stdout
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
    store_in_parts,
)
from tests.support.simulated_object import SimulatedObject

BODY = Random(14).randbytes(12 * RANGE + 5)
FULL = ("latest", "--rule", DAILY, "-o", "-")
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def large(pytestconfig: pytest.Config) -> int:
    """In bytes: 5 GiB in `make soak`, less otherwise."""
    return (5120 if pytestconfig.getoption("--soak") else 320) * MIB


@pytest.mark.parametrize("size", [1, RANGE - 1, RANGE, RANGE + 1, 12 * RANGE + 5])
def test_the_bytes_and_nothing_else_go_to_stdout(restore: Restorer, size: int) -> None:
    restore.store(BODY[:size])
    result = restore(*FULL)
    assert result.exit_code == 0
    assert result.stdout_bytes == BODY[:size]
    assert restore.files() == {}


@pytest.mark.parametrize("options", [(), ("--verify-first",)])
def test_each_byte_is_requested_once_in_each_pass(
    restore: Restorer, options: tuple[str, ...]
) -> None:
    restore.store(BODY)
    assert restore(*FULL, *options).stdout_bytes == BODY
    assert len(restore.ranges()) == 13 * (1 + len(options))


def test_a_wrong_checksum_is_reported_at_the_end(restore: Restorer) -> None:
    restore.store(BODY)
    damage(TODAY, flip(BODY, 20))
    result = restore(*FULL)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Error: The checksum of {TODAY} is wrong: do not use what was printed\n"
    )


def test_verify_first_prints_nothing_wrong(restore: Restorer) -> None:
    restore.store(BODY)
    damage(TODAY, flip(BODY, 20))
    result = restore(*FULL, "--verify-first")
    assert result.exit_code == 1
    assert result.stdout_bytes == b""
    assert result.stderr.endswith(f"Error: The checksum of {TODAY} is wrong; nothing was printed\n")


def test_without_a_checksum_it_is_status_3(restore: Restorer) -> None:
    store_in_parts(restore, BODY)
    result = restore(*FULL)
    assert (result.exit_code, result.stdout_bytes) == (3, BODY)
    assert "Error: Size only: S3 has no checksum over all of" in result.stderr
    result = restore(*FULL, "--verify-first")
    assert (result.exit_code, result.stdout_bytes) == (3, b"")
    assert "Nothing was printed; leave out --verify-first, or add --unverified." in result.stderr
    result = restore(*FULL, "--verify-first", "--unverified")
    assert (result.exit_code, result.stdout_bytes) == (3, BODY)


def test_an_incomplete_file_is_not_continued(restore: Restorer) -> None:
    restore.store(BODY, "2026-11-22.tar.gz.gpg")
    with reading(restore, interrupt_after(9)):
        restore("latest", "--rule", DAILY)
    restore.store(b"newer")
    assert restore(*FULL).stdout_bytes == b"newer"


def test_ctrl_c_leaves_one_sentence(restore: Restorer) -> None:
    restore.store(BODY)
    with reading(restore, interrupt_after(9)):
        result = restore(*FULL)
    assert result.exit_code == 130
    assert BODY.startswith(result.stdout_bytes)
    assert result.stderr.count("Interrupted") == 1


def test_a_reader_that_ends_early_is_one_sentence(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    restore.store(BODY)
    reader, writer = os.pipe()
    os.close(reader)
    with TextIOWrapper(os.fdopen(writer, "wb")) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            admin.cli.cli(["restore", *FULL])
    assert ended.value.code == 3
    assert capfd.readouterr().err.endswith(
        "Error: The program that reads the backup ended before it had read all of it\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can change the size of a pipe")
def test_a_pipe_holds_more_than_usual(restore: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    restore.store(BODY)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as piped, TextIOWrapper(os.fdopen(writer, "wb")) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            admin.cli.cli(["restore", *FULL])
        assert ended.value.code == 0
        assert fcntl.fcntl(piped, fcntl.F_GETPIPE_SZ) == MIB
        assert piped.read(len(BODY)) == BODY


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_behind_stdout_is_one_sentence(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    restore.store(BODY)
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", TextIOWrapper(full))
        with pytest.raises(SystemExit) as ended:
            admin.cli.cli(["restore", *FULL])
    assert ended.value.code == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("Error: No space left on device")


def test_it_is_not_printed_to_a_terminal(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(SystemExit) as ended:
        admin.cli.cli(["restore", *FULL])
    assert ended.value.code == 2
    assert capsys.readouterr() == (
        "",
        "Error: The backup would go to the terminal; pipe it, for example to gpg --decrypt\n",
    )
    assert restore.wire.sent == []


def test_no_range_is_requested_before_there_is_room_for_it() -> None:
    """However slow the reader is, the unread ranges never exceed a window."""
    simulated = SimulatedObject(size=100 * RANGE)
    for used, chunk in enumerate(chunks(simulated.version(), SMALL)):
        assert bytes(chunk) == simulated.bytes(used * RANGE, (used + 1) * RANGE)
        simulated.wait_for_ranges()
        assert simulated.requests == min(used + SMALL.window, 100)


def test_a_chunk_cannot_be_used_when_its_memory_is_used_again() -> None:
    """A listing of them would contain the bytes of other ranges."""
    simulated = SimulatedObject(size=100 * RANGE)
    some = chunks(simulated.version(), SMALL)
    first = next(some)
    next(some)
    with pytest.raises(ValueError, match="released memoryview"):
        bytes(first)
    some.close()


def test_no_more_memory_is_used_than_for_a_window() -> None:
    simulated = SimulatedObject(size=100 * RANGE + 1)
    buffers = [chunk.obj for chunk in chunks(simulated.version(), SMALL)]
    assert len({id(buffer) for buffer in buffers}) == SMALL.window


def test_what_nobody_waits_for_is_not_requested() -> None:
    simulated = SimulatedObject(size=100 * RANGE)
    some = chunks(simulated.version(), SMALL)
    next(some)
    some.close()
    simulated.wait_for_ranges()
    assert simulated.requests <= SMALL.window


def test_what_nobody_waits_for_is_not_repeated() -> None:
    class Unreachable(SimulatedObject):
        def get_object(self, **arguments: Any) -> dict[str, Any]:
            if self.requests:
                raise ConnectionClosedError(endpoint_url="")
            return super().get_object(**arguments)

    simulated = Unreachable(size=100 * RANGE)
    for_ever = replace(SMALL, attempts=sys.maxsize)
    some = chunks(simulated.version(), for_ever)
    next(some)
    some.close()
    simulated.wait_for_ranges()


class Reader:
    """Reads stdout; at no time is more than a window of ranges held."""

    def __init__(self, simulated: SimulatedObject) -> None:
        self.buffer = self
        self.ranges = self.bytes = 0
        self._simulated = simulated

    def fileno(self) -> int:
        raise OSError

    def write(self, chunk: memoryview) -> None:
        assert self._simulated.requests <= self.ranges + FULL_SPEED.window
        self.ranges += 1
        self.bytes += len(chunk)

    def flush(self) -> None:
        pass


def test_gibibytes_with_the_ranges_of_a_real_restore(
    monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    simulated = SimulatedObject(size=large + 1)
    reader = Reader(simulated)
    monkeypatch.setattr(sys, "stdout", reader)
    to_stdout(simulated.version(), FULL_SPEED, verify_first=False, unverified=False)
    assert reader.bytes == large + 1


STALLED = """
import signal
# In the background of a script, programs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from admin.restore.partial import Partial
from admin.restore.ranges import FULL_SPEED, chunks
from tests.support.simulated_object import SimulatedObject
simulated = SimulatedObject(size=100, is_stalled=True)
try:
    next(chunks(simulated.version(), FULL_SPEED))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_process_whose_connections_are_stalled() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STALLED], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "stalled\n"
        process.send_signal(2)
        # The connections stay stalled forever.
        assert process.communicate(timeout=300) == ("interrupted\n", None)
        assert process.returncode == 0


def test_a_window_of_one_range_is_enough() -> None:
    simulated = SimulatedObject(size=10 * RANGE + 1)
    tuning = Tuning(range=RANGE, window=1)
    together = b"".join(map(bytes, chunks(simulated.version(), tuning)))
    assert together == simulated.bytes(0, 10 * RANGE + 1)


def test_a_file_continues_after_gibibytes(tmp_path: Path, large: int) -> None:
    """Here, what an earlier attempt wrote is a sparse file."""
    simulated = SimulatedObject(size=large + 100, zeros=large)
    partial = Partial(path=tmp_path / "partial", final=tmp_path / "final")
    partial.path.touch()
    os.truncate(partial.path, large - 1)
    to_file(simulated.version(), partial, FULL_SPEED, force=False, unverified=False)
    assert simulated.requests == 1
    assert partial.final.stat().st_size == large + 100
