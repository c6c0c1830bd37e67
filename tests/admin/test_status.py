"""The command `backups status`: what it prints, and its exit status."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import moto.s3.models
import pytest
from botocore.exceptions import ClientError
from click import unstyle
from click.testing import CliRunner

import admin.cli
import localcloud.clock
from admin.account import Account
from admin.cli import cli
from admin.setup.recorded import actual_digests, as_variable
from admin.stage import read_stage
from admin.target import Target
from chalicelib.watching.vault_settings import SETTINGS
from localcloud.clock import clock
from tests.support.project import POLICY, write_variables

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
THIRTY_DAYS = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}


@pytest.fixture
def s3(account: Account, monkeypatch: pytest.MonkeyPatch, own_project: Path) -> Iterator[Any]:
    """Both buckets, with 17 daily backups, and the hourly ones of the last day."""
    s3 = account.client("s3")
    clock.stand_at(NOW - 20 * DAY)
    s3.create_bucket(Bucket="backups1")
    s3.create_bucket(Bucket="backups2", ObjectLockEnabledForBucket=True)
    s3.put_bucket_versioning(Bucket="backups1", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(
        Bucket="backups2",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": THIRTY_DAYS},
    )
    target = Target(account=account, stage=read_stage("dev", project=own_project), policy=POLICY)
    write_variables(own_project, as_variable(actual_digests(target)))
    for days in range(17, -1, -1):
        store(s3, f"{NOW - days * DAY:%Y-%m-%d}.tar.gz.gpg", at=NOW - days * DAY - HOUR)
    for hours in range(24, 0, -1):
        at = NOW - hours * HOUR
        store(s3, f"{at:%Y-%m-%d.%H}.sql.gz.gpg", at=at)
    yield s3
    clock.reset()


def store(s3: Any, name: str, *, at: datetime, size: int = 2000, bucket: str = "backups2") -> None:
    clock.stand_at(at)
    s3.put_object(Bucket=bucket, Key=name, Body=b"b" * size)
    clock.stand_at(NOW)


def status(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["status", *arguments])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 counted the buckets at the beginning of the cloud's day, for CloudWatch."""
    monkeypatch.setattr(moto.s3.models, "utcnow", localcloud.clock.utcnow)


def test_backups_in_order_fit_on_one_screen(s3: Any, counted: None) -> None:
    result = status()
    assert result.exit_code == 0
    assert result.stderr.startswith("Stage dev, account 123456789012")
    assert result.stdout == (
        "backup.tar.gz.gpg\n"
        "  2026-11-23.tar.gz.gpg, 2.0 KiB, 60 minutes old, locked until 2026-12-23\n"
        "  oooooooooooooo  next due Wed 25 Nov 02:00 UTC\n"
        "sql.gz.gpg\n"
        "  2026-11-23.11.sql.gz.gpg, 2.0 KiB, 60 minutes old, locked until 2026-12-23\n"
        "  ............oo  next due Mon 23 Nov 13:15 UTC\n"
        "Each letter is a day, or a longer slot: o stored, . nothing due.\n\n"
        "No findings, and no upload waits for long.\n"
        "backups2 held 82.0 KiB STANDARD in 42 objects on 23 Nov 2026.\n"
        "Backups never expire: it grows by 48.8 KiB a day.\n"
        "If all new uploads were rubbish, the good backups would remain: they never\n"
        "  expire.\n"
    )


def test_what_is_wrong_is_in_letters_and_in_words(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="backups2", Key="2026-11-20.tar.gz.gpg", Body=b"of an intruder")
    store(s3, "2026-11-23.12.sql.gz.gpg", at=NOW - timedelta(minutes=15), size=10)
    store(s3, "sql.gz.gpg", at=NOW - timedelta(minutes=5), bucket="backups1")
    clock.stand_at(NOW + 3 * HOUR)
    result = status()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[2].startswith("  ooooooooooXooo  next due")
    assert lines[5].startswith("  ............oM  next due")
    text = " ".join(result.stdout.split())
    assert "slot: X overwritten or deleted, M missing, o stored, . nothing due." in text
    assert "! 2026-11-20.tar.gz.gpg was overwritten; the second of its 2 versions was" in text
    assert "`backups audit` says what to do." in text
    findings = json.loads(CliRunner().invoke(cli, ["audit", "--json"]).stdout)["findings"]
    assert {each["kind"] for each in findings} == {"overwritten", "missing", "contested", "small"}
    assert json.loads(status("--json").stdout)["findings"] == findings
    assert max(map(len, lines)) <= 80


