"""Which backup `backups restore WHEN` restores, and what it prints if none or several match."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chalicelib.policy.file import parse_policy
from tests.support.faults import answers, every
from tests.support.restoring import (
    DAILY,
    HOURLY,
    NOW,
    TODAY,
    Restorer,
    restorer,
    with_policy,
)

DAY = timedelta(days=1)
SERVERS = ("web1", "web2")


@pytest.fixture
def restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    """A daily backup of each of the last days except today, and hourly backups of today."""
    for made in restorer(tmp_path, monkeypatch):
        for days in (60, 5, 4, 2, 1, 0):
            name = f"{NOW - days * DAY:%Y-%m-%d}.tar.gz.gpg"
            made.store(name.encode(), name, at=NOW - days * DAY)
        for hour in (9, 10, 11):
            name = f"2026-11-23.{hour:02}.sql.gz.gpg"
            made.store(name.encode(), name, at=NOW.replace(hour=hour))
        yield made


def restored(restore: Restorer, *arguments: str) -> str:
    """The name of the backup that was restored."""
    result = restore(*arguments)
    assert result.exit_code == 0, result.output
    [(name, body)] = restore.files().items()
    (restore.folder / name).unlink()
    assert body.decode().rpartition("/")[2] == name
    assert result.stdout == f"{name}\n"
    return body.decode()


@pytest.mark.parametrize(
    ("when", "rule", "name"),
    [
        ("latest", DAILY, TODAY),
        ("latest", HOURLY, "2026-11-23.11.sql.gz.gpg"),
        ("2026-11-19", DAILY, "2026-11-19.tar.gz.gpg"),
        ("2026-11-19T05", DAILY, "2026-11-19.tar.gz.gpg"),
        ("2026-11-23T10", HOURLY, "2026-11-23.10.sql.gz.gpg"),
        ("2026-11-23 10", HOURLY, "2026-11-23.10.sql.gz.gpg"),
        ("2026-11-23T10:59", HOURLY, "2026-11-23.10.sql.gz.gpg"),
        ("2026-11-23", HOURLY, "2026-11-23.11.sql.gz.gpg"),
        ("1 day ago", DAILY, "2026-11-22.tar.gz.gpg"),
        ("5 days ago", DAILY, "2026-11-18.tar.gz.gpg"),
        ("2 hours ago", HOURLY, "2026-11-23.10.sql.gz.gpg"),
        ("90 minutes ago", HOURLY, "2026-11-23.11.sql.gz.gpg"),
        ("2026-09-24", DAILY, "2026-09-24.tar.gz.gpg"),
    ],
)
def test_when_names_a_backup(restore: Restorer, when: str, rule: str, name: str) -> None:
    assert restored(restore, when, "--rule", rule) == name


def test_a_day_with_several_backups_says_how_to_choose(restore: Restorer) -> None:
    result = restore("2026-11-23", "--rule", HOURLY)
    assert (
        "There are 3 backups of sql.gz.gpg for 2026-11-23. This is the last one; choose another "
        "one by its time, such as 2026-11-23T09.\n"
    ) in result.stderr


def test_latest_is_found_however_old_it_is(restore: Restorer) -> None:
    for days in (5, 4, 2, 1, 0):
        key = f"{NOW - days * DAY:%Y-%m-%d}.tar.gz.gpg"
        [version] = restore.s3.list_object_versions(Bucket="backups2", Prefix=key)["Versions"]
        restore.s3.delete_object(Bucket="backups2", Key=key, VersionId=version["VersionId"])
    assert restored(restore, "latest", "--rule", DAILY) == "2026-09-24.tar.gz.gpg"


def test_latest_does_not_depend_on_the_clock_of_this_machine(restore: Restorer) -> None:
    name = "2027-01-31.tar.gz.gpg"
    restore.store(name.encode(), name)
    assert restored(restore, "latest", "--rule", DAILY) == name


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        (
            "2026-11-20",
            (
                "There is no backup of backup.tar.gz.gpg for 2026-11-20; the nearest are "
                "2026-11-19.tar.gz.gpg and 2026-11-21.tar.gz.gpg"
            ),
        ),
        (
            "3 days ago",
            (
                "There is no backup of backup.tar.gz.gpg for 3 days ago; the nearest are "
                "2026-11-19.tar.gz.gpg and 2026-11-21.tar.gz.gpg"
            ),
        ),
        (
            "2020-01-01",
            (
                "There is no backup of backup.tar.gz.gpg for 2020-01-01; the nearest is "
                "2026-09-24.tar.gz.gpg"
            ),
        ),
        (
            "2026-11-24",
            (
                "There is no backup of backup.tar.gz.gpg for 2026-11-24; the nearest is "
                "2026-11-23.tar.gz.gpg"
            ),
        ),
    ],
)
def test_a_date_without_a_backup_names_the_nearest(
    restore: Restorer, when: str, sentence: str
) -> None:
    result = restore(when, "--rule", DAILY)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == [f"Error: {sentence}"]
    assert restore.files() == {}


@pytest.mark.parametrize("when", ["latest", "2026-11-20"])
def test_nothing_stored_is_status_1(
    restore: Restorer, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(monkeypatch, servers=("web1",))
    result = restore(when, "--rule", DAILY)
    assert result.exit_code == 1
    assert "Error: There is no backup of web1/backup.tar.gz.gpg" in result.stderr


# Rules and servers


def test_several_rules_are_named(restore: Restorer) -> None:
    result = restore("latest")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: There are several kinds of backups; add --rule backup.tar.gz.gpg or --rule "
        "sql.gz.gpg\n"
    )
    assert restore.wire.sent == []


@pytest.fixture
def servers(restore: Restorer, monkeypatch: pytest.MonkeyPatch) -> Restorer:
    """A restorer with a daily and an hourly backup of each of two servers."""
    with_policy(monkeypatch, servers=SERVERS)
    for server in SERVERS:
        for name in (f"{server}/{TODAY}", f"{server}/2026-11-23.11.sql.gz.gpg"):
            restore.store(name.encode(), name)
    return restore


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            (),
            (
                "There are several kinds of backups; add --rule backup.tar.gz.gpg or --rule "
                "sql.gz.gpg, and --server web1 or --server web2"
            ),
        ),
        (
            ("--rule", DAILY),
            "There are several kinds of backups; add --server web1 or --server web2",
        ),
        (
            ("--server", "web1"),
            "There are several kinds of backups; add --rule backup.tar.gz.gpg or --rule sql.gz.gpg",
        ),
        (
            ("--rule", "nothing"),
            "The policy has no rule nothing; it has backup.tar.gz.gpg, sql.gz.gpg",
        ),
        (
            ("--server", "../x"),
            'servers has "../x"; use letters, digits, - _ . and begin with a letter or a digit',
        ),
    ],
)
def test_what_is_ambiguous_or_unknown_is_refused(
    servers: Restorer, options: tuple[str, ...], sentence: str
) -> None:
    result = servers("latest", *options)
    assert result.exit_code == 2
    assert result.stderr == f"Error: {sentence}\n"


@pytest.mark.parametrize("server", SERVERS)
def test_a_backup_of_a_server(servers: Restorer, server: str) -> None:
    assert restored(servers, "latest", "--rule", DAILY, "--server", server) == f"{server}/{TODAY}"


def test_only_one_kind_needs_no_option(servers: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    [daily, _] = parse_policy("""
timezone = "Etc/UTC"
[[rule]]
upload = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
[[rule]]
upload = "sql.gz.gpg"
store_as = "%Y-%m-%d.%H.sql.gz.gpg"
""").rules
    with_policy(monkeypatch, servers=("web2",), rules=(daily,))
    assert restored(servers, "latest") == f"web2/{TODAY}"


def test_backups_of_a_server_that_the_policy_no_longer_names(
    servers: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(monkeypatch, servers=("web3",))
    assert restored(servers, "latest", "--rule", DAILY, "--server", "web1") == f"web1/{TODAY}"
    result = servers("latest", "--rule", DAILY, "--server", "wbe1")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == [
        "The policy does not name the server wbe1 (it names web3).",
        "Error: There is no backup of wbe1/backup.tar.gz.gpg",
    ]


# Tampered


def test_the_oldest_version_is_restored_and_reported(restore: Restorer) -> None:
    other = restore.store(b"rubbish")
    result = restore("latest", "--rule", DAILY)
    assert result.exit_code == 0
    assert restore.files() == {TODAY: TODAY.encode()}
    assert (
        f"{TODAY} has 2 versions: somebody has overwritten it. The oldest is the backup; "
        "--version-id chooses another one. See docs/break-in.md.\n"
    ) in result.stderr
    restore("latest", "--rule", DAILY, "--version-id", other, "--force")
    assert restore.files() == {TODAY: b"rubbish"}


@pytest.mark.parametrize("when", ["latest", "2026-11-23"])
def test_a_backup_under_a_delete_marker_is_restored_and_this_is_reported(
    restore: Restorer, when: str
) -> None:
    restore.s3.delete_object(Bucket="backups2", Key=TODAY)
    result = restore(when, "--rule", DAILY)
    assert result.exit_code == 0
    assert restore.files() == {TODAY: TODAY.encode()}
    assert f"{TODAY} is under a delete marker: somebody has deleted it" in result.stderr


def test_a_delete_marker_has_no_bytes(restore: Restorer) -> None:
    marker = restore.s3.delete_object(Bucket="backups2", Key=TODAY)["VersionId"]
    result = restore("latest", "--rule", DAILY, "--version-id", marker)
    assert result.exit_code == 1
    assert f"Error: Version {marker} of {TODAY} is a delete marker" in result.stderr


def test_a_version_that_does_not_exist(restore: Restorer) -> None:
    gone = restore.store(b"gone")
    restore.s3.delete_object(Bucket="backups2", Key=TODAY, VersionId=gone)
    result = restore("latest", "--rule", DAILY, "--version-id", gone)
    assert result.exit_code == 1
    assert (
        f"Error: {TODAY} has no version {gone}; it was removed, or never existed" in result.stderr
    )


# Clocks


def in_london(monkeypatch: pytest.MonkeyPatch) -> None:
    london = parse_policy("""
