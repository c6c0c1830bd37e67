"""Runs `backups restore` in this process, against a vault in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws
from moto.s3.models import s3_backends

import admin.cli
from admin.account import Account
from admin.restore.command import open_vault, restore
from admin.restore.ranges import Tuning
from admin.target import Target
from localcloud.clock import clock
from localcloud.s3.backend import corrected
from localcloud.s3.content import Content
from tests.support.project import POLICY, STAGE
from tests.support.wire import Wire, retries_at_once

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAILY, HOURLY = "backup.tar.gz.gpg", "sql.gz.gpg"
TODAY = "2026-11-23.tar.gz.gpg"
# With ranges of so few bytes, an object of a few hundred bytes is a large one.
RANGE = 16
SMALL = Tuning(range=RANGE, window=4, attempts=3, pause=0.001)


@dataclass
class Restorer:
    """The vault of the tests' stage, and the command in its own directory."""

    account: Account
    wire: Wire
    folder: Path
    slept: list[float]

    @property
    def s3(self) -> Any:
        """A client whose requests do not count as the command's."""
        return self.account.client("s3")

    def keep_versions(self, status: str) -> None:
        """Turn the vault's versioning on or off."""
        self.s3.put_bucket_versioning(Bucket="backups2", VersioningConfiguration={"Status": status})

    def store(
        self, body: bytes, name: str = TODAY, *, at: datetime | None = None, **more: Any
    ) -> str:
        """Store a backup at this time (default: now). Returns its version id."""
        clock.stand_at(at or NOW)
        answer = self.s3.put_object(Bucket="backups2", Key=name, Body=body, **more)
        clock.stand_at(NOW)
        return str(answer.get("VersionId", "null"))

    def __call__(self, *arguments: str, answer: str | None = None) -> Result:
        """Run the command; `answer` is what the user types."""
        return CliRunner().invoke(admin.cli.cli, ["restore", *arguments], input=answer)

    def ranges(self) -> list[tuple[int, int]]:
        """The first and last bytes of the ranges that were requested, sorted."""
        requested = [params["Range"] for name, params in self.wire.calls if name == "GetObject"]
        return sorted(
            (int(first), int(last))
            for first, last in (words.removeprefix("bytes=").split("-") for words in requested)
        )

    def files(self) -> dict[str, bytes]:
        """The files in the directory."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

    def partial(self) -> Path:
        """The only incomplete file."""
        [path] = self.folder.glob("*.partial")
        return path


def restorer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tuning: Tuning = SMALL
) -> Iterator[Restorer]:
    """A fixture's body: a versioned vault without backups."""
    with mock_aws(), corrected(), retries_at_once():
        account = Account(session=boto3.Session(region_name="us-east-1"))
        target = Target(account=account, stage=STAGE, policy=POLICY)
        slept: list[float] = []
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
        monkeypatch.setattr(
            admin.cli,
            "restore_backup",
            lambda *args, now: restore(*args, now=NOW, tuning=tuning, sleep=partial(_sleep, slept)),
        )
        wire = Wire(open_vault(target, tuning).s3)
        made = Restorer(account=account, wire=wire, folder=tmp_path, slept=slept)
        made.s3.create_bucket(Bucket="backups2")
        made.keep_versions("Enabled")
        clock.stand_at(NOW)
        yield made


def _sleep(slept: list[float], seconds: float) -> None:
    slept.append(seconds)
    clock.advance(timedelta(seconds=seconds))


@contextmanager
def reading(made: Restorer, change: Callable[[int, Any], None]) -> Iterator[None]:
    """Within the block, `change` is called with the number and the response of each GetObject.

    It can replace the body, or raise.
    """
    numbers = iter(range(10**6))

    def note(parsed: Any, **_: Any) -> None:
        change(next(numbers), parsed)

    events = made.wire.client.meta.events
    events.register("after-call.s3.GetObject", note)
    try:
        yield
    finally:
        events.unregister("after-call.s3.GetObject", note)


def with_policy(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Make the command read the tests' policy with these changes."""
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(POLICY, **changes))


def interrupt_after(ranges: int) -> Any:
    def change(number: int, answer: Any) -> None:
        if number == ranges:
            raise KeyboardInterrupt

    return change


def flip(body: bytes, position: int) -> bytes:
    return body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]


def damage(name: str, body: bytes) -> None:
    """Make the store hold other bytes of the same length, but describe them as before."""
    key = s3_backends["123456789012"]["aws"].buckets["backups2"].keys[name]
    key._etag = key.etag.strip('"')
    key.content = Content.of(body)


def store_in_parts(restore: Restorer, *bodies: bytes) -> None:
    """Store a backup with a checksum over its parts, which proves nothing."""
    where: Any = {"Bucket": "backups2", "Key": TODAY}
    upload = restore.s3.create_multipart_upload(
        **where, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE"
    )
    where["UploadId"] = upload["UploadId"]
    parts = [
        {
            "PartNumber": number,
            **{
                name: restore.s3.upload_part(
                    **where, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
                )[name]
                for name in ("ETag", "ChecksumCRC32")
            },
        }
        for number, body in enumerate(bodies, 1)
    ]
    restore.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
