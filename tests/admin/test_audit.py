"""The command `backups audit`: what it prints, and its exit status."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

import admin.cli
from admin.account import Account
from admin.cli import cli
from admin.setup.recorded import actual_digests, as_variable
from admin.stage import read_stage
from admin.target import Target
from localcloud.clock import clock
from tests.support.project import POLICY, write_variables

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def s3(account: Account, monkeypatch: pytest.MonkeyPatch, own_project: Path) -> Iterator[Any]:
    """Both buckets, recorded settings, daily backups until today, and the last hour's backup."""
    monkeypatch.setattr(admin.cli, "read_policy", lambda: POLICY)
    s3 = account.client("s3")
    clock.stand_at(NOW - 9 * DAY)
    for bucket in ("backups1", "backups2"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    target = Target(account=account, stage=read_stage("dev", project=own_project), policy=POLICY)
    write_variables(own_project, as_variable(actual_digests(target)))
    for days in range(3, -1, -1):
        store(s3, f"{NOW - days * DAY:%Y-%m-%d}.tar.gz.gpg", at=NOW - days * DAY)
    for hour in (9, 10, 11):
        store(s3, f"2026-11-23.{hour:02}.sql.gz.gpg", at=NOW.replace(hour=hour))
    clock.stand_at(NOW)
    yield s3
    clock.reset()


def store(s3: Any, name: str, *, at: datetime) -> None:
    clock.stand_at(at)
    s3.put_object(Bucket="backups2", Key=name, Body=b"a backup")
    clock.stand_at(NOW)


def audit(*arguments: str, at: datetime = NOW) -> Any:
    return CliRunner().invoke(cli, ["audit", "--at", at.isoformat(), *arguments])


def test_backups_in_order_are_fine(s3: Any) -> None:
    result = audit()
    assert result.exit_code == 0
    assert result.stdout == (
        "backup.tar.gz.gpg: the newest backup is 2026-11-23.tar.gz.gpg (8 bytes, stored 0 minutes "
        "ago)\n"
        "sql.gz.gpg: the newest backup is 2026-11-23.11.sql.gz.gpg (8 bytes, stored 60 minutes "
        "ago)\n\n"
        "No findings: every expected backup is stored, and none was overwritten or deleted.\n"
    )
    assert result.stderr.startswith("Stage dev, account 123456789012")


def test_a_missing_backup_is_status_1_and_says_what_to_do(s3: Any) -> None:
    result = audit(at=NOW + timedelta(minutes=45))
    assert result.exit_code == 1
    _, _, findings = result.stdout.partition("\n\n")
    assert findings == (
        "! 2026-11-23.12.sql.gz.gpg is missing; it was due Mon 23 Nov 2026 13:15 UTC. The newest "
        "backup is 2026-11-23.11.sql.gz.gpg, stored 105 minutes ago (Mon 23 Nov 2026 11:30 UTC), "
        "with 8 bytes.\n"
        "    Check whether the server is running, and what its backup job prints. If uploads "
        "arrive but are not stored, `backups check` says why.\n"
    )


def test_a_gap_that_has_just_ended_is_reported_and_is_fine(s3: Any) -> None:
    for hour in (13, 14):
        store(s3, f"2026-11-23.{hour:02}.sql.gz.gpg", at=NOW.replace(hour=hour))
    result = audit(at=NOW.replace(hour=15, minute=0))
    assert result.exit_code == 0
    assert (
        "\n+ Backups of sql.gz.gpg are stored again. The newest backup is 2026-11-23.14"
        in result.stdout
    )


def test_json_has_the_findings_as_data(s3: Any) -> None:
    result = audit("--json", at=NOW + timedelta(minutes=45))
    data = json.loads(result.stdout)
    [finding] = data["findings"]
    assert {name: finding[name] for name in finding if name not in {"what", "remedy"}} == {
        "kind": "missing",
        "phase": "new",
        "rule": "sql.gz.gpg",
        "server": None,
        "slot": "2026-11-23.12.sql.gz.gpg",
        "since": "2026-11-23T13:15:00+00:00",
        "download": None,
    }
    assert data["newest"]["sql.gz.gpg"]["size"] == 8
    assert data["not_checked"] == []


def test_the_command_that_downloads_an_upload_is_for_this_stage(s3: Any) -> None:
    upload = s3.put_object(Bucket="backups1", Key="sql.gz.gpg", Body=b"")
    result = audit("--json", at=NOW + timedelta(minutes=1))
    [finding] = json.loads(result.stdout)["findings"]
    assert re.search(
        "To download it: aws s3api get-object --bucket backups1 --key sql.gz.gpg "
        f"--version-id {upload['VersionId']} --endpoint-url http://[0-9.:]+ downloaded$",
        finding["remedy"],
    )
    assert finding["remedy"] in audit(at=NOW + timedelta(minutes=1)).stdout


def test_an_empty_vault_has_no_backup_yet(s3: Any) -> None:
    result = audit(at=NOW - 9 * DAY)
    assert result.exit_code == 0
    assert "sql.gz.gpg: no backup yet\n" in result.stdout


def test_what_could_not_be_checked_is_status_3_but_a_finding_is_1(s3: Any) -> None:
    def deny(params: Any, model: Any, **_: Any) -> None:
        if params["query_string"]["prefix"] == "sql.gz.gpg":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, model.name)

    s3.meta.events.register("before-call.s3.ListObjectVersions", deny)
    result = audit()
    assert result.exit_code == 3, result.output
    assert (
        "? Could not check the uploads of sql.gz.gpg: ListObjectVersions is denied: no"
        in result.stdout
    )
    assert audit(at=NOW + timedelta(minutes=45)).exit_code == 1
