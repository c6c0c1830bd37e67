"""Restores from end to end: gpg, tar, gzip, a vault with an open door, a reader with few rights."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

import admin.cli
from admin.account import Account
from admin.restore.ranges import FULL_SPEED
from demo.stage import StageCloud
from localcloud.clock import clock
from tests.admin.test_break_in import STORED, set_up, store
from tests.support.keyring import ENCRYPT, new_keyring, run
from tests.support.past_the_door import past_the_door
from tests.support.restoring import DAILY, HOURLY, NOW, TODAY, Restorer, restorer

MIB = 1024**2
SQL = "2026-11-23.12.sql.gz.gpg"


@pytest.fixture
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    (tmp_path / "restored here").mkdir()
    yield from restorer(tmp_path / "restored here", monkeypatch, tuning=FULL_SPEED)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from new_keyring(tmp_path_factory)


@pytest.mark.parametrize("encrypt", ENCRYPT.values(), ids=ENCRYPT)
def test_files_come_back_by_the_command_that_it_prints(
    restored: Restorer, keyring: Path, tmp_path: Path, encrypt: str
) -> None:
    site = tmp_path / "site"
    (site / "pages").mkdir(parents=True)
    (site / "pages" / "index.html").write_text("<p>Good morning</p>\n")
    (site / "photo").write_bytes(Random(1).randbytes(3 * MIB))
    restored.store(run(f"tar -cz site | {encrypt}", keyring, tmp_path))
    result = restored("latest", "--rule", DAILY)
    assert result.exit_code == 0
    command = next_command(result.stderr)
    run(command, keyring, restored.folder)
    run(f"diff -r '{site}' restored/site", keyring, restored.folder)


@pytest.mark.parametrize("encrypt", ENCRYPT.values(), ids=ENCRYPT)
def test_a_dump_comes_back_by_the_command_that_it_prints(
    restored: Restorer, keyring: Path, encrypt: str
) -> None:
    dump = b"CREATE TABLE customers (name text);\n" * 1000
    restored.store(run(f"gzip | {encrypt}", keyring, input=dump), SQL)
    command = next_command(restored("latest", "--rule", HOURLY).stderr)
    run(command, keyring, restored.folder)
    assert restored.files()["2026-11-23.12.sql"] == dump


def next_command(words: str) -> str:
    [command] = [line for line in words.splitlines() if line.startswith("  ")]
    return command


def test_files_come_back_through_a_pipe(restored: Restorer, keyring: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(Random(2).randbytes(MIB))
    restored.store(run("tar -cz file | gpg --symmetric", keyring, tmp_path))
    printed = restored("latest", "--rule", DAILY, "-o", "-").stdout_bytes
    run("gpg --decrypt | tar -xz", keyring, restored.folder, input=printed)
    assert restored.files() == {"file": (tmp_path / "file").read_bytes()}


def test_200_mebibytes(restored: Restorer) -> None:
    body = Random(3).randbytes(25 * MIB) * 8 + b"end"
    # moto takes a minute to read such a body in chunks with a trailing checksum.
    s3 = restored.account.client("s3", request_checksum_calculation="when_required")
    s3.put_object(Bucket="backups2", Key=TODAY, Body=body)
    assert restored("latest", "--rule", DAILY).exit_code == 0
    assert (restored.folder / TODAY).read_bytes() == body
    assert len(restored.ranges()) == 26


# In the local cloud


@pytest.fixture
def vault(account: Account, cloud: StageCloud) -> Account:
    """The account of a stage that is set up, with a stored backup."""
    clock.stand_at(NOW)
    set_up(account)
    store(account, cloud)
    return account


def command(*arguments: str) -> Any:
    return CliRunner().invoke(admin.cli.cli, ["restore", *arguments])


def test_what_is_put_over_a_backup_through_the_open_door_is_not_restored(
    vault: Account, tmp_path: Path
) -> None:
    s3 = vault.client("s3")
    with past_the_door(s3):
        other = s3.put_object(**STORED, Body=b"rubbish")["VersionId"]
    output = str(tmp_path / "restored")
    result = command("2026-11-23", "--rule", DAILY, "-o", output)
    assert result.exit_code == 0, result.output
    assert Path(output).read_bytes() == b"all our files"
    assert "has 2 versions: somebody has overwritten it. The oldest is the backup" in result.stderr
    assert result.stdout == f"{output}\n"
    printed = command("2026-11-23", "--rule", DAILY, "-o", "-", "--version-id", other)
    assert printed.stdout_bytes == b"rubbish"


# `backups restore` needs no requests other than these.
RIGHTS = ["s3:ListBucketVersions", "s3:GetObjectVersion"]


def reader(vault: Account, rights: list[str], *, bucket: str = "backups2") -> Account:
    """The account as seen by a user with these rights on the vault."""
    iam = vault.client("iam")
    iam.create_user(UserName="reader")
    statement = {
        "Effect": "Allow",
        "Action": rights,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="reader", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    session = boto3.Session(
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name=vault.region,
    )
    return Account(session=session, endpoint=vault.endpoint)


@pytest.mark.parametrize("missing", [None, *RIGHTS])
def test_two_rights_are_needed_and_enough(
    vault: Account,
    tmp_path: Path,
    missing: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = reader(vault, [right for right in RIGHTS if right != missing])
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    output = tmp_path / "restored"
    result = command("2026-11-23", "--rule", DAILY, "-o", str(output))
    if missing is None:
        assert result.exit_code == 0, result.output
        assert output.read_bytes() == b"all our files"
    else:
        assert result.exit_code == 3
        assert missing in result.stderr
        assert not output.exists()
