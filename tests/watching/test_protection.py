"""What an audit reports about the vault's settings and the locks of new backups."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.policy.file import parse_policy
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.settings import Settings
from chalicelib.watching.audit import Audited, Auditor
from chalicelib.watching.findings import Finding, Kind, Phase
from chalicelib.watching.protection import MOST_LOCKS, Protection
from chalicelib.watching.vault_settings import SETTINGS, digest, read_setting
from localcloud.clock import clock
from tests.support.faults import answers
from tests.support.wire import Wire, retries_at_once

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HERE, ELSEWHERE = "123456789012", "210987654321"
POLICY = parse_policy("""
timezone = "Etc/UTC"
servers = ["web1"]
[[rule]]
upload = "sql.gpg"
store_as = "%Y-%m-%d.%H.sql.gpg"
""")
KEY = "web1/sql.gpg"
DENY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:DeleteObject",
    "Resource": "arn:aws:s3:::backups2/*",
}
Change = Callable[[Any], object]


@dataclass
class Vaulted:
    """Both buckets; the vault has a default lock, and its settings are recorded."""

    s3: Any
    protection: Protection

    def lock(self, mode: str = "GOVERNANCE", **time: int) -> None:
        """Set the default lock, and record it."""
        retention = {"Mode": mode, **(time or {"Days": 30})}
        self.s3.put_object_lock_configuration(
            Bucket="backups2",
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": retention},
            },
        )
        self.record()

    def record(self) -> None:
        vault = Vault(s3=self.s3, name="backups2")
        digests = {name: digest(read_setting(vault, name)) for name in SETTINGS}
        self.protection = replace(self.protection, recorded=digests)

    def store(self, *, hours_ago: int = 1, **lock: Any) -> str:
        """Store a backup of an hour, with the bucket's default lock or another one."""
        moment = NOW - hours_ago * HOUR
        name = POLICY.slot_of(KEY, moment).name
        clock.stand_at(moment + timedelta(minutes=7))
        self.s3.put_object(Bucket="backups2", Key=name, Body=b"x" * 99, **lock)
        clock.stand_at(NOW)
        return str(name)

    def audit(self) -> Audited:
        return Auditor(
            incoming=Incoming(s3=self.s3, name="backups1"),
            vault=Vault(s3=self.s3, name="backups2"),
            policy=POLICY,
            protection=self.protection,
        ).audit(NOW)

    def findings(self, kind: Kind) -> list[Finding]:
        audited = self.audit()
        assert audited.failures == {}
        return [finding for finding in audited.findings if finding.kind is kind]


@pytest.fixture
def vaulted(s3: Any) -> Iterator[Vaulted]:
    clock.stand_at(NOW)
    s3.create_bucket(Bucket="backups1")
    s3.create_bucket(Bucket="backups2", ObjectLockEnabledForBucket=True)
    policy = {"Version": "2012-10-17", "Statement": [DENY]}
    s3.put_bucket_policy(Bucket="backups2", Policy=json.dumps(policy))
    vaulted = Vaulted(s3, Protection(recorded=None))
    vaulted.lock()
    yield vaulted
    clock.reset()


# Settings


def test_settings_as_they_were_recorded_are_no_finding(vaulted: Vaulted) -> None:
    vaulted.store()
    wire = Wire(vaulted.s3)
    assert vaulted.audit() == replace(vaulted.audit(), findings=[], failures={})
    # Nine settings and one lock, in each of two audits.
    assert (
        sum(name.startswith(("GetBucket", "GetPublic", "GetObject")) for name in wire.names()) == 20
    )


def test_a_changed_setting_is_named(vaulted: Vaulted) -> None:
    vaulted.s3.delete_bucket_policy(Bucket="backups2")
    [finding] = vaulted.findings(Kind.SETTINGS)
    assert finding.what == "The setting policy of backups2 is not as backups setup left it."
    assert finding.phase is Phase.LASTING
    assert "`backups check` says what has changed" in finding.remedy


def test_each_setting_that_differs_is_one_finding_before_all_missing_backups(
    vaulted: Vaulted,
) -> None:
    vaulted.store(hours_ago=5)
    vaulted.protection = replace(vaulted.protection, recorded=dict.fromkeys(SETTINGS, "0" * 24))
    kinds = [finding.kind for finding in vaulted.audit().findings]
    assert kinds == [Kind.SETTINGS] * len(SETTINGS) + [Kind.MISSING]


def test_a_setting_that_was_never_recorded_differs(vaulted: Vaulted) -> None:
    recorded = {**(vaulted.protection.recorded or {})}
    del recorded["replication"]
    vaulted.protection = replace(vaulted.protection, recorded=recorded)
    [finding] = vaulted.findings(Kind.SETTINGS)
    assert "The setting replication of backups2" in finding.what


def test_an_unset_variable_is_one_finding(vaulted: Vaulted) -> None:
    vaulted.protection = replace(vaulted.protection, recorded=None)
    [finding] = vaulted.findings(Kind.SETTINGS)
    assert finding.what.startswith("VAULT_SETTINGS is not set")


