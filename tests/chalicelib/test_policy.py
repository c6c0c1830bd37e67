from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chalicelib.naming import Pattern
from chalicelib.policy import (
    Checksum,
    DeleteMarker,
    Outcome,
    Policy,
    Sealed,
    Stored,
    Upload,
    decide,
)
from chalicelib.rules import PolicyError, Rule

NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
ZONE = ZoneInfo("Etc/UTC")
DAILY = Rule(
    upload="backup.tar.gz.gpg",
    store_as=Pattern("%Y-%m-%d.tar.gz.gpg"),
    timezone=ZONE,
    min_bytes=10,
    max_bytes=1000,
)
HOURLY = Rule(
    upload="sql.gz.gpg",
    store_as=Pattern("%Y-%m-%d.%H.sql.gz.gpg"),
    timezone=ZoneInfo("Asia/Kolkata"),
)
POLICY = Policy(rules=(DAILY, HOURLY), timezone=ZONE)
FLEET = replace(POLICY, servers=("web1", "db1"))
UPLOAD = Upload(key="backup.tar.gz.gpg", etag="abc", size=100, last_modified=NOW)
COPY = Stored(size=100, source_key="backup.tar.gz.gpg", source_etag="abc")
SLOT = "2026-11-23.tar.gz.gpg"


@pytest.mark.parametrize(
    ("upload", "stored", "outcome", "reason"),
    [
        pytest.param(UPLOAD, None, "promoted", "was free", id="a free slot"),
        pytest.param(UPLOAD, COPY, "already-promoted", "this very upload", id="its own copy"),
        pytest.param(
            replace(UPLOAD, version_id="v2", last_modified=NOW + timedelta(minutes=1)),
            COPY,
            "already-promoted",
            "this very upload",
            id="the same bytes again",
        ),
        pytest.param(
            UPLOAD, replace(COPY, source_etag="def"), "contested", "different", id="other bytes"
        ),
        pytest.param(
            UPLOAD, replace(COPY, source_key="x"), "contested", "different", id="another key"
        ),
        pytest.param(UPLOAD, replace(COPY, size=99), "contested", "different", id="another size"),
        pytest.param(UPLOAD, Stored(size=100), "contested", "different", id="not put by us"),
        pytest.param(UPLOAD, DeleteMarker(), "contested", "delete marker", id="a delete marker"),
        pytest.param(None, None, "gone", "not there any more", id="gone"),
        pytest.param(
            Sealed(key="backup.tar.gz.gpg"), None, "rejected", "SSE-C", id="the sender's own key"
        ),
        pytest.param(
            replace(UPLOAD, encryption="aws:kms"), None, "rejected", "KMS key", id="a KMS key"
        ),
        pytest.param(
            replace(UPLOAD, encryption="AES256"), None, "promoted", "was free", id="S3's own key"
        ),
        pytest.param(replace(UPLOAD, size=9), None, "rejected", "fewer than", id="too small"),
        pytest.param(replace(UPLOAD, size=10), None, "promoted", "was free", id="just enough"),
        pytest.param(replace(UPLOAD, size=1000), None, "promoted", "was free", id="just fits"),
        pytest.param(replace(UPLOAD, size=1001), None, "rejected", "more than", id="too large"),
        pytest.param(
            replace(UPLOAD, storage_class="GLACIER"), None, "rejected", "GLACIER", id="archived"
        ),
        pytest.param(
            replace(UPLOAD, storage_class="STANDARD_IA"), None, "promoted", "free", id="infrequent"
        ),
        pytest.param(
            replace(UPLOAD, last_modified=NOW - timedelta(hours=168)),
            None,
            "promoted",
            "2026-11-16.tar.gz.gpg was free",
            id="just in time",
        ),
        pytest.param(
            replace(UPLOAD, last_modified=NOW - timedelta(hours=168, seconds=1)),
            None,
            "rejected",
            "more than 168 hours ago",
            id="too late",
        ),
        pytest.param(
            replace(UPLOAD, last_modified=NOW - timedelta(hours=169)),
            COPY,
            "already-promoted",
            "this very upload",
            id="too late, but it is there already",
        ),
        pytest.param(
            replace(UPLOAD, size=9), Stored(size=9), "rejected", "fewer", id="rubbish is rubbish"
        ),
    ],
)
def test_each_case_has_one_outcome(
    upload: Upload | Sealed | None,
    stored: Stored | DeleteMarker | None,
    outcome: str,
    reason: str,
) -> None:
    decision = decide(POLICY, key="backup.tar.gz.gpg", upload=upload, stored=stored, now=NOW)
    assert decision.outcome == outcome
    assert reason in decision.reason
    assert decision.reason.endswith(".")


