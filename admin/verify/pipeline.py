"""Sends the bytes of a version through programs such as gpg and gunzip, and writes no file."""

import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO

from admin.restore.checksums import RunningChecksum
from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.ranges import Tuning, chunks
from admin.restore.stored import StoredVersion

# Lines of what a program prints on stderr.
LAST_LINES = 50
# What gpg prints with --status-fd (GnuPG, doc/DETAILS).
STATUS = "[GNUPG:] "
BROKEN_PIPE = "Broken pipe"
# How many of its last lines explain why a program failed.
LINES_SHOWN = 2


class Program:
    """A running program, and what it prints on stderr."""

    def __init__(self, command: Sequence[str], *, source: IO[bytes] | int, sink: int) -> None:
        """Raises NotFoundOutError if it is not installed."""
        self.name = command[0]
        try:
            self._process = subprocess.Popen(
                command, stdin=source, stdout=sink, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            raise NotFoundOutError(f"{self.name} is not installed; install it first") from None
        self.input, self.output = self._process.stdin, self._process.stdout
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def failure(self) -> str | None:
        """Why it failed, once it has ended; None if it succeeded."""
        status = self._process.wait()
        self._reader.join()
        lines = [line for line in self._lines if line and not line.startswith(STATUS)]
        # The next program did not read the rest, and reports why.
        if status in {0, -signal.SIGPIPE} or any(BROKEN_PIPE in line for line in lines):
            return None
        words = "; ".join(lines[-LINES_SHOWN:]) or f"exit status {status}"
        return words if words.startswith(self.name) else f"{self.name}: {words}"

    @property
    def lacks_key(self) -> bool:
        """Whether gpg, once it has ended, had no key or passphrase to decrypt it with."""
        status = [line.split()[1:] for line in self._lines if line.startswith(STATUS)]
        words = {word for word, *_ in status}
        no_passphrase = any("passphrase" in " ".join(rest).lower() for _, *rest in status)
        no_key = "BEGIN_DECRYPTION" in words and "DECRYPTION_INFO" not in words
        return (no_key or no_passphrase) and "PLAINTEXT" not in words

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in filter(None, (self.input, self.output)):
            with suppress(BrokenPipeError):
                stream.close()

    def _read(self) -> None:
        with closing(self._process.stderr) as stream:  # type: ignore[type-var]
            for line in stream:  # type: ignore[union-attr]
                self._lines.append(line.decode(errors="replace").strip())


@dataclass
class Pipeline:
    """Programs in a pipe; `output` is the output of the last one."""

    version: StoredVersion
    programs: list[Program]
    output: IO[bytes]
    feeder: "Feeder"

    def end(self) -> None:
        """Wait for the programs. Raises NotRestoredError if the bytes are damaged.

        Raises NotFoundOutError if they could not be read or decrypted.
        """
        self.feeder.join()
        failures = [failure for each in self.programs if (failure := each.failure())]
        if self.feeder.error:
            raise self.feeder.error
        if self.feeder.is_wrong:
            raise NotRestoredError(
                f"{self.version.name} is damaged: its bytes do not match the checksum that S3 has"
            )
        if not failures:
            return
        # The programs after it fail only because their input has ended.
        words = failures[0]
        if self.programs[0].lacks_key:
            raise NotFoundOutError(f"{self.version.name} cannot be decrypted here: {words}")
        raise NotRestoredError(f"{self.version.name} cannot be unpacked: {words}")


class Feeder(Thread):
    """Writes all bytes of a version into a program, and computes their checksum."""

    def __init__(self, version: StoredVersion, tuning: Tuning, program: Program) -> None:
        super().__init__(daemon=True)
        self._version, self._tuning, self._program = version, tuning, program
        self.error: Exception | None = None
        self.is_wrong = False

    def run(self) -> None:
        """Write them. If the program ends early, the rest is read for the checksum.

        Without a key, the rest is useless.
        """
        checksum = RunningChecksum(self._version.checksum) if self._version.checksum else None
        try:
            with closing(chunks(self._version, self._tuning)) as parts:
                for part in parts:
                    if checksum:
                        checksum.update(part)
                    if not self._write(part):
                        return
            self._close()
            self.is_wrong = checksum is not None and not checksum.matches()
        # The error is raised again when the pipeline ends.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._close()

    def _write(self, part: memoryview) -> bool:
        """Whether to continue."""
        sink = self._program.input
        if sink and not sink.closed:
            try:
                sink.write(part)
            except BrokenPipeError:
                self._close()
                self._program.failure()
                return not self._program.lacks_key
        return True

    def _close(self) -> None:
        if self._program.input:
            with suppress(BrokenPipeError):
                self._program.input.close()


@contextmanager
def piped(
    version: StoredVersion, tuning: Tuning, commands: Sequence[Sequence[str]]
) -> Iterator[Pipeline]:
    """Run the programs as one pipe. In any case, they end with the block."""
    programs: list[Program] = []
    try:
        source: IO[bytes] | int = subprocess.PIPE
        for command in commands:
            programs.append(Program(command, source=source, sink=subprocess.PIPE))
            source = programs[-1].output or subprocess.PIPE
        first, last = programs[0], programs[-1]
        if first.input is None or last.output is None:
            raise AssertionError("both are pipes")
        # A program notices the end of the next one only if nobody else can read from the pipe.
        for program in programs[:-1]:
            if program.output:
                program.output.close()
        feeder = Feeder(version, tuning, first)
        feeder.start()
        yield Pipeline(version, programs, last.output, feeder)
    finally:
        for program in programs:
            program.stop()
