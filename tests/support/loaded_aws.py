"""An AWS CLI that is imported only once for many commands: see aws_server.py."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.scene import install

SERVER = Path(__file__).with_name("aws_server.py")
CLIENT = Path(__file__).with_name("aws_client.py")


@contextmanager
def loaded_aws(folder: Path) -> Iterator[None]:
    """Make a program `aws` in this folder until the block ends, if the AWS CLI is in Python.

    Its version 2 is not, or has another botocore, and then no program is made. The folder's path
    must be short, because a socket is in it.
    """
    python = python_of_aws()
    if not python:
        yield
        return
    address = str(folder / "socket")
    with subprocess.Popen([*python, SERVER, address], stdout=subprocess.PIPE) as server:
        assert server.stdout
        if server.stdout.readline():
            install(folder / "aws", sys.executable, "-IS", str(CLIENT), address)
        try:
            yield
        finally:
            server.terminate()


def python_of_aws() -> list[str]:
    """Return the command that runs the AWS CLI's Python; empty if it is not a Python script."""
    aws = shutil.which("aws")
    assert aws
    if Path(aws).parent.name == "shims":
        aws = subprocess.check_output(["pyenv", "which", "aws"], text=True).strip()
    with Path(aws).open("rb") as program:
        line = program.readline()
    return shlex.split(line[2:].decode()) if line.startswith(b"#!") and b"python" in line else []
