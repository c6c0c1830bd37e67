"""What `check` reports about the backups: a table of states, each with its exact finding."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto.s3.models import s3_backends

import admin.check.settings
from admin.account import Account
from admin.check.backups import check_backups
from admin.check.report import Part, Report
from admin.cli import cli
from admin.setup.door import PATIENT
from admin.setup.locks import lock_stored
from admin.stage import Stage
from admin.target import Target
from chalicelib.lock import Lock
from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy
from localcloud.clock import clock
from localcloud.s3.earlier import put_earlier
from tests.support.project import STAGE

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAILY = "backup.tar.gz.gpg"
TODAY, YESTERDAY = "2026-11-23.tar.gz.gpg", "2026-11-22.tar.gz.gpg"
DAY_BEFORE, LONG_AGO = "2026-11-21.tar.gz.gpg", "2026-01-27.tar.gz.gpg"


def daily(settings: str = "", top: str = "") -> Policy:
    return parse_policy(
        f'timezone = "Etc/UTC"\n{top}\n[[rule]]\nupload = "{DAILY}"\n'
        f'store_as = "%Y-%m-%d.tar.gz.gpg"\n{settings}'
    )


POLICY = daily()


@dataclass(kw_only=True)
class Buckets:
    """Both buckets in a local cloud whose clock stands still, and a check of them."""

    account: Account
    stage: Stage = STAGE
    policy: Policy = POLICY

    @property
    def s3(self) -> Any:
        return self.account.client("s3")

    def create(self) -> None:
        self.s3.create_bucket(Bucket="backups1")
        self.s3.put_bucket_versioning(
            Bucket="backups1", VersioningConfiguration={"Status": "Enabled"}
        )
        self.s3.create_bucket(Bucket="backups2", ObjectLockEnabledForBucket=True)

    def upload(self, key: str = DAILY, *, ago: timedelta) -> None:
        clock.stand_at(NOW - ago)
        self.s3.put_object(Bucket="backups1", Key=key, Body=b"a backup")
        clock.stand_at(NOW)

    def store(
        self,
        name: str,
        *,
        ago: timedelta = timedelta(hours=8),
        days: int | None = 30,
        mode: str = "GOVERNANCE",
        encryption: dict[str, str] | None = None,
        body: bytes = b"a backup",
    ) -> None:
        """Store a backup as the promoter does, with a lock of this many days (None: no lock)."""
        clock.stand_at(NOW - ago)
        until = NOW - ago + timedelta(days=days or 0)
        lock = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until} if days else {}
        encrypted = {"ServerSideEncryption": "AES256"} if encryption is None else encryption
        self.s3.put_object(Bucket="backups2", Key=name, Body=body, **lock, **encrypted)
        clock.stand_at(NOW)

    def hide(self, name: str, *, ago: timedelta = timedelta()) -> None:
        clock.stand_at(NOW - ago)
        self.s3.delete_object(Bucket="backups2", Key=name)
        clock.stand_at(NOW)

    def check(self, *, all_backups: bool = False) -> Report:
        target = Target(account=self.account, stage=self.stage, policy=self.policy)
        report = Report()
        for part in check_backups(target, now=NOW, all_backups=all_backups):
            report.collect(part)
        return report


@pytest.fixture
def buckets(account: Account) -> Buckets:
    clock.stand_at(NOW)
    buckets = Buckets(account=account)
    buckets.create()
    return buckets


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def fresh(buckets: Buckets) -> None:
    buckets.store(TODAY)


def stored_yesterday(buckets: Buckets) -> None:
    buckets.store(YESTERDAY, ago=hours(32))


def stale(buckets: Buckets) -> None:
    buckets.store(DAY_BEFORE, ago=hours(56))


def very_stale(buckets: Buckets) -> None:
    buckets.store("2020-01-01.tar.gz.gpg", ago=timedelta(days=2500))


def restored_lately(buckets: Buckets) -> None:
    """Old backups copied into a new vault: the slot gives their age, not the day of the copy."""
    buckets.store(DAY_BEFORE, ago=hours(1))


def of_a_slot_to_come(buckets: Buckets) -> None:
    stale(buckets)
    buckets.store("2027-01-01.tar.gz.gpg")


def of_a_slot_begun_since(buckets: Buckets) -> None:
    stored_yesterday(buckets)
    buckets.store(TODAY, ago=hours(12.5) + timedelta(days=7))


def a_little_early(buckets: Buckets) -> None:
    stored_yesterday(buckets)
    buckets.store(TODAY, ago=hours(26))


def just_uploaded(buckets: Buckets) -> None:
    buckets.upload(ago=timedelta(minutes=2))


def waiting_shortly(buckets: Buckets) -> None:
    buckets.upload(ago=timedelta(minutes=40))


def waiting_long(buckets: Buckets) -> None:
    buckets.upload(ago=hours(3))
    buckets.upload(ago=hours(2))


def waiting_for_a_filled_slot(buckets: Buckets) -> None:
    fresh(buckets)
    buckets.upload(ago=hours(3))


def waiting_for_a_slot_under_a_marker(buckets: Buckets) -> None:
    stored_yesterday(buckets)
    buckets.hide(TODAY)
    buckets.upload(ago=hours(3))


def waiting_too_long(buckets: Buckets) -> None:
    buckets.upload(ago=hours(170))


def two_versions(buckets: Buckets) -> None:
    fresh(buckets)
    buckets.store(TODAY, ago=hours(1))


def two_versions_long_ago(buckets: Buckets) -> None:
    """Otherwise only the audit of 35 days would cover it."""
    rarely(buckets)
    buckets.store(LONG_AGO, ago=timedelta(days=300))
    buckets.store(LONG_AGO, ago=timedelta(days=200))


def small(buckets: Buckets) -> None:
    for day in range(3, 0, -1):
        buckets.store(f"2026-11-{23 - day}.tar.gz.gpg", ago=timedelta(days=day))
    buckets.store(TODAY, body=b"a")


def late(buckets: Buckets) -> None:
    buckets.store(DAY_BEFORE, ago=hours(56))
    buckets.store(YESTERDAY, ago=hours(4))


def unfinished(buckets: Buckets) -> None:
    fresh(buckets)
    clock.stand_at(NOW - hours(25))
    buckets.s3.create_multipart_upload(Bucket="backups2", Key=YESTERDAY)
    clock.stand_at(NOW)


def stored_again(buckets: Buckets) -> None:
    """The gap is over within the hour."""
    buckets.store("2026-11-20.tar.gz.gpg", ago=hours(80))
    buckets.store(YESTERDAY, ago=hours(32))
    buckets.store(TODAY, ago=hours(0.5))


def rarely(buckets: Buckets) -> None:
    """Backups are made at irregular times; the newest is from today."""
    buckets.policy = daily("expect = false")
    fresh(buckets)


def hidden(buckets: Buckets) -> None:
    stored_yesterday(buckets)
    buckets.store(TODAY)
    buckets.hide(TODAY)


def hidden_and_gone(buckets: Buckets) -> None:
    stored_yesterday(buckets)
    buckets.hide(DAY_BEFORE)


def hidden_long_ago(buckets: Buckets) -> None:
    rarely(buckets)
    buckets.store(LONG_AGO, ago=timedelta(days=300))
    buckets.hide(LONG_AGO)


def unlocked(buckets: Buckets) -> None:
    buckets.store(TODAY, days=None)


def locked_too_shortly(buckets: Buckets) -> None:
    buckets.store(TODAY, days=29)


def locked_a_little_early(buckets: Buckets) -> None:
    buckets.store(TODAY)
    [key] = s3_backends["123456789012"]["aws"].buckets["backups2"].keys.getlist(TODAY)
    key.lock_until = (NOW - hours(8.25) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")


def lock_run_out(buckets: Buckets) -> None:
    rarely(buckets)
    buckets.store("2026-10-01.tar.gz.gpg", ago=timedelta(days=53), days=30)
    buckets.store("2026-09-01.tar.gz.gpg", ago=timedelta(days=83), days=None)


def under_a_kms_key(buckets: Buckets) -> None:
    key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "theirs"}
    buckets.store(TODAY, encryption=key)


def under_a_key_of_the_writer(buckets: Buckets) -> None:
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    buckets.store(TODAY, encryption=key)


def of_nobody(buckets: Buckets) -> None:
    fresh(buckets)
    for name in ("drill/2026-11-23.12.00.rehearsal", "notes.txt", f"other/{TODAY}", f"{TODAY}.old"):
        buckets.store(name, days=None)
        buckets.store(name, days=None)
        buckets.hide(name)


STATES: dict[str, tuple[Callable[[Buckets], None], list[str]]] = {
    "fresh": (fresh, []),
    "none yet": (lambda _: None, []),
    "stored yesterday": (stored_yesterday, []),
    "stale": (stale, [f"{YESTERDAY} is missing; it was due Mon 23 Nov 2026 02:00 UTC"]),
    "very stale": (
        very_stale,
        [f"{DAILY} has had no backup since before Tue 20 Oct 2026 02:00 UTC"],
    ),
    "an old slot, copied lately": (restored_lately, [f"{YESTERDAY} is missing"]),
    "stale, and a slot to come": (
        of_a_slot_to_come,
        [
            f"{YESTERDAY} is missing",
            "2027-01-01.tar.gz.gpg was stored 38 days before its slot begins",
        ],
    ),
    "stored for a slot that has begun since": (
        of_a_slot_begun_since,
        [f"{TODAY} was stored 7 days before its slot begins"],
    ),
    "stored a little early, after a change of the time zone": (a_little_early, []),
    "just uploaded": (just_uploaded, []),
    "waits for 40 minutes": (waiting_shortly, []),
    "waits for 3 hours": (
        waiting_long,
        [f"2 uploads have waited in backups1 for up to 3 hours, the oldest for {TODAY}"],
    ),
    "contested": (waiting_for_a_filled_slot, [f"{TODAY} already holds a different upload"]),
    "contested by a marker": (
        waiting_for_a_slot_under_a_marker,
        [f"{TODAY} was deleted", f"A delete marker hides {TODAY}"],
    ),
    "too late": (waiting_too_long, ["more than 168 hours ago, which is too late for a slot"]),
    "two versions": (two_versions, [f"{TODAY} was overwritten; the second of its 2 versions"]),
    "two versions, long ago": (two_versions_long_ago, [f"{LONG_AGO} was overwritten"]),
    "small": (small, [f"{TODAY} is small: it has only 1 bytes"]),
    "late": (late, [f"{YESTERDAY} was stored late"]),
    "unfinished": (
        unfinished,
        [f"The copy to {YESTERDAY} was never finished; it was started Sun 22 Nov 2026 11:30"],
    ),
    "stored again": (stored_again, []),
    "delete marker": (hidden, [f"{TODAY} was deleted; a delete marker was added"]),
    "delete marker alone": (hidden_and_gone, [f"{DAY_BEFORE} was deleted"]),
    "delete marker, long ago": (hidden_long_ago, [f"{LONG_AGO} was deleted"]),
    "not locked": (
        unlocked,
        [f"{TODAY} is not locked, but should be locked until 2026-12-23 04:30 UTC"],
    ),
    "lock too short": (
        locked_too_shortly,
        [f"{TODAY} is locked until 2026-12-22 04:30, but should be locked until 2026-12-23 04:30"],
    ),
    "lock from when the copy began": (locked_a_little_early, []),
    "lock run out": (lock_run_out, []),
    "KMS": (under_a_kms_key, [f"{TODAY} is encrypted with aws:kms theirs, not with S3's own"]),
    "SSE-C": (under_a_key_of_the_writer, ["encrypted with a key that only its writer has (SSE-C)"]),
    "names of nobody": (of_nobody, []),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("all_backups", [False, True], ids=["newest", "all"])
def test_each_state_has_exactly_its_finding(
    buckets: Buckets, state: str, all_backups: bool
) -> None:
    arrange, sentences = STATES[state]
    arrange(buckets)
    report = buckets.check(all_backups=all_backups)
    assert report.not_checked == []
    for finding, sentence in zip(report.findings, sentences, strict=True):
        assert sentence in finding.what
        assert finding.why.endswith(".")
        assert finding.remedy


@pytest.mark.parametrize(
    ("arrange", "sentences"),
    [
        (lambda _: None, ["backup.tar.gz.gpg: no backup yet"]),
        (just_uploaded, ["backup.tar.gz.gpg: no backup yet"]),
        (
            stored_yesterday,
            [f"{DAILY}: the newest backup is {YESTERDAY} (8 bytes, stored 32 hours ago)"],
        ),
        (
            waiting_shortly,
            [
                "backup.tar.gz.gpg: no backup yet",
                "backup.tar.gz.gpg: 1 upload has waited in backups1 for up to 40 minutes",
            ],
        ),
    ],
    ids=["none yet", "just uploaded", "stored", "waiting"],
)
def test_the_state_itself_is_no_finding(
    buckets: Buckets, arrange: Callable[[Buckets], None], sentences: list[str]
) -> None:
    arrange(buckets)
    assert buckets.check() == Report(backups=sentences)


def test_without_a_lock_by_choice_none_is_missed(buckets: Buckets) -> None:
    buckets.stage = replace(STAGE, lock=None)
    unlocked(buckets)
    assert buckets.check().findings == []


def test_a_vault_without_object_lock_locks_nothing(buckets: Buckets) -> None:
    s3_backends["123456789012"]["aws"].buckets["backups2"].object_lock_enabled = False
    unlocked(buckets)
    [finding] = buckets.check().findings
    assert f"{TODAY} is not locked" in finding.what


def test_an_event_hold_is_not_the_promised_lock(buckets: Buckets) -> None:
    """Anyone who can change locks can release it; until then, the lock never expires."""
    unlocked(buckets)
    held = {"Retention": {"Mode": "GOVERNANCE", "EventHold": "ON"}}
    buckets.s3.meta.events.register_first(
        "before-call.s3.GetObjectRetention", lambda **_: (SimpleNamespace(status_code=200), held)
    )
    [finding] = buckets.check().findings
    assert f"{TODAY} is not locked" in finding.what


@pytest.mark.parametrize("days", [None, 6], ids=["no lock", "too short"])
@pytest.mark.parametrize("chosen", ["GOVERNANCE", "COMPLIANCE"])
@pytest.mark.parametrize("actual", ["GOVERNANCE", "COMPLIANCE"])
def test_the_command_of_a_lock_sets_it(
    buckets: Buckets, days: int | None, chosen: str, actual: str
) -> None:
    buckets.stage = replace(STAGE, lock=Lock(mode=chosen, days=7))
    buckets.store(TODAY, days=days, mode=actual)
    [finding] = buckets.check().findings
    assert finding.remedy == ".venv/bin/backups setup --stage dev --apply --lock-existing"
    target = Target(account=buckets.account, stage=buckets.stage, policy=POLICY)
    with CliRunner().isolation(input="backups2\n"):
        lock_stored(target, buckets.stage.lock, now=NOW, waiter=PATIENT, apply=True, yes=True)
    assert buckets.check().findings == []


def test_the_first_version_of_an_overwritten_backup_is_the_one_to_download(
    buckets: Buckets,
) -> None:
    fresh(buckets)
    [first] = buckets.s3.list_object_versions(Bucket="backups2")["Versions"]
    buckets.store(TODAY, ago=hours(1))
    buckets.hide(TODAY)
    findings = buckets.check().findings
    assert len(findings) == 2
    for finding in findings:
        assert f"--key {TODAY} --version-id {first['VersionId']} " in finding.remedy


def test_a_backup_that_is_hidden_or_only_of_long_ago_is_not_the_newest(buckets: Buckets) -> None:
    hidden(buckets)
    [sentence] = buckets.check().backups
    assert sentence.startswith(f"{DAILY}: the newest backup is {YESTERDAY}")
    buckets.hide(YESTERDAY)
    buckets.store(LONG_AGO, ago=timedelta(days=300))
    assert buckets.check().backups == [f"{DAILY}: no backup in the last 35 days"]


@pytest.mark.parametrize(
    ("name", "stored", "hidden_after", "is_finding"),
    [
        pytest.param("2026-11-12", 11, 10.5, False, id="expired"),
        pytest.param("2026-11-12", 11, 9, True, id="hidden before its time"),
        pytest.param("2026-11-12", None, None, False, id="expired, only the marker is left"),
        # Too old for an audit.
        pytest.param("2026-11-08", 15, 10.5, False, id="expired some days ago"),
        pytest.param("2026-11-08", 15, 9, True, id="hidden some days ago"),
        pytest.param("2026-11-08", None, None, False, id="expired some days ago, only the marker"),
        pytest.param("2026-11-22", None, None, True, id="only the marker, before its time"),
        pytest.param("2026-01-01", None, None, True, id="only the marker, long after its time"),
    ],
)
def test_the_delete_markers_of_expiry_are_in_order(
    buckets: Buckets,
    name: str,
    stored: float | None,
    hidden_after: float | None,
    is_finding: bool,
) -> None:
    buckets.policy = daily("expect = false", top="keep_days = 10")
    fresh(buckets)
    name = f"{name}.tar.gz.gpg"
    ago = timedelta()
    if stored is not None and hidden_after is not None:
        buckets.store(name, ago=timedelta(days=stored))
        ago = timedelta(days=stored - hidden_after)
    buckets.hide(name, ago=ago)
    whats = [finding.what.split(";")[0] for finding in buckets.check().findings]
    assert whats == [f"{name} was deleted"] * is_finding


def test_the_newest_is_found_by_its_name_in_folders(buckets: Buckets) -> None:
    buckets.policy = parse_policy(
        'timezone = "Etc/UTC"\nservers = ["web1", "web2"]\n[[rule]]\n'
        'upload = "files.gpg"\nstore_as = "files/%Y/%m.%d.gpg"\nexpect = "800h"\n'
    )
    for day in (30, 29, 28):
        buckets.store(f"web1/files/2026/10.{day}.gpg", ago=timedelta(days=54 - day))
    buckets.store("web1/files/2026/11.22.gpg", ago=hours(30))
    buckets.store("web2/files/2025/12.31.gpg", ago=timedelta(days=327))
    report = buckets.check()
    newest = "web1/files/2026/11.22.gpg (8 bytes, stored 30 hours ago)"
    assert report.backups == [
        f"web1/files.gpg: the newest backup is {newest}",
        "web2/files.gpg: no backup in the last 35 days",
    ]
    [finding] = report.findings
    assert "web2/files.gpg has had no backup since before" in finding.what


def fill_sixteen_days(buckets: Buckets) -> None:
    """Only the oldest two are not locked."""
    for day in range(15, -1, -1):
        moment = NOW - timedelta(days=day)
        name, days = f"{moment:%Y-%m-%d}.tar.gz.gpg", 30 if day < 14 else None
        buckets.store(name, ago=timedelta(days=day), days=days)


def test_the_option_all_looks_beyond_the_newest_14(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_sixteen_days(buckets)
    only_backups(monkeypatch)
    for arguments, number in ((), 0), (("--all",), 2):
        result = CliRunner().invoke(cli, ["check", "--json", *arguments])
        whats = [finding["what"] for finding in json.loads(result.stdout)["findings"]]
        assert len([what for what in whats if "is not locked" in what]) == number, whats
        assert (DAILY in result.stderr) is bool(number)  # the progress bar's label


def only_backups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command checks one key at the cloud's time, and no settings."""

    def parts(target: Target, *, all_backups: bool, **_: Any) -> Iterator[Part]:
        return check_backups(target, now=NOW, all_backups=all_backups)

    monkeypatch.setattr(admin.check.settings, "parts_of", parts)