timezone = "Europe/London"
[[rule]]
upload = "sql.gz.gpg"
store_as = "%Y-%m-%d.%H.sql.gz.gpg"
""")
    with_policy(monkeypatch, timezone=ZoneInfo("Europe/London"), rules=london.rules)


@pytest.mark.parametrize(
    ("when", "name"),
    [
        ("2026-10-25T00", "2026-10-25.00.sql.gz.gpg"),
        ("2026-10-25T01", "2026-10-25.01.sql.gz.gpg"),
        ("2026-10-25T01b", "2026-10-25.01b.sql.gz.gpg"),
        ("2026-10-25T01b:30", "2026-10-25.01b.sql.gz.gpg"),
        ("2026-10-25T02", "2026-10-25.02.sql.gz.gpg"),
        ("2026-10-25", "2026-10-25.02.sql.gz.gpg"),
    ],
)
def test_the_second_hour_of_autumn(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch, when: str, name: str
) -> None:
    in_london(monkeypatch)
    begin = datetime(2026, 10, 24, 23, 7, tzinfo=UTC)
    for hours, hour in enumerate(["00", "01", "01b", "02"]):
        stored = f"2026-10-25.{hour}.sql.gz.gpg"
        restore.store(stored.encode(), stored, at=begin + timedelta(hours=hours))
    assert restored(restore, when) == name


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ("2026-03-29T01", "Clocks in Europe/London skip 2026-03-29T01"),
        ("2026-03-29T01b", "Clocks in Europe/London skip 2026-03-29T01b"),
        ("2026-10-25T02b", "Clocks in Europe/London show this hour only once; leave out the b"),
    ],
)
def test_an_hour_that_does_not_exist(
    restore: Restorer, monkeypatch: pytest.MonkeyPatch, when: str, sentence: str
) -> None:
    in_london(monkeypatch)
    result = restore(when)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1:] == [f"Error: {sentence}"]


@pytest.mark.parametrize(
    "when",
    [
        "yesterday",
        "2026-11-31",
        "2026-11-20T24",
        "2026-11-20T14:60",
        "1969-12-31",
        "9001-01-01",
        "0000-01-01",
        "99999 weeks ago",
        "\uff13 days ago",
        "2026-11-20b",
        "",
    ],
)
def test_what_is_not_a_time(restore: Restorer, when: str) -> None:
    result = restore(when, "--rule", DAILY)
    assert result.exit_code == 2
    assert f"Error: Invalid value for 'WHEN': {when!r} is " in result.stderr
    assert restore.wire.sent == []


# What cannot be read


def deny(restore: Restorer, operation: str, status: int, code: str) -> Any:
    restore.wire.plan(every(operation, answers(status, code)))
    result = restore("latest", "--rule", DAILY)
    assert result.exit_code == 3
    assert restore.files() == {}
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("operation", "status", "sentence"),
    [
        ("ListObjectVersions", 403, "ListObjectVersions is denied: AccessDenied"),
        (
            "HeadObject",
            403,
            (
                f"Reading {TODAY} is denied; it needs s3:GetObjectVersion on the vault, and "
                "kms:Decrypt if the backup is encrypted with a KMS key"
            ),
        ),
        ("HeadObject", 503, "HeadObject returned 503: Service Unavailable"),
    ],
)
def test_what_is_denied_is_status_3(
    restore: Restorer, operation: str, status: int, sentence: str
) -> None:
    assert deny(restore, operation, status, "AccessDenied") == f"Error: {sentence}"


def test_an_object_whose_key_its_sender_kept(restore: Restorer) -> None:
    restore.store(b"sealed", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    [sealed, _] = restore.s3.list_object_versions(Bucket="backups2", Prefix=TODAY)["Versions"]
    result = restore("latest", "--rule", DAILY, "--version-id", sealed["VersionId"])
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith(
        "Error: GetObject returned InvalidRequest: The object was stored using a form of Server "
        "Side Encryption."
    )


def test_a_backup_under_a_kms_key(restore: Restorer) -> None:
    restore.store(TODAY.encode(), "2026-11-24.tar.gz.gpg", ServerSideEncryption="aws:kms")
    assert restore("latest", "--rule", DAILY).exit_code == 0


def test_latest_lists_only_recent_names(restore: Restorer) -> None:
    restored(restore, "latest", "--rule", DAILY)
    [request] = [params for name, params in restore.wire.calls if name == "ListObjectVersions"]
    assert request["KeyMarker"] == "2026-10-19.tar.gz.gp"
