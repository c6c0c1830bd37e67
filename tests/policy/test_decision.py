from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.policy.decision import (
    Checksum,
    CustomerEncrypted,
    DeleteMarker,
    Outcome,
    Stored,
    Upload,
    decide,
)
from chalicelib.policy.patterns import Pattern, load_zone
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import PolicyError, Rule

NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
ZONE = load_zone("Etc/UTC")
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
    timezone=load_zone("Asia/Kolkata"),
)
POLICY = Policy(rules=(DAILY, HOURLY), timezone=ZONE)
FLEET = replace(POLICY, servers=("web1", "db1"))
UPLOAD = Upload(key="backup.tar.gz.gpg", etag="abc", size=100, last_modified=NOW)
BARE = Stored(size=100, etag="abc", last_modified=NOW)
COPY = replace(BARE, source_key="backup.tar.gz.gpg", source_etag="abc")
V1 = replace(UPLOAD, version_id="v1")
COPY_OF_V1 = replace(COPY, source_version_id="v1", source_last_modified=NOW.isoformat())
CRC, OTHER_CRC = (Checksum(algorithm="CRC32", value=value) for value in ("AAAAAA==", "BBBBBB=="))
SHA = Checksum(algorithm="SHA256", value="c2hh")
SLOT = "2026-11-23.tar.gz.gpg"


@pytest.mark.parametrize(
    ("upload", "stored", "outcome", "reason"),
    [
        pytest.param(UPLOAD, None, "promoted", "was free", id="a free slot"),
        pytest.param(
            UPLOAD,
            COPY,
            "already-promoted",
            "already holds this upload",
            id="a copy of this upload",
        ),
        pytest.param(
            replace(UPLOAD, version_id="v2", last_modified=NOW + timedelta(minutes=1)),
            COPY,
            "already-promoted",
            "already holds this upload",
            id="the same bytes again",
        ),
        pytest.param(
            UPLOAD, replace(COPY, source_etag="def"), "contested", "different", id="other bytes"
        ),
        pytest.param(
            UPLOAD, replace(COPY, source_key="x"), "contested", "different", id="another key"
        ),
        pytest.param(UPLOAD, replace(COPY, size=99), "contested", "different", id="another size"),
        pytest.param(UPLOAD, BARE, "contested", "different", id="not written by the app"),
        pytest.param(UPLOAD, DeleteMarker(), "contested", "delete marker", id="a delete marker"),
        pytest.param(None, None, "gone", "no longer there", id="gone"),
        pytest.param(
            CustomerEncrypted(key="backup.tar.gz.gpg"),
            None,
            "rejected",
            "SSE-C",
            id="the sender's own key",
        ),
        pytest.param(
            replace(UPLOAD, encryption="aws:kms"), None, "rejected", "KMS key", id="a KMS key"
        ),
        pytest.param(
            replace(UPLOAD, encryption="AES256"), None, "promoted", "was free", id="S3's own key"
        ),
        pytest.param(replace(UPLOAD, size=9), None, "rejected", "fewer than", id="too small"),
        pytest.param(
            replace(UPLOAD, size=10), None, "promoted", "was free", id="exactly min_bytes"
        ),
        pytest.param(
            replace(UPLOAD, size=1000), None, "promoted", "was free", id="exactly max_bytes"
        ),
        pytest.param(replace(UPLOAD, size=1001), None, "rejected", "more than", id="too large"),
        pytest.param(
            replace(UPLOAD, storage_class="GLACIER"), None, "rejected", "GLACIER", id="archived"
        ),
        pytest.param(
            replace(UPLOAD, storage_class="STANDARD_IA"),
            None,
            "promoted",
            "free",
            id="infrequent access",
        ),
        pytest.param(
            replace(UPLOAD, last_modified=NOW - timedelta(hours=168)),
            None,
            "promoted",
            "2026-11-16.tar.gz.gpg was free",
            id="at the end of accept_within",
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
            "already holds this upload",
            id="too late, but already stored",
        ),
        pytest.param(
            replace(UPLOAD, size=9),
            replace(BARE, size=9),
            "rejected",
            "fewer",
            id="too small, and the slot is filled",
        ),
    ],
)
def test_each_case_has_one_outcome(
    upload: Upload | CustomerEncrypted | None,
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
    assert key not in POLICY.promotable_keys


def test_the_slot_is_named_after_the_time_of_the_upload_not_of_the_run() -> None:
    late = NOW + timedelta(hours=20)
    decision = decide(POLICY, key=UPLOAD.key, upload=UPLOAD, stored=None, now=late)
    assert decision.slot is not None
    assert decision.slot.name == SLOT


def test_a_rule_can_have_its_own_time_zone() -> None:
    slot = POLICY.slot_of("sql.gz.gpg", NOW)
    assert slot.name == "2026-11-23.19.sql.gz.gpg"
    assert slot.start == datetime(2026, 11, 23, 13, 30, tzinfo=UTC)


def test_servers_have_their_own_keys_and_slots() -> None:
    assert set(FLEET.server_keys) == {
        f"{server}/{rule.upload}" for server in ("web1", "db1") for rule in (DAILY, HOURLY)
    }
    slot = FLEET.slot_of("db1/backup.tar.gz.gpg", NOW)
    assert (slot.name, slot.server, slot.rule) == (f"db1/{SLOT}", "db1", DAILY)


def test_every_moment_has_a_slot() -> None:
    """Clocks on Chatham jumped from 02:45 to 03:45, and never showed the start of this hour."""
    policy = Policy(rules=(replace(HOURLY, timezone=load_zone("Pacific/Chatham")),), timezone=ZONE)
    slot = policy.slot_of("sql.gz.gpg", datetime(2026, 9, 26, 14, 5, tzinfo=UTC))
    assert slot.name == "2026-09-27.03.sql.gz.gpg"
    assert slot.end - slot.start == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("pattern", "hours", "min_days"),
    [
        pytest.param("%Y-%m-%d.%H.%M", 168, 8, id="minutes, a week"),
        pytest.param("%Y-%m-%d.%H", 168, 8, id="hours, a week"),
        pytest.param("%Y-%m-%d.%H", 167, 7, id="hours, an hour less"),
        pytest.param("%Y-%m-%d", 168, 8, id="days, a week"),
        pytest.param("%Y-%m-%d", 1, 2, id="days, an hour"),
        pytest.param("%G-W%V", 168, 14, id="weeks, a week"),
        pytest.param("%Y-%m", 168, 38, id="months, a week"),
        pytest.param("%Y", 8760, 731, id="years, a year"),
    ],
)
def test_backups_are_kept_until_no_upload_can_claim_their_name_again(
    pattern: str, hours: int, min_days: int
) -> None:
    """`min_days` is the longest period plus the hours, rounded up to whole days."""
    policy = Policy(
        rules=(HOURLY, replace(DAILY, store_as=Pattern(pattern + ".gpg"))),
        timezone=ZONE,
        accept_within=timedelta(hours=hours),
        keep_days=min_days,
    )
    with pytest.raises(PolicyError, match=f"keep_days = {min_days - 1} must be {min_days} or more"):
        replace(policy, keep_days=min_days - 1)


