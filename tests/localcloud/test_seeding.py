"""`make local ARGS=--seeded`: three months of backups to list, audit and restore."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from admin.account import Account
from admin.audit.command import auditor_of
from admin.cli import cli
from admin.restore.next_step import next_step
from admin.target import Target
from chalicelib.policy.file import parse_policy
from chalicelib.watching.findings import Kind
from demo import local
from demo.history import HOUR, LATE, SMALL, plan
from demo.keyring import Keyring
from demo.seeding import seed
from localcloud.clock import clock
from localcloud.s3.backend import corrected
from tests.support.project import POLICY, STAGE

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
NIGHTLY, HOURLY = "backup.tar.gz.gpg", "sql.gz.gpg"


@dataclass(frozen=True)
class Seeded:
    """A stage with backups, and the keyring that opens them."""

    target: Target
    keyring: Keyring
    number: int


@pytest.fixture(scope="module")
def seeded() -> Iterator[Seeded]:
    with (
        mock_aws(),
        corrected(),
        Keyring.made() as keyring,
        # Ninety hours are enough here.
        patch("demo.history.MOST", 90),
    ):
        clock.stand_at(NOW)
        account = Account(session=boto3.Session(region_name="us-east-1"))
        s3 = account.client("s3")
        for bucket in ("backups1", "backups2"):
            s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}
        s3.put_object_lock_configuration(
            Bucket="backups2",
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
        )
        number = seed(POLICY, keyring, incoming="backups1", vault="backups2", now=NOW)
        yield Seeded(Target(account=account, stage=STAGE, policy=POLICY), keyring, number)
        clock.reset()


def test_the_same_policy_and_time_give_the_same_backups() -> None:
    nightly = replace(POLICY, rules=POLICY.rules[:1])
    assert plan(nightly, NOW) == plan(nightly, NOW)


def test_there_are_backups_of_each_server_and_rule_with_gaps() -> None:
    planned = plan(POLICY, NOW)
    nights = [each for each in planned if each.key == NIGHTLY]
    hours = [each for each in planned if each.key == HOURLY]
    assert 85 <= len(nights) < 90
    assert 2000 < len(hours) < 90 * 24
    for backups, gaps in ((nights, 2), (hours, 3)):
        missing = [one.slot.start - other.slot.end for one, other in pairwise(backups)]
        assert sum(gap > timedelta() for gap in missing) == gaps


def test_last_night_and_the_night_before_are_there_at_any_time_of_the_day() -> None:
    nightly = replace(POLICY, rules=POLICY.rules[:1])
    for hours in range(0, 24, 3):
        now = NOW + hours * HOUR
        days = {each.slot.start.date() for each in plan(nightly, now)}
        assert (now - timedelta(days=1)).date() in days


@pytest.mark.parametrize("pattern", ["%Y", "%Y-%m", "%G-W%V", "%Y-%m-%d.%H.%M"])
def test_any_policy_can_be_seeded(pattern: str) -> None:
    policy = parse_policy(
        f"""
        timezone = "Etc/UTC"
        servers = ["a", "b"]
        [[rule]]
        upload = "x.gz"
        store_as = "{pattern}.gz"
        """
    )
    planned = plan(policy, NOW)
    assert len(planned) <= 2 * 90 * 24
    assert all(each.stored <= NOW for each in planned)


def test_an_audit_finds_what_has_just_gone_wrong(seeded: Seeded) -> None:
    audited = auditor_of(seeded.target).audit(NOW)
    found = {finding.kind: finding for finding in audited.findings}
    hours = [each for each in plan(POLICY, NOW) if each.key == HOURLY]
    assert found.keys() - {Kind.SETTINGS} == {Kind.CONTESTED, Kind.SMALL, Kind.LATE}
    assert found[Kind.LATE].slot == hours[LATE].slot.name
    assert found[Kind.SMALL].slot == hours[SMALL].slot.name
    assert found[Kind.CONTESTED].rule == NIGHTLY


def test_backups_are_locked_as_if_they_had_been_promoted(seeded: Seeded) -> None:
    s3 = seeded.target.account.client("s3")
    head = s3.head_object(Bucket="backups2", Key="2026-11-22.tar.gz.gpg")
    assert head["LastModified"].date().isoformat() == "2026-11-22"
    assert head["ObjectLockRetainUntilDate"] - head["LastModified"] == timedelta(days=30)
    assert head["Metadata"].keys() >= {"source-key", "source-etag", "source-version-id"}


def test_s3_s_metrics_have_the_bytes_of_all_backups(seeded: Seeded) -> None:
    account = seeded.target.account
    pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket="backups2")
    measured = account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/S3",
        MetricName="BucketSizeBytes",
        Dimensions=[
            {"Name": "BucketName", "Value": "backups2"},
            {"Name": "StorageType", "Value": "StandardStorage"},
        ],
        StartTime=NOW - timedelta(days=1),
        EndTime=NOW,
        Period=86_400,
        Statistics=["Average"],
    )
    [point] = measured["Datapoints"]
    assert point["Average"] == sum(each["Size"] for page in pages for each in page["Contents"])


@pytest.mark.parametrize(
    ("when", "rule", "file", "begins"),
    [
        ("2026-11-22", NIGHTLY, "restored/site/index.html", "<h1>Our village, 2026-11-22"),
        ("2026-11-22T01", HOURLY, "2026-11-22.01.sql", "-- The database, 2026-11-22 01"),
    ],
)
def test_a_backup_can_be_restored_decrypted_and_unpacked(
    seeded: Seeded, in_folder: Path, commands: None, *, when: str, rule: str, file: str, begins: str
) -> None:
    result = CliRunner().invoke(cli, ["restore", when, "--rule", rule])
    assert result.exit_code == 0, result.output
    [backup] = in_folder.iterdir()
    environment = {**os.environ, "GNUPGHOME": str(seeded.keyring.home)}
    subprocess.run(next_step(backup.name), shell=True, env=environment, check=True)
    assert (in_folder / file).read_text().startswith(begins)


@pytest.fixture
def commands(seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command `backups` works on that stage."""
    monkeypatch.setattr("admin.cli.read_policy", lambda: POLICY)
    monkeypatch.setattr("admin.cli.read_stage", lambda _: STAGE)
    monkeypatch.setattr("admin.cli.open_account", lambda stage, **_: seeded.target.account)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty directory in which commands are run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_private_key_is_a_file_of_its_own(seeded: Seeded) -> None:
    private = seeded.keyring.private_key
    assert private.read_text().startswith("-----BEGIN PGP PRIVATE KEY BLOCK-----")


def test_the_keyring_is_removed_with_the_cloud() -> None:
    with Keyring.made() as keyring:
        assert keyring.private_key.exists()
    assert not keyring.home.exists()


def test_an_empty_cloud_cannot_be_seeded() -> None:
    result = CliRunner().invoke(local.main, ["--empty", "--seeded"])
    assert result.exit_code == 2
    assert "--empty and --seeded contradict each other" in result.stderr


def test_without_gpg_nothing_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.local.shutil.which", lambda _: None)
    result = CliRunner().invoke(local.main, ["--seeded"])
    assert result.exit_code == 2
    assert "--seeded needs gpg" in result.stderr
