"""`backups list`: what is stored, the gaps, and what others have changed."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

import admin.cli
from admin.listing import rows as listing_rows
from admin.listing.command import CONNECTIONS, list_backups
from chalicelib.policy.file import parse_policy
from tests.support.restoring import DAILY, HOURLY, NOW, Restorer, with_policy

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
Lister = Callable[..., Result]


@pytest.fixture
def listed(restore: Restorer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lister]:
    """Runs the command."""
    at_now = partial(list_backups, now=NOW)
    monkeypatch.setattr(admin.cli, "list_backups", lambda *args, **_: at_now(*args))
    return lambda *arguments: CliRunner().invoke(admin.cli.cli, ["list", *arguments])


def daily(days_ago: int) -> str:
    return f"{NOW - days_ago * DAY:%Y-%m-%d}.tar.gz.gpg"


def store_days(restore: Restorer, *days_ago: int) -> None:
    for days in days_ago:
        restore.store(b"a backup" * 200, daily(days), at=NOW - days * DAY)


def table(result: Result, *, status: int = 0) -> list[str]:
    assert result.exit_code == status, result.output
    return result.stdout.splitlines()


def data(result: Result, *, status: int = 0) -> Any:
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def names(lines: list[str]) -> list[str]:
    """The names in the rows of a table."""
    return [line.split()[0] for line in lines if line.startswith("  ")]


def test_each_backup_has_its_name_size_time_and_class(restore: Restorer, listed: Lister) -> None:
    store_days(restore, 1, 0)
    restore.store(b"x", "2026-11-23.12.sql.gz.gpg", StorageClass="STANDARD_IA")
    result = listed()
    assert table(result) == [
        "backup.tar.gz.gpg (times in Etc/UTC)",
        "  2026-11-22.tar.gz.gpg            1,600  2026-11-22 12:30  STANDARD",
        "  2026-11-23.tar.gz.gpg            1,600  2026-11-23 12:30  STANDARD",
        "sql.gz.gpg (times in Etc/UTC)",
        "  2026-11-23.12.sql.gz.gpg                1  2026-11-23 12:30  STANDARD_IA",
    ]
    assert result.stderr == "Stage dev, account 123456789012, region us-east-1\n"


def test_an_empty_vault_has_no_backup(listed: Lister) -> None:
    assert table(listed("--rule", DAILY))[1:] == ["  no backup in this time"]
    assert data(listed("--json")) == []


def test_35_days_are_listed_by_default(restore: Restorer, listed: Lister) -> None:
    store_days(restore, 36, 35, 34)
    lines = table(listed("--rule", DAILY))
    assert names(lines)[:2] == [daily(35), daily(34)]
    assert daily(36) not in "".join(lines)


# Gaps


def test_gaps_are_shown_as_gaps(restore: Restorer, listed: Lister) -> None:
    store_days(restore, 9, 7, 6, 2, 0)
    assert [line.split("  ")[1] for line in table(listed("--rule", DAILY))[1:]] == [
        daily(9),
        daily(8),
        daily(7),
        daily(6),
        f"{daily(5)} to {daily(3)}",
        daily(2),
        daily(1),
        daily(0),
    ]
    assert [entry for entry in data(listed("--json")) if entry["kind"] == "missing"][1] == {
        "upload": DAILY,
        "rule": DAILY,
        "server": None,
        "kind": "missing",
        "first": daily(5),
        "last": daily(3),
        "slots": 3,
    }


@pytest.mark.parametrize(("number", "shown"), [(0, 2), (1, 1)])
def test_a_gap_up_to_now_has_only_what_is_due(
    restore: Restorer, listed: Lister, number: int, shown: int
) -> None:
    # Today's backup is not due before tomorrow.
    store_days(restore, 3)
    since = ["--since", (NOW - (3 - number) * DAY).isoformat()]
    [*_, gap] = data(listed("--rule", DAILY, "--json", *since))
    assert (gap["kind"], gap["first"], gap["last"]) == ("missing", daily(2), daily(1))


def test_nothing_is_missing_before_the_first_backup(restore: Restorer, listed: Lister) -> None:
    store_days(restore, 3, 2, 1, 0)
    assert "missing" not in listed("--rule", DAILY).stdout


def test_a_gap_is_one_however_much_is_listed_at_once(
    restore: Restorer, listed: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_days(restore, 20, 5, 0)
    lines = listed("--rule", DAILY).stdout
    monkeypatch.setattr(listing_rows, "AT_ONCE", 3)
    assert listed("--rule", DAILY).stdout == lines
    assert lines.count("missing") == 2


def test_names_that_no_upload_could_have_are_passed_over(restore: Restorer, listed: Lister) -> None:
    store_days(restore, 24, 23, 22, 21)
    for day in (32, 33):
        restore.store(b"x", f"2026-10-{day}.tar.gz.gpg", at=NOW)
    lines = table(listed("--rule", DAILY, "--until", "2026-11-02"))
    assert names(lines) == [daily(days) for days in (24, 23, 22, 21)]


RARELY = """
timezone = "Etc/UTC"
[[rule]]
upload   = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
expect   = {expect}
"""


@pytest.mark.parametrize(
    ("expect", "gaps"), [('"80h"', [f"{daily(9)} to {daily(4)}", daily(2)][:1]), ("false", [])]
)
def test_rules_that_expect_fewer_backups_have_fewer_gaps(
    restore: Restorer,
    listed: Lister,
    monkeypatch: pytest.MonkeyPatch,
    expect: str,
    gaps: list[str],
) -> None:
    policy = parse_policy(RARELY.format(expect=expect))
    with_policy(monkeypatch, rules=policy.rules)
    store_days(restore, 12, 10, 3, 1)
    lines = table(listed())
    assert [line.strip().removesuffix("  missing") for line in lines if "missing" in line] == gaps


def test_the_hour_that_clocks_skip_is_not_missing_and_the_second_one_is_listed(
    restore: Restorer, listed: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    london = parse_policy(RARELY.format(expect="true").replace("Etc/UTC", "Europe/London"))
    [rule] = london.rules
    hourly = parse_policy(
        'timezone = "Europe/London"\n[[rule]]\nupload = "sql.gz.gpg"\n'
        'store_as = "%Y-%m-%d.%H.sql.gz.gpg"\n'
    )
    with_policy(monkeypatch, rules=(rule, *hourly.rules))
    for name, hour in (("00", 0), ("02", 1)):
        at = datetime(2026, 3, 29, hour, 30, tzinfo=UTC)
        restore.store(b"x", f"2026-03-29.{name}.sql.gz.gpg", at=at)
    assert (
        "missing"
        not in listed("--rule", HOURLY, "--since", "2026-03-29", "--until", "2026-03-29T02").stdout
    )
    for name, hour in (("01", 0), ("01b", 1)):
        at = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
        restore.store(b"x", f"2026-10-25.{name}.sql.gz.gpg", at=at)
    autumn = table(
        listed("--rule", HOURLY, "--since", "2026-10-25T01", "--until", "2026-10-25T01b")
    )
    assert names(autumn) == ["2026-10-25.01.sql.gz.gpg", "2026-10-25.01b.sql.gz.gpg"]


# Which


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "2026-11-21"], [2, 1, 0]),
        (["--since", "2026-11-21", "--until", "2026-11-22"], [2, 1]),
        (["--until", "2026-11-20"], [5, 4, 3]),
        (["--since", "2026-11-21T00:00:00Z", "--until", "2026-11-22T00:00:00Z"], [2, 1]),
        (["--since", "3 days ago", "--until", "2 days ago"], [3, 2]),
        (["--last", "2"], [1, 0]),
        (["--last", "9"], [5, 4, 3, 2, 1, 0]),
        (["--last", "2", "--until", "2026-11-20"], [4, 3]),
    ],
)
def test_periods(
    restore: Restorer, listed: Lister, arguments: list[str], expected: list[int]
) -> None:
    store_days(restore, 5, 4, 3, 2, 1, 0)
    lines = table(listed("--rule", DAILY, *arguments))
    assert names(lines) == [daily(days) for days in expected]


def test_a_day_is_a_day_on_the_rules_clocks(
    restore: Restorer, listed: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = parse_policy(
        'timezone = "America/New_York"\n[[rule]]\nupload = "sql.gz.gpg"\n'
        'store_as = "%Y-%m-%d.%H.sql.gz.gpg"\n'
    )
    with_policy(monkeypatch, rules=policy.rules)
    for hour in (3, 4, 5):
        at = datetime(2026, 11, 23, hour, 30, tzinfo=UTC)
        local = at.astimezone(policy.rules[0].timezone)
        restore.store(b"x", f"{local:%Y-%m-%d.%H}.sql.gz.gpg", at=at)
    assert names(table(listed("--since", "2026-11-23")))[0] == "2026-11-23.00.sql.gz.gpg"
    assert names(table(listed("--until", "2026-11-22"))) == [
        "2026-11-22.22.sql.gz.gpg",
        "2026-11-22.23.sql.gz.gpg",
    ]


def test_last_with_gaps_shows_those_between_them(restore: Restorer, listed: Lister) -> None:
    store_days(restore, 50, 48, 1)
    lines = table(listed("--rule", DAILY, "--last", "2"))
    assert len(lines) == 4
    assert lines[2] == f"  {daily(47)} to {daily(2)}  missing"


def test_servers_and_rules(
    restore: Restorer, listed: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(monkeypatch, servers=("web1", "db1"))
    for server in ("web1", "db1", "old1"):
        restore.store(b"x", f"{server}/{daily(0)}")
    keys = [line.split()[0] for line in table(listed()) if not line.startswith(" ")]
    assert keys == [f"{server}/{rule}" for server in ("web1", "db1") for rule in (DAILY, HOURLY)]
    assert len(table(listed("--server", "db1"))) == 4
    assert len(table(listed("--server", "db1", "--rule", DAILY))) == 2
    # A server's backups stay when the policy no longer names the server.
    result = listed("--server", "old1", "--rule", DAILY)
    assert names(table(result)) == [f"old1/{daily(0)}"]
    assert "The policy does not name the server old1 (it names web1, db1).\n" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rule", "x"], "The policy has no rule x; it has backup.tar.gz.gpg, sql.gz.gpg"),
        (["--last", "3", "--since", "2026-11-01"], "--last and --since contradict each other"),
        (["--since", "2026-11-20", "--until", "2026-11-19"], "--since must be before --until"),
        (["--since", "2026-11-30"], "--since must be before --until, and not in the future"),
        (["--since", "latest"], "'latest' is not a time; write 2026-11-20, 2026-11-20T14,"),
        (["--since", "2026-11-20T14:00:00"], "'2026-11-20T14:00:00' is not a time; write 2026"),
        (["--since", "2026-13-01"], "'2026-13-01' is not a time: month must be in 1..12"),
        (["--until", "0900-01-01T00:00:00Z"], "is outside the years 1970 to 9000"),
    ],
)
def test_wrong_usage_is_one_sentence(listed: Lister, arguments: list[str], sentence: str) -> None:
    result = listed(*arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert result.stdout == ""


# What others have changed


def test_slots_with_several_versions_and_under_delete_markers_are_marked(
    restore: Restorer, listed: Lister
) -> None:
    store_days(restore, 3, 2, 1, 0)
    first = restore.store(b"first", daily(4), at=NOW - 4 * DAY)
    restore.store(b"other", daily(4), at=NOW - 3 * DAY)
    restore.s3.delete_object(Bucket="backups2", Key=daily(2))
    restore.s3.delete_object(Bucket="backups2", Key=daily(5))
    lines = table(listed("--rule", DAILY))
    overwritten = "OVERWRITTEN: 2 versions, this is the first"
    deleted = "DELETED on 2026-11-23: it is under a delete marker"
    assert lines[1:5] == [
        f"  {daily(5)}                -  2026-11-18 00:00  DELETED: only a delete marker is left",
        f"  {daily(4)}                5  2026-11-19 12:30  STANDARD  {overwritten}",
        f"  {daily(3)}            1,600  2026-11-20 12:30  STANDARD",
        f"  {daily(2)}            1,600  2026-11-21 12:30  STANDARD  {deleted}",
    ]
    marker, second, _, third, *_ = data(listed("--rule", DAILY, "--json"))
    assert (marker["size"], marker["versions"], marker["storage_class"]) == (None, 0, None)
    assert second["version_id"] == first
    assert second["overwritten"] == (NOW - 3 * DAY).isoformat()
    assert third["deleted"] == NOW.isoformat()
    assert third["overwritten"] is None


# Details


def test_details_are_those_of_the_first_version(restore: Restorer, listed: Lister) -> None:
    restore.store(b"first", daily(0))
    restore.store(b"other", daily(0))
    [entry] = data(listed("--rule", DAILY, "--details", "--json"))
    head = restore.s3.head_object(
        Bucket="backups2", Key=daily(0), VersionId=entry["version_id"], ChecksumMode="ENABLED"
    )
    assert entry["checksum"] == f"CRC32:{head['ChecksumCRC32']}"
    assert (entry["size"], head["ContentLength"]) == (5, 5)
    assert (entry["locked_until"], entry["not_checked"]) == (None, [])
    [_, line] = table(listed("--rule", DAILY, "--details"))
    assert f"  not locked  CRC32:{head['ChecksumCRC32']}  " in line


def test_details_of_another_encryption(restore: Restorer, listed: Lister) -> None:
    restore.store(b"x", daily(1), at=NOW - DAY, ServerSideEncryption="aws:kms", SSEKMSKeyId="its")
    key: Any = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    restore.store(b"x", daily(0), **key)
    [_, kms, customer] = table(listed("--rule", DAILY, "--details"), status=3)
    assert kms.endswith("  ENCRYPTED with aws:kms its")
    assert customer.endswith(
        "  lock not checked  checksum not checked  ENCRYPTED with a key that only its writer has "
        "(SSE-C)"
    )


# What cannot be read


def deny(restore: Restorer, operation: str, *, prefix: str = "", code: str = "403") -> None:
    """Deny the command's requests of this operation (of listings, only those of a prefix)."""

    def refuse(params: Any, model: Any, **_: Any) -> None:
        if params["query_string"].get("prefix", "").startswith(prefix):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, model.name)

    client = restore.account.client("s3", max_pool_connections=CONNECTIONS)
    client.meta.events.register(f"before-call.s3.{operation}", refuse)