def counted(buckets: Buckets) -> list[str]:
    requests: list[str] = []
    buckets.s3.meta.events.register(
        "before-call.s3", lambda model, **_: requests.append(model.name)
    )
    return requests


@pytest.mark.parametrize(
    ("all_backups", "requests"),
    [
        pytest.param(
            False,
            {"ListMultipartUploads": 1, "ListObjectVersions": 5, "HeadObject": 14},
            id="newest",
        ),
        pytest.param(
            True,
            {
                "ListMultipartUploads": 1,
                "ListObjectVersions": 6,
                "HeadObject": 16,
                "GetObjectRetention": 2,
            },
            id="all",
        ),
    ],
)
def test_requests_per_rule_and_server(
    buckets: Buckets, all_backups: bool, requests: dict[str, int]
) -> None:
    fill_sixteen_days(buckets)
    sent = counted(buckets)
    buckets.check(all_backups=all_backups)
    assert {name: sent.count(name) for name in sent} == requests


def test_a_thousand_names_cost_one_request(buckets: Buckets) -> None:
    buckets.policy = parse_policy(
        'timezone = "Etc/UTC"\n[[rule]]\nupload = "sql.gpg"\nstore_as = "%Y-%m-%d.%H.sql.gpg"'
    )
    for ago in map(hours, range(1200)):
        name = f"{NOW - ago:%Y-%m-%d.%H}.sql.gpg"
        if ago < hours(20):
            buckets.store(name, ago=ago)
        else:  # without a request, which takes ten times as long
            put_earlier("backups2", name, b"a backup", at=NOW - ago)
    sent = counted(buckets)
    [sentence] = buckets.check().backups
    assert sentence.startswith("sql.gpg: the newest backup is 2026-11-23.12.sql.gpg")
    # The audit lists the recent backups and the uploads once each.
    assert sent.count("ListObjectVersions") == 5
    assert sent.count("HeadObject") == 14


