"""The programs that move an object within S3: the command of each, and the guarantees it lacks."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UPLOAD = "backups1/sql.gz.gpg"
DESTINATION = "backups2/moved"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A program that moves UPLOAD to DESTINATION (ours: to its slot).

    `command` can contain `{address}`. It is empty if the program is not installed.
    `lacks` names the guarantees of ours that the program does not give, and its limits.
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
            version=_version(["aws", "--version"]).split(" ")[0].removeprefix("aws-cli/"),
        ),
        Contestant(
            name="s3cmd mv",
            command=_installed(
                "s3cmd",
                *("--config=/dev/null", "--access_key=model", "--secret_key=model", "--no-ssl"),
                *("--host={address}", "--host-bucket={address}", "--region=us-east-1"),
                *("mv", f"s3://{UPLOAD}", f"s3://{DESTINATION}"),
            ),
            lacks=f"{unguarded}; one part at a time, at most 10,000 of 1 GiB",
            largest=10_000 * 1024**3,
            version=_version([_path("s3cmd"), "--version"]).removeprefix("s3cmd version "),
        ),
        Contestant(
            name="rclone moveto",
            command=_installed(
                "rclone",
                *("--config=/dev/null", "moveto"),
                *(
                    # As for AWS, except that the model's address does not contain the bucket.
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


def _script(how: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.plain", how, UPLOAD, DESTINATION]


def _path(program: str) -> str:
    """Return the program's path: next to this Python if it is there, else on the PATH, or empty."""
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else shutil.which(program) or ""


def _installed(program: str, *arguments: str) -> list[str]:
    return [path, *arguments] if (path := _path(program)) else []


def _version(command: Sequence[str]) -> str:
    if not shutil.which(command[0]):
        return ""
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.partition("\n")[0].strip()
