"""Prints the demo: headings, commands as they run, and promises as they are checked."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

console = Console(highlight=False, markup=False, soft_wrap=True)


class NotAsPromisedError(Exception):
    """A promise of the demo is broken; the message says which."""


def heading(sentence: str) -> None:
    """Print the heading of a chapter."""
    console.print(f"\n{sentence}", style="bold")


def tell(line: str) -> None:
    """Print a line below a heading or a command."""
    console.print(f"    {line}")


def expect(kept: bool, otherwise: str) -> None:  # noqa: FBT001 - a condition, as in assert
    """End the demo with the sentence `otherwise` unless `kept`."""
    if not kept:
        raise NotAsPromisedError(otherwise)


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A user's terminal: a directory, this virtual environment's tools, the user's keys."""

    directory: Path
    environment: dict[str, str]

    def run(self, command: str) -> None:
        """Print and run a command line, and print its output; any failure in it ends the demo."""
        console.print(f"  $ {command}")
        finished = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in finished.stdout.splitlines():
            tell(line)
        expect(finished.returncode == 0, f"{command} failed")

    def stop_gpg(self) -> None:
        """Stop the agent that gpg starts for a key directory."""
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=False)