@pytest.mark.parametrize("status", [403, 404, 405, 503])
def test_a_setting_that_cannot_be_read_hides_no_other(vaulted: Vaulted, status: int) -> None:
    """S3's 405 must not end the comparison: only the administrator chooses what is compared."""
    lifecycle = {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    vaulted.s3.put_bucket_lifecycle_configuration(
        Bucket="backups2", LifecycleConfiguration={"Rules": [lifecycle]}
    )
    wire = Wire(vaulted.s3)
    wire.fail("GetBucketPolicy", *[answers(status)] * 3)
    with retries_at_once():
        audited = vaulted.audit()
    assert [finding.what for finding in audited.findings] == [
        "The setting lifecycle of backups2 is not as backups setup left it."
    ]
    [(what, error)] = audited.failures.items()
    assert what == "the setting policy of backups2"
    assert isinstance(error, ClientError)


@pytest.mark.parametrize(
    ("incoming", "vault", "is_read"),
    [
        pytest.param(HERE, HERE, True, id="the same account"),
        pytest.param(None, None, True, id="no account was recorded"),
        pytest.param(HERE, None, True, id="the vault's account was not recorded"),
        pytest.param(None, HERE, True, id="only the vault's account was recorded"),
        pytest.param(HERE, ELSEWHERE, False, id="another account"),
    ],
)
def test_the_functions_compare_the_policy_unless_the_vault_is_in_another_account(
    vaulted: Vaulted, incoming: str | None, vault: str | None, *, is_read: bool
) -> None:
    settings = Settings(
        incoming_bucket="backups1",
        vault_bucket="backups2",
        incoming_owner=incoming,
        vault_owner=vault,
        vault_settings=vaulted.protection.recorded,
    )
    vaulted.protection = Protection.for_functions(settings)
    vaulted.s3.delete_bucket_policy(Bucket="backups2")
    wire = Wire(vaulted.s3)
    assert len(vaulted.findings(Kind.SETTINGS)) == is_read
    assert ("GetBucketPolicy" in wire.names()) is is_read
    assert len([name for name in wire.names() if name != "ListObjectVersions"]) >= 8


# Locks

COMPLIANCE = {"ObjectLockMode": "COMPLIANCE"}


def until(days: float) -> dict[str, Any]:
    return {"ObjectLockRetainUntilDate": NOW + timedelta(days=days)}


@pytest.mark.parametrize(
    ("default", "lock", "state"),
    [
        pytest.param({}, {}, None, id="by default"),
        pytest.param({}, COMPLIANCE | until(31), None, id="longer and stricter"),
        pytest.param({"Years": 1}, {}, None, id="for a year by default"),
        pytest.param(
            {},
            {"ObjectLockMode": "GOVERNANCE"} | until(2),
            "is locked until 2026-11-25 12:00 (GOVERNANCE), but should be locked until "
            "2026-12-23 11:07 UTC (GOVERNANCE).",
            id="too short",
        ),
        pytest.param(
            {"mode": "COMPLIANCE"},
            {"ObjectLockMode": "GOVERNANCE"} | until(31),
            "is locked until 2026-12-24 12:00 (GOVERNANCE), but should be locked until "
            "2026-12-23 11:07 UTC (COMPLIANCE).",
            id="in a weaker mode",
        ),
    ],
)
def test_a_backup_that_is_not_locked_as_promised_is_found(
    vaulted: Vaulted, default: dict[str, Any], lock: dict[str, Any], state: str | None
) -> None:
    vaulted.lock(**default)
    name = vaulted.store(**lock)
    assert [finding.what for finding in vaulted.findings(Kind.UNLOCKED)] == (
        [f"{name} {state}"] if state else []
    )


def test_a_backup_without_a_lock_is_found(vaulted: Vaulted) -> None:
    vaulted.s3.put_object_lock_configuration(
        Bucket="backups2", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    )
    name = vaulted.store()
    assert (
        vaulted.findings(Kind.UNLOCKED) == []
    )  # nothing is promised: a lock is a setting of the vault
    vaulted.lock()
    [finding] = vaulted.findings(Kind.UNLOCKED)
    assert finding.what.startswith(f"{name} is not locked, but should be locked until")
    assert (finding.phase, finding.rule, finding.server, finding.slot) == (
        Phase.LASTING,
        "sql.gpg",
        "web1",
        name,
    )
    assert "--lock-existing" in finding.remedy


def test_only_the_backups_of_the_last_day_are_judged(vaulted: Vaulted) -> None:
    short = {"ObjectLockMode": "GOVERNANCE"} | until(2)
    vaulted.store(hours_ago=24, **short)
    vaulted.store(hours_ago=25, **short)
    found = vaulted.findings(Kind.UNLOCKED)
    assert [finding.slot for finding in found] == ["web1/2026-11-22.12.sql.gpg"]


def test_reading_locks_takes_few_requests(vaulted: Vaulted) -> None:
    for hours in range(1, 24):
        vaulted.store(hours_ago=hours)
    wire = Wire(vaulted.s3)
    assert vaulted.findings(Kind.UNLOCKED) == []
    read = [call for name, call in wire.calls if name == "GetObjectRetention"]
    assert len(read) == MOST_LOCKS
    assert read[0]["Key"] == "web1/2026-11-23.11.sql.gpg"


def test_the_backup_is_judged_and_not_what_was_stored_over_it(vaulted: Vaulted) -> None:
    name = vaulted.store()
    vaulted.s3.put_object(
        Bucket="backups2", Key=name, Body=b"", **{"ObjectLockMode": "GOVERNANCE"} | until(1)
    )
    assert vaulted.findings(Kind.UNLOCKED) == []
    vaulted.s3.delete_object(Bucket="backups2", Key=name)
    assert vaulted.findings(Kind.UNLOCKED) == []


def test_a_lock_that_cannot_be_read_is_a_failure_and_no_pass(vaulted: Vaulted) -> None:
    vaulted.store()
    wire = Wire(vaulted.s3)
    wire.fail("GetObjectRetention", answers(403))
    audited = vaulted.audit()
    assert audited.findings == []
    assert [*audited.failures] == [f"the locks of the stored backups of {KEY}"]


def test_an_unknown_default_lock_is_a_failure_and_no_pass(vaulted: Vaulted) -> None:
    wire = Wire(vaulted.s3)
    wire.fail("GetObjectLockConfiguration", answers(403))
    assert [*vaulted.audit().failures] == ["the setting lock of backups2"]
