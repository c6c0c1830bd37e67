"""What an audit finds in real buckets, and how few requests it takes."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.copy_plan import unlimited
from chalicelib.watching.audit import Audited, Auditor
from chalicelib.watching.findings import Kind, Phase
from chalicelib.watching.listing import list_history
from chalicelib.watching.sweep import RESERVE
from localcloud.clock import clock
from tests.support.faults import answers
from tests.support.wire import Wire

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
HOURLY, NIGHTLY = "sql.gpg", "files.gpg"
POLICY = """
timezone = "Etc/UTC"
[[rule]]
upload = "files.gpg"
store_as = "%Y-%m-%d.files.gpg"
[[rule]]
upload = "sql.gpg"
store_as = "%Y-%m-%d.%H.sql.gpg"
"""


@dataclass
class Buckets:
    """Both buckets, on a stopped clock, and the audit of them."""

    s3: Any
    policy: Policy

    def put(
        self, bucket: str, name: str, *, at: datetime = NOW - 2 * HOUR, body: bytes = b"0123456789"
    ) -> Any:
        clock.stand_at(at)
        answer = self.s3.put_object(Bucket=bucket, Key=name, Body=body)
        clock.stand_at(NOW)
        return answer

    def store(self, key: str, *, since: datetime, until: datetime = NOW) -> list[str]:
        """Store a backup in each slot of a key, some minutes after the slot begins."""
        names, moment = [], since
        while moment + 5 * MINUTE < until:
            slot = self.policy.slot_of(key, moment)
            self.put("backups2", slot.name, at=moment + 5 * MINUTE)
            names.append(slot.name)
            moment = slot.end
        return names

    def audit(
        self, at: datetime = NOW, *, seconds_left: Callable[[], float] = unlimited
    ) -> Audited:
        return Auditor(
            incoming=Incoming(s3=self.s3, name="backups1"),
            vault=Vault(s3=self.s3, name="backups2"),
            policy=self.policy,
            protection=None,
        ).audit(at, seconds_left=seconds_left)

    def found(self, at: datetime = NOW) -> list[tuple[Kind, Phase, str | None]]:
        audited = self.audit(at)
        assert audited.failures == {}
        return [(found.kind, found.phase, found.slot) for found in audited.findings]


@pytest.fixture
def buckets(s3: Any) -> Iterator[Buckets]:
    clock.stand_at(NOW)
    for bucket in ("backups1", "backups2"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield Buckets(s3, parse_policy(POLICY))
    clock.reset()


def test_nothing_is_expected_before_the_first_backup(buckets: Buckets) -> None:
    audited = buckets.audit()
    assert (audited.findings, audited.failures) == ([], {})
    assert audited.newest == {NIGHTLY: None, HOURLY: None}


def test_backups_in_order_take_two_lists_for_each_key(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 60 * DAY)
    buckets.put("backups2", buckets.policy.slot_of(HOURLY, NOW - 35 * DAY).name)
    names = buckets.store(HOURLY, since=NOW - 2 * DAY)
    wire = Wire(buckets.s3)
    audited = buckets.audit()
    assert audited.findings == []
    assert audited.newest[HOURLY] is not None
    assert audited.newest[HOURLY].name == names[-1]
    lists = Counter(call["Prefix"] for name, call in wire.calls if name == "ListObjectVersions")
    # Both rules store in the same folder of the vault.
    assert lists == {"": 2, NIGHTLY: 1, HOURLY: 1}
    assert set(wire.names()) == {"ListObjectVersions", "ListMultipartUploads"}


@dataclass
class Listed:
    """An S3 that only lists names, a thousand at a time, each dated like its slot."""

    names: list[str]
    requests: int = 0

    def list_object_versions(self, *, Prefix: str = "", KeyMarker: str = "", **_: Any) -> Any:  # noqa: N803
        self.requests += 1
        begin = bisect_right(self.names, KeyMarker)
        page = self.names[begin : begin + 1000]
        assert all(name.startswith(Prefix) for name in page)
        return {
            "Versions": [
                {"Key": name, "LastModified": moment_of(name), "ETag": "e", "Size": 1}
                for name in page
            ],
            "IsTruncated": begin + 1000 < len(self.names),
            "NextKeyMarker": page[-1] if page else "",
            "NextVersionIdMarker": "v",
        }

    def get_paginator(self, _: str) -> "Listed":
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        page = self.list_object_versions(**arguments)
        yield page
        while page["IsTruncated"]:
            page = self.list_object_versions(**arguments, KeyMarker=page["NextKeyMarker"])
            yield page


def moment_of(name: str) -> datetime:
    parts = [int(part) for part in re.findall("[0-9]+", name)]
    year, month, day, hour = (*parts, *(1, 1, 0)[len(parts) - 1 :])
    return datetime(year, month, day, hour, 5, tzinfo=UTC)


HOURS = [f"{NOW - hour * HOUR:%Y-%m-%d.%H}.sql.gpg" for hour in range(1, 10 * 365 * 24)]


@pytest.mark.parametrize(
    ("store_as", "others", "requests"),
    [
        pytest.param("%Y-%m-%d.%H.sql.gpg", [], 1, id="ten years of hours"),
        pytest.param(
            "%Y-%m-%d.%H.sql.gpg",
            [f"z{number:04}" for number in range(1, 2000)],
            1,
            id="names of another rule after them",
        ),
        pytest.param(
            "%Y-%m-%d.%H.sql.gpg",
            [name.replace("sql", other) for name in HOURS for other in ("sqm", "sqn")],
            3,
            id="names of two other rules between them",
        ),
        pytest.param(
            "%Y-%m-%d.files.gpg",
            [f"{NOW - day * DAY:%Y-%m-%d}.files.gpg" for day in range(3650)],
            1,
            id="ten years of days besides",
        ),
        pytest.param(
            "%Y.files.gpg",
            [f"{year}.files.gpg" for year in range(2016, 2027)],
            4,
            id="ten years besides: one request a year",
        ),
    ],
)
def test_a_list_is_bounded_by_the_window(store_as: str, others: list[str], requests: int) -> None:
    policy = parse_policy(
        f'timezone = "Etc/UTC"\n[[rule]]\nupload = "{HOURLY}"\nstore_as = "{store_as}"'
    )
    s3 = Listed(sorted([*HOURS, *others]))
    history = list_history(Vault(s3=s3, name="backups2"), policy, HOURLY, NOW)  # type: ignore[arg-type]
    assert s3.requests == requests
    assert history.gap(NOW) is None
    assert len(history.backups) >= len(history.slots) - 1


def test_a_new_rule_in_an_old_folder_has_no_backup_yet() -> None:
    policy = parse_policy(POLICY)
    hours = HOURS[: 200 * 24]
    s3 = Listed(sorted(hours))
    vault = Vault(s3=s3, name="backups2")  # type: ignore[arg-type]
    assert list_history(vault, policy, NIGHTLY, NOW).first is None
    s3.names = sorted([*hours, "2026-11-20.files.gpg"])
    history = list_history(vault, policy, NIGHTLY, NOW)
    assert history.first == datetime(2026, 11, 20, tzinfo=UTC)
    gap = history.gap(NOW)
    assert [slot.name for slot in gap.slots] == ["2026-11-21.files.gpg", "2026-11-22.files.gpg"]


def test_a_server_that_died_long_ago_is_found_by_its_oldest_backup(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 60 * DAY, until=NOW - 50 * DAY)
    buckets.store(HOURLY, since=NOW - 70 * DAY, until=NOW - 69 * DAY)
    [hourly, nightly] = buckets.audit().findings
    assert nightly.what == "files.gpg has had no backup since before Tue 20 Oct 2026 02:00 UTC."
    assert hourly.what == "sql.gpg has had no backup since before Mon 19 Oct 2026 13:15 UTC."


def test_backups_that_were_copied_into_a_new_vault_are_as_old_as_their_slots(
    buckets: Buckets,
) -> None:
    for day in (20, 21):
        buckets.put("backups2", f"2026-11-{day}.files.gpg")
    buckets.put("backups2", "2025-01-01.00.sql.gpg")
    whats = [found.what for found in buckets.audit().findings]
    assert whats[0].startswith("sql.gpg has had no backup since before Mon 19 Oct")
    assert whats[1].startswith("2026-11-22.files.gpg is missing")


def test_a_backup_that_was_overwritten_or_deleted_is_found(buckets: Buckets) -> None:
    names = buckets.store(NIGHTLY, since=NOW - 36 * DAY)
    buckets.put("backups2", names[-5], at=NOW - 30 * MINUTE, body=b"rubbish")
    clock.stand_at(NOW - 90 * MINUTE)
    buckets.s3.delete_object(Bucket="backups2", Key=names[-3])
    assert buckets.found() == [
        (Kind.OVERWRITTEN, Phase.NEW, names[-5]),
        (Kind.DELETED, Phase.LASTING, names[-3]),
    ]
    assert buckets.found(NOW - HOUR) == [(Kind.DELETED, Phase.NEW, names[-3])]
    assert buckets.found(NOW - 2 * HOUR) == []


def test_an_overwrite_in_parts_that_took_hours_is_no_news_at_its_first_audit(
    buckets: Buckets,
) -> None:
    """S3 dates it by its start: no mail reports it at once, but the alarm `overwritten` does."""
    name = buckets.store(NIGHTLY, since=NOW - 36 * DAY)[-1]
    buckets.put("backups2", name, at=NOW - 5 * MINUTE, body=b"rubbish")
    keys = s3_backends["123456789012"]["aws"].buckets["backups2"].keys
    newest = keys.getlist(name)[-1]
    newest._etag, newest.last_modified = "e-2", (NOW - 3 * HOUR).replace(tzinfo=None)
    assert buckets.found() == [(Kind.OVERWRITTEN, Phase.LASTING, name)]


@pytest.mark.parametrize(
    ("age", "left", "is_expired"),
    [
        pytest.param(9, "its version", True, id="by keep_days"),
        pytest.param(9, "only the marker", True, id="by keep_days, some days ago"),
        pytest.param(8.9, "its version", False, id="too early"),
        pytest.param(8, "only the marker", False, id="too early, and removed for good"),
    ],
)
def test_what_expires_is_neither_deleted_nor_missing(
    buckets: Buckets, age: float, left: str, is_expired: bool
) -> None:
    buckets.policy = parse_policy("keep_days = 9\n" + POLICY)
    [oldest, *_] = buckets.store(NIGHTLY, since=NOW - 9 * DAY - 2 * HOUR)
    made = NOW - 9 * DAY - 2 * HOUR + 5 * MINUTE
    clock.stand_at(made + age * DAY)
    buckets.s3.delete_object(Bucket="backups2", Key=oldest)
    clock.stand_at(NOW)
    if left == "only the marker":
        versions = buckets.s3.list_object_versions(Bucket="backups2", Prefix=oldest)["Versions"]
        buckets.s3.delete_object(Bucket="backups2", Key=oldest, VersionId=versions[0]["VersionId"])
    expected = [] if is_expired else [(Kind.DELETED, Phase.LASTING, oldest)]
    assert buckets.found() == expected


def test_uploads_that_were_not_stored_are_found_once_for_each_slot(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 36 * DAY)
    buckets.store(HOURLY, since=NOW - DAY, until=NOW - HOUR)
    for minute in (30, 40, 50):
        buckets.put("backups1", HOURLY, at=NOW - 2 * HOUR + minute * MINUTE, body=b"%d" % minute)
    buckets.put("backups1", NIGHTLY, at=NOW - 8 * DAY)
    buckets.put("backups1", HOURLY, at=NOW - 20 * MINUTE, body=b"it waits")
    audited = buckets.audit()
    assert [(found.kind, found.phase, found.slot) for found in audited.findings] == [
        (Kind.CONTESTED, Phase.LASTING, "2026-11-15.files.gpg"),
        (Kind.CONTESTED, Phase.LASTING, "2026-11-23.10.sql.gpg"),
    ]
    assert "It has 2 bytes, was uploaded" in audited.findings[1].what
    # One of these uploads can be the real backup, and it need not be the newest.
    assert "the newest of 3 such uploads for its slot" in audited.findings[1].what
    assert "--prefix sql.gpg" in audited.findings[1].what
    assert "newest of" not in audited.findings[0].what


def test_uploads_that_contest_a_slot_every_hour_are_news_once(buckets: Buckets) -> None:
    """Otherwise an intruder could cause a mail every hour, and hide the others among them."""
    slot = buckets.policy.slot_of(NIGHTLY, NOW).name
    buckets.put("backups2", slot, at=NOW - 9 * HOUR)
    for hours in reversed(range(8)):
        buckets.put("backups1", NIGHTLY, at=NOW - hours * HOUR - 5 * MINUTE, body=b"%d" % hours)
    for hours in range(7):
        assert buckets.found(NOW - hours * HOUR) == [(Kind.CONTESTED, Phase.LASTING, slot)]
    assert buckets.found(NOW - 7 * HOUR) == [(Kind.CONTESTED, Phase.NEW, slot)]


def test_an_unfinished_copy_is_found(buckets: Buckets) -> None:
    clock.stand_at(NOW - 25 * HOUR)
    buckets.s3.create_multipart_upload(Bucket="backups2", Key="2026-11-22.files.gpg")
    clock.stand_at(NOW)
    assert buckets.found() == [(Kind.UNFINISHED, Phase.LASTING, "2026-11-22.files.gpg")]


def test_a_multipart_copy_is_complete_half_an_hour_after_its_start(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 36 * DAY)
    name = "2026-11-22.files.gpg"
    key = s3_backends["123456789012"]["aws"].buckets["backups2"].keys[name]
    key._etag, key.last_modified = "e-2", (NOW - 80 * MINUTE).replace(tzinfo=None)
    assert buckets.found() == [(Kind.LATE, Phase.LASTING, name)]
    assert buckets.found(NOW - HOUR) == [(Kind.MISSING, Phase.OVER, name)]
    assert buckets.found(NOW - 2 * HOUR) == [(Kind.MISSING, Phase.LASTING, name)]


def test_what_is_being_copied_is_not_missing(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 36 * DAY, until=NOW - 2 * DAY)
    missing = "2026-11-22.files.gpg"
    clock.stand_at(NOW - 29 * MINUTE)
    buckets.s3.create_multipart_upload(Bucket="backups2", Key=missing)
    assert buckets.found() == [(Kind.MISSING, Phase.OVER, missing)]
    # No run lasts longer: this copy's run was killed.
    assert buckets.found(NOW + MINUTE) == [(Kind.MISSING, Phase.LASTING, missing)]


def test_a_run_out_of_time_reports_what_it_found_and_names_the_rest(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 36 * DAY, until=NOW - 2 * DAY)
    left = iter([900.0, 900.0])
    audited = buckets.audit(seconds_left=lambda: next(left, RESERVE - 1))
    assert [found.kind for found in audited.findings] == [Kind.MISSING]
    [(what, error)] = audited.failures.items()
    assert what == "sql.gpg"
    assert str(error) == "This run is out of time."


def test_a_denied_list_hides_no_other_finding(buckets: Buckets) -> None:
    buckets.store(NIGHTLY, since=NOW - 36 * DAY, until=NOW - 2 * DAY)
    wire = Wire(buckets.s3)
    wire.fail("ListObjectVersions", None, None, answers(403))
    audited = buckets.audit()
    assert [found.kind for found in audited.findings] == [Kind.MISSING]
    [(what, error)] = audited.failures.items()
    assert what == "the stored backups of sql.gpg"
    assert isinstance(error, ClientError)
