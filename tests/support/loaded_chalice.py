"""Replaces `subprocess` where the local cloud runs Chalice: see chalice_server.py."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("chalice_server.py")


class LoadedChalice:
    """A stand-in for subprocess.run that sends every command to one long-lived process.

    Meanwhile, its output goes to the file `output`.
    """

    PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL

    def __init__(self, output: Path) -> None:
        self._output = output
        self._server: Any = None
        self.until_the_end = ExitStack()

    def run(
        self, command: list[str], *, cwd: Path, env: dict[str, str], **_: Any
    ) -> subprocess.CompletedProcess[str]:
        if self._server is None:
            self._server = self.until_the_end.enter_context(
                subprocess.Popen(
                    [sys.executable, SERVER],
                    env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        [python, _, _, *arguments] = command
        assert python == sys.executable
        order = {
            "arguments": arguments,
            "cwd": str(cwd),
            "env": env,
            "output": str(self._output),
        }
        print(json.dumps(order), file=self._server.stdin, flush=True)
        status = int(self._server.stdout.readline())
        return subprocess.CompletedProcess(command, status, self._output.read_text())
