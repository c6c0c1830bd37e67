"""`backups verify`: stored backups exist, have one version, are locked, and can be unpacked."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

import admin.cli
from admin.verify.command import verify
from tests.support.project import stage_named
from tests.support.restoring import (
    DAILY,
    HOURLY,
    NOW,
    SMALL,
    TODAY,
    Restorer,
)

DAY = timedelta(days=1)
SQL = "2026-11-23.12.sql.gz.gpg"
Verifier = Callable[..., Result]


@pytest.fixture
def verified(restore: Restorer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Verifier]:
    """Runs the command in a stage without a lock."""
    return command(monkeypatch, SMALL)


def command(monkeypatch: pytest.MonkeyPatch, tuning: Any) -> Verifier:
    stage = replace(stage_named("dev"), lock=None)
    monkeypatch.setattr(admin.cli, "read_stage", lambda _: stage)
    at_now = partial(verify, now=NOW, tuning=tuning)
    monkeypatch.setattr(admin.cli, "verify_backups", lambda *args, **_: at_now(*args))
    return lambda *arguments: CliRunner().invoke(admin.cli.cli, ["verify", *arguments])


def source(at: datetime, key: str = DAILY) -> dict[str, str]:
    return {"source-key": key, "source-last-modified": at.isoformat()}


def store(
    restore: Restorer, days_ago: int = 0, *, body: bytes = b"x", name: str = "", **more: Any
) -> str:
    at = NOW - days_ago * DAY
    key = HOURLY if "sql" in name else DAILY
    more = {
        "ServerSideEncryption": "AES256",
        "Metadata": source(at - timedelta(minutes=5), key),
        **more,
    }
    return restore.store(body, name or f"{at:%Y-%m-%d}.tar.gz.gpg", at=at, **more)


def whats(result: Result, *, status: int = 1) -> list[str]:
    assert result.exit_code == status, result.output
    return [line[2:] for line in result.stdout.splitlines() if line.startswith("! ")]


def last_line(result: Result) -> str:
    return str(result.stdout.splitlines()[-1])


# Every stored backup


def test_backups_as_promised_are_one_line(restore: Restorer, verified: Verifier) -> None:
    for days in range(3):
        store(restore, days)
    store(restore, name=SQL)
    result = verified()
    assert result.exit_code == 0, result.output
    assert result.stdout == "Verified 4 backups: no findings\n"
    assert result.stderr == "Stage dev, account 123456789012, region us-east-1\n"


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ([], 4),
        (["--all"], 5),
        (["--since", "2026-11-22"], 3),
        (["--until", "2026-11-22"], 2),
        (["--since", "2026-11-22", "--until", "2026-11-22"], 1),
        (["--rule", HOURLY], 1),
        (["--rule", DAILY, "--all"], 4),
    ],
)
def test_ranges(restore: Restorer, verified: Verifier, arguments: list[str], number: int) -> None:
    for days in (0, 1, 20, 40):
        store(restore, days)
    store(restore, name=SQL)
    plural = "s" * (number != 1)
    assert last_line(verified(*arguments)) == f"Verified {number} backup{plural}: no findings"


def overwrite(restore: Restorer) -> None:
    store(restore)
    store(restore, body=b"other")


def delete(restore: Restorer) -> None:
    store(restore)
    restore.s3.delete_object(Bucket="backups2", Key=TODAY)


def only_a_marker(restore: Restorer) -> None:
    restore.s3.delete_object(Bucket="backups2", Key=TODAY)


def another_key(restore: Restorer) -> None:
    store(restore, ServerSideEncryption="aws:kms", SSEKMSKeyId="its-key")


def a_key_of_the_writer(restore: Restorer) -> None:
    restore.store(b"x", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)


def no_source(restore: Restorer) -> None:
    store(restore, Metadata={})


def another_source(restore: Restorer) -> None:
    store(restore, Metadata=source(NOW, HOURLY))


def another_day(restore: Restorer) -> None:
    store(restore, Metadata=source(NOW - 4 * DAY))


def a_day_to_come(restore: Restorer) -> None:
    at = NOW + 4 * DAY
    store(restore, name=f"{at:%Y-%m-%d}.tar.gz.gpg", Metadata=source(at))


WRONG = {
    "overwritten": (overwrite, f"{TODAY} was overwritten; the second of its 2 versions"),
    "deleted": (delete, f"{TODAY} was deleted; a delete marker was added"),
    "only a marker": (only_a_marker, f"{TODAY} was deleted; a delete marker was added"),
    "another key": (another_key, f"{TODAY} is encrypted with aws:kms its-key, not with S3's own"),
    "SSE-C": (a_key_of_the_writer, f"{TODAY} is encrypted with a key that only its writer has"),
    "no source": (no_source, f"{TODAY} does not say which upload it was copied from"),
    "another source": (
        another_source,
        f"{TODAY} was copied from the upload {HOURLY}, but should be from {DAILY}",
    ),
    "another day": (
        another_day,
        (
            f"{TODAY} was copied from an upload of 2026-11-19 12:30 UTC, which belongs in "
            "2026-11-19.tar.gz.gpg"
        ),
    ),
    "a day to come": (
        a_day_to_come,
        (
            "2026-11-27.tar.gz.gpg was stored 2026-11-23 12:30 UTC, but names an upload of "
            "2026-11-27 12:30 UTC as its source"
        ),
    ),
}


@pytest.mark.parametrize(("do", "what"), WRONG.values(), ids=WRONG)
def test_what_is_not_as_promised_is_found(
    restore: Restorer, verified: Verifier, do: Callable[[Restorer], None], what: str
) -> None:
    store(restore, 1)
    do(restore)
    result = verified("--rule", DAILY)
    [finding] = whats(result)
    assert finding.startswith(what)
    assert last_line(result) == "Verified 2 backups: 1 finding"
    data = json.loads(verified("--rule", DAILY, "--json").stdout)
    assert data["verified"] == 2
    assert [each["what"] for each in data["findings"]] == [finding]
    assert (data["not_checked"], data["unpacked"]) == ([], [])


def test_a_backup_that_is_not_locked_as_promised(
    restore: Restorer, verified: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.cli, "read_stage", lambda _: stage_named("dev"))
    for days in (0, 20, 34):
        store(restore, days)
    # The lock of the oldest would have ended by now.
    assert whats(verified("--rule", DAILY)) == [
        "2026-11-03.tar.gz.gpg is not locked, but should be locked until 2026-12-03 12:30 UTC",
        "2026-11-23.tar.gz.gpg is not locked, but should be locked until 2026-12-23 12:30 UTC",
    ]


def test_a_rules_other_time_zone_explains_its_older_names(
    restore: Restorer, verified: Verifier
) -> None:
    # Stored while the rule's time zone was 14 hours ahead.
    store(restore, Metadata=source(datetime(2026, 11, 22, 10, 30, tzinfo=UTC)))
    assert verified("--rule", DAILY).exit_code == 0


def deny(restore: Restorer, operation: str, times: int = 100) -> None:
    left = iter(range(times))

    def refuse(model: Any, **_: Any) -> None:
        if next(left, None) is not None:
            raise ClientError({"Error": {"Code": "403", "Message": "no"}}, model.name)

    restore.wire.client.meta.events.register(f"before-call.s3.{operation}", refuse)


def test_what_cannot_be_read_is_not_checked_and_the_rest_is(
    restore: Restorer, verified: Verifier
) -> None:
    for days in range(3):
        store(restore, days)
    deny(restore, "HeadObject", times=2)
    result = verified("--rule", DAILY)
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "? Could not check backups of backup.tar.gz.gpg: HeadObject is denied: no (2 times)",
        "",
        "Verified 1 backup: no findings, 2 not checked",
    ]
    deny(restore, "ListObjectVersions")
    data = json.loads(verified("--rule", DAILY, "--json").stdout)
    [denied] = data["not_checked"]
    assert denied["what"].startswith("the backups of backup.tar.gz.gpg: ListObjectVersions is")


def test_a_finding_weighs_more_than_what_is_not_checked(
    restore: Restorer, verified: Verifier
) -> None:
    store(restore)
    store(restore, 1)
    overwrite(restore)
    deny(restore, "GetObjectRetention")
    deny(restore, "HeadObject", times=1)
    assert verified("--rule", DAILY, "--until", "2026-11-22").exit_code == 3
    assert verified("--rule", DAILY).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--all", "--since", "2026-11-01"], "--all means every backup; leave out --since"),
        (["--deep", "latest", "--all"], "--deep names its backup; leave out --since, --until"),
        (["--each"], "--each needs --deep, for example --deep latest --each"),
        (["--deep", "latest"], "There are several kinds of backups; add --rule"),
        (["--rule", "x"], "The policy has no rule x; it has"),
    ],
)
def test_wrong_usage_is_one_sentence(
    verified: Verifier, arguments: list[str], sentence: str
) -> None:
    result = verified(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