@pytest.mark.parametrize(
    ("operation", "not_checked"),
    [
        ("HeadObject", ["checksum", "lock", "encryption"]),
        ("GetObjectRetention", ["lock"]),
    ],
)
def test_details_that_cannot_be_read_are_not_checked(
    restore: Restorer, listed: Lister, operation: str, not_checked: list[str]
) -> None:
    store_days(restore, 1, 0)
    deny(restore, operation)
    result = listed("--rule", DAILY, "--details")
    assert "lock not checked" in table(result, status=3)[1]
    assert result.stderr.endswith("Error: Your credentials cannot read everything; see above.\n")
    first, second = data(listed("--rule", DAILY, "--details", "--json"), status=3)
    assert first["not_checked"] == second["not_checked"] == not_checked
    # Without the details, nothing is missing.
    assert listed("--rule", DAILY).exit_code == 0


def test_a_server_that_cannot_be_listed_is_not_checked_and_the_others_are_listed(
    restore: Restorer, listed: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(monkeypatch, servers=("web1", "db1"))
    for server in ("web1", "db1"):
        restore.store(b"x", f"{server}/{daily(0)}")
    deny(restore, "ListObjectVersions", prefix="web1/", code="AccessDenied")
    lines = table(listed("--rule", DAILY), status=3)
    assert lines[1] == "  not checked: ListObjectVersions is denied: no"
    assert names(lines[2:]) == [f"db1/{daily(0)}"]
    refused, other = data(listed("--rule", DAILY, "--json"), status=3)
    assert refused == {
        "upload": f"web1/{DAILY}",
        "rule": DAILY,
        "server": "web1",
        "kind": "not checked",
        "why": "ListObjectVersions is denied: no",
    }
    assert other["kind"] == "backup"


def test_an_error_of_s3_is_one_sentence(restore: Restorer, listed: Lister) -> None:
    deny(restore, "ListObjectVersions", code="NoSuchBucket")
    result = listed()
    assert result.exit_code == 3
    assert result.stderr.splitlines()[1:] == ["Error: ListObjectVersions returned NoSuchBucket: no"]


# Large amounts


def test_it_lists_a_thousand_names_with_a_request_and_needs_no_other(
    restore: Restorer, listed: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_days(restore, 5, 0)
    requests: list[str] = []
    client = restore.account.client("s3", max_pool_connections=CONNECTIONS)
    client.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    listed("--rule", DAILY)
    # The second request finds out whether there are older backups, before which nothing is missing.
    assert requests == ["ListObjectVersions"] * 2
    listed("--rule", DAILY, "--details")
    assert sorted(requests[4:]) == ["GetObjectRetention"] * 2 + ["HeadObject"] * 2