def test_an_upload_that_waits_for_more_than_an_hour_is_status_1(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(s3, "sql.gz.gpg", at=NOW, bucket="backups1")
    clock.stand_at(NOW + timedelta(minutes=30))
    result = status()
    assert result.exit_code == 0
    assert "= sql.gz.gpg: 1 upload has waited in backups1 for up to 30 minutes\n" in result.stdout
    store(s3, "backup.tar.gz.gpg", at=NOW - DAY, bucket="backups1")  # for a slot that is filled
    clock.stand_at(NOW + timedelta(minutes=44))
    assert "= sql.gz.gpg: 1 upload has waited in backups1 for up to 44" in status().stdout


def test_json_has_each_key_s_newest_backup_days_and_prospects(
    s3: Any, counted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(POLICY, keep_days=35))
    data = json.loads(status("--json", "--rule", "backup.tar.gz.gpg").stdout)
    [backup] = data["backups"]
    version = backup["newest"].pop("version_id")
    assert version == s3.head_object(Bucket="backups2", Key=backup["newest"]["slot"])["VersionId"]
    assert backup["newest"] == {
        "slot": "2026-11-23.tar.gz.gpg",
        "stored": "2026-11-23T11:30:00+00:00",
        "age_seconds": 3601,
        "size": 2000,
        "storage_class": "STANDARD",
        "locked_until": "2026-12-23T11:30:00+00:00",
        "remains_until": "2026-12-28T11:30:00+00:00",
    }
    assert backup["days"][0] == {"day": "2026-11-10", "state": "stored"}
    assert len(backup["days"]) == 14
    assert backup["next_due"] == "2026-11-25T02:00:00+00:00"
    assert backup["waiting"] is None
    assert data["vault"] == {
        "bucket": "backups2",
        "counted": {"day": "2026-11-23", "stored": {"STANDARD": 84000}, "objects": 42},
        "steady_state": {
            "kept_days": 36,
            "bytes_a_day": 2000,
            "stored": {"STANDARD": 72000},
            "unknown": [],
        },
    }
    assert data["findings"] == data["not_checked"] == []
    text = status("--rule", "backup.tar.gz.gpg").stdout
    assert "If everything continues as usual, it will hold 70.3 KiB STANDARD (36 days).\n" in text
    assert text.endswith("would remain until 28 Dec 2026:\n  34 days to notice it.\n")


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        ("s3.ListObjectVersions", "the stored backups of backup.tar.gz.gpg and 5 more"),
        ("s3.GetObjectRetention", "the locks of the stored backups of"),
        ("s3.ListMultipartUploads", "unfinished copies"),
        ("s3.GetBucketPolicy", "the setting policy of backups2"),
        ("cloudwatch.GetMetricData", "the size of backups2"),
    ],
)
def test_what_the_caller_cannot_read_is_not_checked_and_status_3(
    s3: Any, account: Account, operation: str, sentence: str
) -> None:
    service, _, name = operation.partition(".")
    events = account.client(service).meta.events
    with refused(events, f"before-call.{operation}"):
        result = status()
    assert result.exit_code == 3, result.output
    assert f"? Could not check {sentence}" in result.stdout
    assert f"{name} is denied" in " ".join(result.stdout.split())
    assert ("not checked" in result.stdout) is (
        name in {"ListObjectVersions", "GetObjectRetention"}
    )
    assert ("not known" in result.stdout) is (name == "GetMetricData")


@contextmanager
def refused(events: Any, name: str) -> Iterator[None]:
    def deny(model: Any, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, model.name)

    events.register(name, deny)
    try:
        yield
    finally:
        events.unregister(name, deny)


def test_an_empty_vault_has_no_backup_yet(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(POLICY, servers=("new",)))
    result = status()
    assert result.exit_code == 0
    assert result.stdout.count("  no backup yet\n") == 2
    assert "it grows by 0 bytes a day, without 2 that have no backup." in result.stdout
    assert "There is no backup that could remain." in result.stdout


def test_a_backup_older_than_an_audit_looks_is_found_and_nothing_older_is_listed(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.stand_at(NOW + 60 * DAY)
    data = json.loads(status("--json").stdout)
    assert [each["newest"]["slot"] for each in data["backups"]] == [
        "2026-11-23.tar.gz.gpg",
        "2026-11-23.11.sql.gz.gpg",
    ]
    assert {cell["state"] for cell in data["backups"][0]["days"]} == {"missing", "nothing due"}


def test_many_servers_have_one_line_each(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = tuple(f"server-{number:02}.example.org" for number in range(20))
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(POLICY, servers=servers))
    store(s3, "server-07.example.org/2026-11-22.tar.gz.gpg", at=NOW - DAY, size=3_000_000)
    lines = status().stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["newest", "size", "last", "days", "due", "locked"]
    [stored] = [line for line in lines if "MiB" in line and "server" in line]
    assert stored.split() == [
        "server-07.…/backup.t…",
        "24",
        "hours",
        "2.9",
        "MiB",
        "............o.",
        "Tue",
        "02:00",
        "2026-12-22",
    ]
    assert len([line for line in lines if line.startswith("server-")]) == 40
    assert len(lines) < 40 + 12
    only = status("--server", servers[7]).stdout
    assert servers[7] in only
    assert servers[8] not in only


def test_a_server_that_the_policy_does_not_have_is_status_2(s3: Any) -> None:
    result = status("--rule", "sql.gz.gpg", "--server", "web1")
    assert result.exit_code == 2
    assert "The policy does not name the server web1 (it names none)" in result.stderr


def test_colors_are_for_terminals_only(s3: Any) -> None:
    plain = status().stdout
    colored = CliRunner().invoke(cli, ["status"], color=True).stdout
    assert "\x1b[" not in plain
    assert "\x1b[32mo\x1b[0m" in colored
    assert unstyle(colored) == plain


def test_a_rule_and_server_takes_six_requests_however_old_the_vault_is(
    s3: Any, account: Account
) -> None:
    for years in range(1, 11):
        store(s3, f"{2026 - years}-11-23.tar.gz.gpg", at=NOW - 20 * DAY)
    requests = Counter[str]()

    def count(model: Any, **_: Any) -> None:
        requests[model.name] += 1

    account.client("s3").meta.events.register("before-call.s3", count)
    assert status("--rule", "backup.tar.gz.gpg").exit_code == 0
    # The recent backups, the oldest one, the uploads twice, and two locks.
    assert requests["ListObjectVersions"] == 4
    assert requests["GetObjectRetention"] == 2
    # The vault's settings and unfinished copies.
    assert requests.total() == 6 + len(SETTINGS) + 1
