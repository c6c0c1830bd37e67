"""The scene of the demo: a server's shell, its data and its uploads."""

import os
import secrets
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from admin.stage import LOCAL_PORT, PROJECT
from chalicelib.policy.file import read_policy
from demo.narration import Shell, expect, tell
from demo.stage import StageCloud
from localcloud.functions.lambda_functions import REGION
from localcloud.iam.authorization import Credentials
from localcloud.s3.events import Deliver

LONGEST_STORY = timedelta(minutes=1)


class Notifications:
    """Passes S3's notifications on to the functions, except one that is meant to be lost."""

    def __init__(self) -> None:
        self._lose = False

    def lose_next(self) -> None:
        """Drop the next notification."""
        self._lose = True

    def wrap(self, deliver: Deliver) -> Deliver:
        """Returns the function that gets the notifications instead of `deliver`."""

        def pass_on(function_arn: str, event: dict[str, Any]) -> None:
            lost, self._lose = self._lose, False
            if not lost:
                deliver(function_arn, event)

        return pass_on


def open_shell(directory: Path, user: str, cloud: StageCloud, credentials: Credentials) -> Shell:
    """A shell whose s3cmd has the user's credentials, and whose gpg has only the user's keys."""
    gpg = directory / f"gpg-{user}"
    gpg.mkdir(mode=0o700, exist_ok=True)
    (gpg / "gpg.conf").write_text("quiet\n")
    address = cloud.endpoint.removeprefix("http://")
    configuration = directory / f"{user}.s3cfg"
    configuration.write_text(
        f"""[default]
access_key = {credentials.access_key_id}
secret_key = {credentials.secret_access_key}
bucket_location = {REGION}
host_base = {address}
host_bucket = {address}
use_https = False
quiet = True
"""
    )
    tools = directory / "bin"
    tools.mkdir(exist_ok=True)
    # The tools' own first line fails if the path to Python contains a space.
    install(tools / "s3cmd", sys.executable, str(Path(sys.executable).with_name("s3cmd")))
    install(tools / "backups", "env", f"PYTHONPATH={PROJECT}", sys.executable, "-m", "admin")
    return Shell(
        directory=directory,
        environment={
            "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(directory),
            "GNUPGHOME": str(gpg),
            "S3CMD_CONFIG": str(configuration),
            LOCAL_PORT: address.rpartition(":")[2],
            "LC_ALL": "C.UTF-8",
        },
    )


def install(path: Path, *command: str) -> None:
    """Create a program that runs this command."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)


def make_key_pair(administrator: Shell) -> None:
    """Give the administrator the private key, and everyone the public key.

    This private key has no passphrase, because nobody is there to type it.
    """
    administrator.run(
        "gpg --batch --passphrase '' --quick-gen-key backups@example.org default default never"
        " && gpg --export backups@example.org >backups.pub"
    )


def make_data(server: Shell) -> None:
    """Give the server something to lose: text, three million random bytes, an empty file."""
    site = server.directory / "site"
    (site / "photos").mkdir(parents=True)
    (site / "index.html").write_text("<h1>Our village</h1>\n")
    (site / "photos" / "Frühling.jpg").write_bytes(secrets.token_bytes(3_000_000))
    (site / "photos" / "empty").touch()


def wait_for_a_new_slot() -> str:
    """The upload of the story; waits for the next slot if the current one is about to end.

    Just before midnight, the second upload would fall into the next day and be promoted.
    """
    policy = read_policy()
    upload = next(iter(policy.server_keys))
    now = datetime.now(UTC)
    left = policy.slot_of(upload, now).end - now
    if left < LONGEST_STORY:
        tell(f"Waiting for the next period, which begins in {left.seconds} seconds.")
        time.sleep(left.total_seconds() + 1)
    return upload


def another_upload(upload: str) -> str | None:
    """Another upload of the same server, with a free slot; None if there is only one rule."""
    uploads = read_policy().server_keys
    _, server = uploads[upload]
    others = (key for key, (_, owner) in uploads.items() if owner == server and key != upload)
    return next(others, None)


def upload_as(server: Shell, cloud: StageCloud, data: str, upload: str) -> dict[str, Any]:
    """Run the server's backup of the directory `data`; returns the outcome of its promotion."""
    before = len(cloud.functions.results)
    send(server, cloud, data, upload)
    outcomes = outcomes_since(before, cloud)
    expect(len(outcomes) == 1, f"one upload had {len(outcomes)} outcomes")
    return outcomes[0]


def send(server: Shell, cloud: StageCloud, data: str, upload: str) -> None:
    """Run the server's backup of the directory `data`."""
    server.run(
        f"tar c {data} | gzip | gpg --batch --encrypt --recipient-file backups.pub"
        f" | s3cmd --quiet put - s3://{cloud.incoming}/{upload}"
    )


def outcomes_since(before: int, cloud: StageCloud) -> list[dict[str, Any]]:
    """The outcomes of uploads after the first `before` results, once all functions have run."""
    cloud.functions.wait_until_quiet(timeout=60)
    results = cloud.functions.results[before:]
    for result in results:
        expect(result.error is None, f"{result.function} failed: {result.error}")
    return [outcome for result in results for outcome in result.payload.get("outcomes", [])]


def show_outcome(outcome: dict[str, Any]) -> None:
    """Print the outcome of an upload, and the reason."""
    tell(f"{outcome['outcome']}: {outcome['upload']} -> {outcome['slot']}")
    tell(f"{outcome['reason']}")


def show_buckets(cloud: StageCloud) -> None:
    """Print the contents of each bucket."""
    s3 = cloud.session(cloud.administrator).client("s3")
    for bucket in (cloud.incoming, cloud.vault):
        objects = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        for item in objects:
            moment = item["LastModified"].strftime("%Y-%m-%d %H:%M:%S")
            tell(f"s3://{bucket}/{item['Key']:26} {item['Size']:>10,} bytes  {moment} UTC")
        if not objects:
            tell(f"s3://{bucket}/ is empty")


def keys(cloud: StageCloud, bucket: str) -> list[str]:
    """The keys in a bucket."""
    s3 = cloud.session(cloud.administrator).client("s3")
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def identity(cloud: StageCloud, slot: str) -> dict[str, Any]:
    """An identifier of a stored object that shows any replacement."""
    s3 = cloud.session(cloud.administrator).client("s3")
    head = s3.head_object(Bucket=cloud.vault, Key=slot)
    return {name: head[name] for name in ("VersionId", "ETag", "LastModified", "ContentLength")}
