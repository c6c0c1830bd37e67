"""The programs that move or download objects, and the guarantees that they lack."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import awscrt

UPLOAD = "backups1/sql.gz.gpg"
DESTINATION = "backups2/moved"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A program that moves UPLOAD to DESTINATION (ours: to its slot), or downloads an object.

    `command` can contain `{address}`. It is empty if the program is not installed. `lacks` lists
    the guarantees of ours that the program does not give, and its limits.
    """

    name: str
    command: Sequence[str]
    lacks: str = ""
    version: str = ""
    largest: int | None = None
    """The largest size that it can move; a larger one would fail after hours of simulated time."""


def contestants() -> list[Contestant]:
    """Return ours first, then all others, installed or not."""
    unguarded = "no condition, no pin, nothing verified"
    return [
        Contestant(
            name="ours", command=[sys.executable, "-m", "benchmarks.ours", UPLOAD.split("/")[1]]
        ),
        Contestant(
            name="boto3 copy()",
            command=_script("managed"),
            lacks=unguarded,
            version=_version([sys.executable, "-c", "import boto3; print(boto3.__version__)"]),
        ),
        Contestant(
            name="boto3, 250 streams", command=_script("wide"), lacks=f"{unguarded}; copy(), tuned"
        ),
        Contestant(
            name="aws s3 mv",
            command=_installed(
                "aws", "s3", "mv", "--no-progress", f"s3://{UPLOAD}", f"s3://{DESTINATION}"
            ),
            lacks=unguarded,
            version=_aws_version(),
        ),
        Contestant(
            name="s3cmd mv",
            command=_s3cmd("mv", f"s3://{UPLOAD}", f"s3://{DESTINATION}"),
            lacks=f"{unguarded}; one part at a time, at most 10,000 of 1 GiB",
            largest=10_000 * 1024**3,
            version=_s3cmd_version(),
        ),
        Contestant(
            name="rclone moveto",
            command=_installed(
                "rclone",
                *("--config=/dev/null", "moveto"),
                *(
                    # As for AWS, except that the model's address does not contain the bucket name.
                    ":s3,provider=Minio,env_auth,region=us-east-1,"
                    f"endpoint='http://{{address}}':{path}"
                    for path in (UPLOAD, DESTINATION)
                ),
            ),
            lacks="no condition, no pin; compares size and time",
            version=_version(["rclone", "--version"]).removeprefix("rclone v"),
        ),
        Contestant(
            name="CopyObject",
            command=_script("single"),
            lacks=f"{unguarded}; at most 5 GiB",
        ),
    ]


def downloaders(source: str, store_as: str, output: str) -> list[Contestant]:
    """Return the programs that download `source` (bucket/key) to a file or to stdout (`-`).

    Ours first. It restores the newest backup that is stored under `store_as`.
    """
    unverified = "no checksum over the whole object"
    return [
        Contestant(
            name="ours", command=[sys.executable, "-m", "benchmarks.restored", store_as, output]
        ),
        Contestant(
            name="the CRT client",
            command=[sys.executable, "-m", "benchmarks.crt", source, output],
            lacks=f"{unverified}; version 2 of aws s3 cp can use it",
            version=awscrt.__version__,
        ),
        Contestant(
            name="aws s3 cp",
            command=_installed("aws", "s3", "cp", "--no-progress", f"s3://{source}", output),
            lacks=unverified,
            version=_aws_version(),
        ),
        Contestant(
            name="s3cmd get",
            command=_s3cmd("get", "--no-progress", f"s3://{source}", output),
            lacks="one stream; compares MD5, unless the object was stored in parts",
            version=_s3cmd_version(),
        ),
    ]


def _script(how: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.plain", how, UPLOAD, DESTINATION]


def _path(program: str) -> str:
    """Return the program's path, next to this Python or else on the PATH; empty if not found."""
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else shutil.which(program) or ""


def _installed(program: str, *arguments: str) -> list[str]:
    return [path, *arguments] if (path := _path(program)) else []


def _s3cmd(*arguments: str) -> list[str]:
    return _installed(
        "s3cmd",
        *("--config=/dev/null", "--access_key=model", "--secret_key=model", "--no-ssl"),
        *("--host={address}", "--host-bucket={address}", "--region=us-east-1"),
        *arguments,
    )


def _s3cmd_version() -> str:
    return _version([_path("s3cmd"), "--version"]).removeprefix("s3cmd version ")


def _aws_version() -> str:
    return _version(["aws", "--version"]).split(" ")[0].removeprefix("aws-cli/")


def _version(command: Sequence[str]) -> str:
    if not shutil.which(command[0]):
        return ""
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.partition("\n")[0].strip()