def test_every_policy_has_a_key_for_the_drill_besides_those_of_servers() -> None:
    for policy in (POLICY, FLEET):
        assert set(policy.promotable_keys) - set(policy.server_keys) == {"drill/rehearsal"}
        slot = policy.slot_of("drill/rehearsal", NOW)
        assert (slot.name, slot.server) == (f"drill/{NOW:%Y-%m-%d.%H.%M}.rehearsal", "drill")
        assert slot.end - slot.start == timedelta(minutes=1)
        assert slot.rule.max_bytes == 64 * 1024**2


def with_checksum(item: Upload | Stored, checksum: Checksum | None, **changes: str) -> Any:
    return replace(item, checksum=checksum, **changes)


@pytest.mark.parametrize(
    ("upload", "stored", "is_copy"),
    [
        pytest.param(V1, COPY_OF_V1, True, id="the same version"),
        pytest.param(
            replace(V1, etag="x"), COPY_OF_V1, True, id="the version decides, not the ETag"
        ),
        pytest.param(replace(V1, size=99), COPY_OF_V1, False, id="the same version, another size"),
        pytest.param(replace(V1, key="x"), COPY_OF_V1, False, id="another key"),
        pytest.param(replace(V1, version_id="v2"), COPY_OF_V1, True, id="sent again, same ETag"),
        pytest.param(
            replace(V1, version_id="v2", etag="x"), COPY_OF_V1, False, id="another upload"
        ),
        pytest.param(
            with_checksum(V1, CRC), with_checksum(COPY_OF_V1, CRC), True, id="the same checksum"
        ),
        pytest.param(
            with_checksum(V1, CRC), with_checksum(COPY_OF_V1, OTHER_CRC), False, id="damaged"
        ),
        pytest.param(with_checksum(V1, CRC), COPY_OF_V1, False, id="the copy has no checksum"),
        pytest.param(V1, with_checksum(COPY_OF_V1, CRC), True, id="the upload has no checksum"),
        pytest.param(
            with_checksum(V1, SHA),
            with_checksum(COPY_OF_V1, CRC),
            True,
            id="checksums of two algorithms",
        ),
        pytest.param(
            with_checksum(V1, CRC, version_id="v2", etag="in-2"),
            with_checksum(COPY_OF_V1, CRC),
            True,
            id="sent again in other parts, same checksum",
        ),
        pytest.param(
            with_checksum(V1, SHA, version_id="v2", etag="x"),
            with_checksum(COPY_OF_V1, CRC),
            False,
            id="another version, checksums of two algorithms",
        ),
        pytest.param(
            replace(UPLOAD, version_id="null"), COPY, True, id="null: ETag and size decide"
        ),
        pytest.param(
            replace(UPLOAD, version_id="null", etag="x"),
            replace(COPY, source_version_id=None),
            False,
            id="null identifies no upload",
        ),
    ],
)
def test_whether_a_backup_is_a_copy_of_an_upload(
    upload: Upload, stored: Stored, *, is_copy: bool
) -> None:
    assert stored.is_copy_of(upload) is is_copy