def test_a_key_that_no_rule_names_is_ignored() -> None:
    upload = replace(UPLOAD, key="holiday.jpg")
    decision = decide(POLICY, key="holiday.jpg", upload=upload, stored=None, now=NOW)
    assert decision.outcome is Outcome.IGNORED
    assert decision.slot is None


@pytest.mark.parametrize(
    "key",
    ["Backup.tar.gz.gpg", "backup.tar.gz.gpg/", "./backup.tar.gz.gpg", "web1/backup.tar.gz.gpg"],
)
def test_keys_are_compared_exactly(key: str) -> None:
    assert key not in POLICY.claims


def test_the_slot_is_named_by_the_upload_not_by_the_run() -> None:
    late = NOW + timedelta(hours=20)
    decision = decide(POLICY, key=UPLOAD.key, upload=UPLOAD, stored=None, now=late)
    assert decision.slot is not None
    assert decision.slot.name == SLOT


def test_a_rule_may_have_its_own_time_zone() -> None:
    slot = POLICY.slot_of("sql.gz.gpg", NOW)
    assert slot.name == "2026-11-23.19.sql.gz.gpg"
    assert slot.start == datetime(2026, 11, 23, 13, 30, tzinfo=UTC)


def test_servers_have_their_own_keys_and_slots() -> None:
    assert set(FLEET.uploads) == {
        f"{server}/{rule.upload}" for server in ("web1", "db1") for rule in (DAILY, HOURLY)
    }
    slot = FLEET.slot_of("db1/backup.tar.gz.gpg", NOW)
    assert (slot.name, slot.server, slot.rule) == (f"db1/{SLOT}", "db1", DAILY)


@pytest.mark.parametrize("policy", [POLICY, FLEET], ids=["bare", "servers"])
def test_a_slot_is_found_by_its_name(policy: Policy) -> None:
    for key in policy.claims:
        slot = policy.slot_of(key, NOW)
        assert policy.slot_named(slot.name) == slot
    assert policy.slot_named("web9/2026-11-23.tar.gz.gpg") is None
    assert policy.slot_named("2026-11-31.tar.gz.gpg") is None


def test_every_policy_has_the_drill_s_rehearsal_beside_what_servers_upload() -> None:
    for policy in (POLICY, FLEET):
        assert set(policy.claims) - set(policy.uploads) == {"drill/rehearsal"}
        slot = policy.slot_of("drill/rehearsal", NOW)
        assert (slot.name, slot.server) == (f"drill/{NOW:%Y-%m-%d.%H.%M}.rehearsal", "drill")
        assert slot.end - slot.start == timedelta(minutes=1)
        assert slot.rule.max_bytes == 65_536


def test_copies_are_told_apart_by_key_etag_and_size_only() -> None:
    other_checksum = replace(COPY, checksum=Checksum(algorithm="CRC32", value="AAAAAA=="))
    assert other_checksum.came_from(UPLOAD)


def test_an_upload_without_a_rule_has_no_slot() -> None:
    with pytest.raises(KeyError):
        POLICY.slot_of("holiday.jpg", NOW)


def test_a_policy_cannot_be_built_wrong() -> None:
    with pytest.raises(PolicyError, match="two rules claim"):
        replace(POLICY, rules=(DAILY, DAILY))