@pytest.mark.parametrize(
    ("operation", "code", "sentence"),
    [
        pytest.param(
            "list_object_versions",
            "AccessDenied",
            "the stored backups of backup.tar.gz.gpg: ListObjectVersions returned AccessDenied",
            id="versions",
        ),
        pytest.param(
            "head_object",
            "403",
            "the locks and the encryption of the stored backups of backup.tar.gz.gpg: HeadObject",
            id="HEAD",
        ),
        pytest.param(
            "get_object_retention",
            "AccessDenied",
            "the locks and the encryption of the stored backups of backup.tar.gz.gpg: GetObjectRe",
            id="locks",
        ),
    ],
)
def test_a_denied_request_is_not_checked_and_is_no_pass(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, operation: str, code: str, sentence: str
) -> None:
    unlocked(buckets)

    def deny(model: Any, **_: Any) -> None:
        if model.name.lower() == operation.replace("_", ""):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, model.name)

    buckets.s3.meta.events.register("before-call.s3", deny)
    report = buckets.check()
    assert report.findings == []
    assert sentence in report.not_checked[0]

    only_backups(monkeypatch)
    result = CliRunner().invoke(cli, ["check"])
    assert result.exit_code == 3, result.output
    assert f"? Could not check {sentence}" in result.stdout


def test_missing_buckets_are_findings_of_the_settings_alone(account: Account) -> None:
    assert Buckets(account=account).check() == Report()
