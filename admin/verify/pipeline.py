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
        """Why it failed, once it has ended; None if it did not."""
        status = self._process.wait()
        self._reader.join()
        # The next program did not want the rest, and says why.
        if status in {0, -signal.SIGPIPE}:
            return None
        lines = [line for line in self._lines if line and not line.startswith(STATUS)]
        words = lines[-1] if lines else f"exit status {status}"
        return words if words.startswith(self.name) else f"{self.name}: {words}"

    @property
    def lacks_key(self) -> bool:
        """Whether gpg recognized what it got, but has no key or passphrase to decrypt it with."""
        words = {line.split()[1] for line in self._lines if line.startswith(STATUS)}
        is_encrypted = bool(words & {"ENC_TO", "NEED_PASSPHRASE_SYM", "NO_SECKEY"})
        return is_encrypted and "DECRYPTION_INFO" not in words

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
    """Programs in a row; `output` has what the last one prints."""

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
                f"{self.version.name} is damaged: its bytes have another checksum than S3 has of it"
            )
        if not failures:
            return
        words = "; ".join(failures)
        if self.programs[0].lacks_key:
            raise NotFoundOutError(f"{self.version.name} cannot be decrypted here: {words}")
        raise NotRestoredError(f"{self.version.name} cannot be unpacked: {words}")


class Feeder(Thread):
    """Writes all bytes of a version into a program, and computes their checksum."""

    def __init__(self, version: StoredVersion, tuning: Tuning, sink: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._version, self._tuning, self._sink = version, tuning, sink
        self.error: Exception | None = None
        self.is_wrong = False

    def run(self) -> None:
        """Write them, until the program does not want any more."""
        version = self._version
        checksum = RunningChecksum(version.checksum) if version.checksum else None
        try:
            with closing(self._sink), closing(chunks(version, self._tuning)) as parts:
                for part in parts:
                    if checksum:
                        checksum.update(part)
                    self._sink.write(part)
            self.is_wrong = checksum is not None and not checksum.matches()
        except BrokenPipeError:
            return
        # It is raised again by the pipeline's end.
        except Exception as error:  # noqa: BLE001
            self.error = error


@contextmanager
def piped(
    version: StoredVersion, tuning: Tuning, commands: Sequence[Sequence[str]]
) -> Iterator[Pipeline]:
    """Run the programs, one behind the other. Whatever happens, they end with the block."""
    programs: list[Program] = []
    try:
        source: IO[bytes] | int = subprocess.PIPE
        for command in commands:
            programs.append(Program(command, source=source, sink=subprocess.PIPE))
            source = programs[-1].output or subprocess.PIPE
        first, last = programs[0], programs[-1]
        if first.input is None or last.output is None:
            raise AssertionError("both are pipes")
        # A program notices the end of the next one only if nobody else can read from it.
        for program in programs[:-1]:
            if program.output:
                program.output.close()
        feeder = Feeder(version, tuning, first.input)
        feeder.start()
        yield Pipeline(version, programs, last.output, feeder)
    finally:
        for program in programs:
            program.stop()