@pytest.mark.parametrize(
    ("upload", "is_named"),
    [
        pytest.param(V1, True, id="its version"),
        pytest.param(replace(V1, version_id="v2"), False, id="another version"),
        pytest.param(UPLOAD, False, id="an upload without versions"),
        pytest.param(replace(V1, version_id="null"), False, id="null"),
    ],
)
def test_a_copy_names_the_version_of_its_upload(upload: Upload, *, is_named: bool) -> None:
    assert COPY_OF_V1.names(upload) is is_named


def test_without_versions_a_copy_names_its_upload_by_etag_and_time() -> None:
    copy = replace(COPY, source_last_modified=NOW.isoformat())
    for version in (None, "null"):
        assert copy.names(replace(UPLOAD, version_id=version))
    assert not copy.names(replace(UPLOAD, etag="x"))
    assert not copy.names(replace(UPLOAD, last_modified=NOW + timedelta(seconds=1)))


def test_an_upload_waits_while_an_older_upload_is_eligible_for_its_free_slot() -> None:
    older = NOW - timedelta(minutes=5)
    decision = decide(POLICY, key=V1.key, upload=V1, stored=None, older=older, now=NOW)
    assert decision.outcome is Outcome.WAITING
    assert "2026-11-23 14:00:00 UTC" in decision.reason


@pytest.mark.parametrize(
    ("upload", "stored", "outcome"),
    [
        pytest.param(V1, COPY_OF_V1, Outcome.ALREADY_PROMOTED, id="it is stored already"),
        pytest.param(V1, BARE, Outcome.CONTESTED, id="the slot is filled"),
        pytest.param(replace(V1, size=9), None, Outcome.REJECTED, id="it can never be promoted"),
    ],
)
def test_no_other_upload_waits(upload: Upload, stored: Stored | None, outcome: Outcome) -> None:
    decision = decide(POLICY, key=V1.key, upload=upload, stored=stored, older=NOW, now=NOW)
    assert decision.outcome is outcome


def test_an_upload_that_no_run_can_copy_is_rejected() -> None:
    decision = decide(POLICY, key=V1.key, upload=V1, stored=None, now=NOW, largest=99)
    assert decision.outcome is Outcome.REJECTED
    assert "100 bytes" in decision.reason
    assert "lambda_timeout" in decision.reason
    decision = decide(POLICY, key=V1.key, upload=V1, stored=None, now=NOW, largest=100)
    assert decision.outcome is Outcome.PROMOTED


def test_an_upload_without_a_rule_has_no_slot() -> None:
    with pytest.raises(KeyError):
        POLICY.slot_of("holiday.jpg", NOW)


def test_an_invalid_policy_cannot_be_built() -> None:
    with pytest.raises(PolicyError, match="two rules have"):
        replace(POLICY, rules=(DAILY, DAILY))
