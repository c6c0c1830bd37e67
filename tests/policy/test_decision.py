from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.policy.decision import (
    Checksum,
    DeleteMarker,
    Outcome,
    Sealed,
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
        pytest.param(UPLOAD, BARE, "contested", "different", id="not put by us"),
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
            replace(UPLOAD, size=9),
            replace(BARE, size=9),
            "rejected",
            "fewer",
            id="rubbish is rubbish",
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


def test_every_moment_has_a_slot() -> None:
    """Clocks on Chatham jumped from 02:45 to 03:45: nobody there saw the hour's begin."""
    policy = Policy(rules=(replace(HOURLY, timezone=load_zone("Pacific/Chatham")),), timezone=ZONE)
    slot = policy.slot_of("sql.gz.gpg", datetime(2026, 9, 26, 14, 5, tzinfo=UTC))
    assert slot.name == "2026-09-27.03.sql.gz.gpg"
    assert slot.end - slot.start == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("pattern", "hours", "least"),
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
def test_backups_are_kept_until_nothing_can_claim_their_name_again(
    pattern: str, hours: int, least: int
) -> None:
    """Stored first thing in its period, and claimed again by the last upload that is accepted."""
    policy = Policy(
        rules=(HOURLY, replace(DAILY, store_as=Pattern(pattern + ".gpg"))),
        timezone=ZONE,
        accept_within=timedelta(hours=hours),
        keep_days=least,
    )
    with pytest.raises(PolicyError, match=f"keep_days = {least - 1} must be {least} or more"):
        replace(policy, keep_days=least - 1)


def test_every_policy_has_the_drill_s_rehearsal_beside_what_servers_upload() -> None:
    for policy in (POLICY, FLEET):
        assert set(policy.claims) - set(policy.uploads) == {"drill/rehearsal"}
        slot = policy.slot_of("drill/rehearsal", NOW)
        assert (slot.name, slot.server) == (f"drill/{NOW:%Y-%m-%d.%H.%M}.rehearsal", "drill")
        assert slot.end - slot.start == timedelta(minutes=1)
        assert slot.rule.max_bytes == 65_536


def with_checksum(what: Upload | Stored, checksum: Checksum | None, **more: str) -> Any:
    return replace(what, checksum=checksum, **more)


@pytest.mark.parametrize(
    ("upload", "stored", "is_copy"),
    [
        pytest.param(V1, COPY_OF_V1, True, id="the very version"),
        pytest.param(replace(V1, etag="x"), COPY_OF_V1, True, id="the version outweighs the ETag"),
        pytest.param(replace(V1, size=99), COPY_OF_V1, False, id="the version, another size"),
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
        pytest.param(
            with_checksum(V1, CRC), COPY_OF_V1, False, id="the copy has lost the checksum"
        ),
        pytest.param(
            V1, with_checksum(COPY_OF_V1, CRC), True, id="the upload has none over all its bytes"
        ),
        pytest.param(
            with_checksum(V1, SHA), with_checksum(COPY_OF_V1, CRC), True, id="they do not compare"
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
            id="another version, nothing that compares",
        ),
        pytest.param(replace(UPLOAD, version_id="null"), COPY, True, id="null: by ETag and size"),
        pytest.param(
            replace(UPLOAD, version_id="null", etag="x"),
            replace(COPY, source_version_id=None),
            False,
            id="null is no identity",
        ),
    ],
)
def test_what_is_a_copy_of_what(upload: Upload, stored: Stored, *, is_copy: bool) -> None:
    assert stored.is_copy_of(upload) is is_copy


@pytest.mark.parametrize(
    ("upload", "names"),
    [
        pytest.param(V1, True, id="its version"),
        pytest.param(replace(V1, version_id="v2"), False, id="another version"),
        pytest.param(UPLOAD, False, id="an upload without versions"),
        pytest.param(replace(V1, version_id="null"), False, id="null"),
    ],
)
def test_a_copy_names_the_version_that_it_was_made_from(upload: Upload, *, names: bool) -> None:
    assert COPY_OF_V1.names(upload) is names


def test_without_versions_a_copy_names_its_upload_by_etag_and_time() -> None:
    copy = replace(COPY, source_last_modified=NOW.isoformat())
    for version in (None, "null"):
        assert copy.names(replace(UPLOAD, version_id=version))
    assert not copy.names(replace(UPLOAD, etag="x"))
    assert not copy.names(replace(UPLOAD, last_modified=NOW + timedelta(seconds=1)))


def test_an_upload_waits_while_an_older_one_is_eligible_for_its_free_slot() -> None:
    older = NOW - timedelta(minutes=5)
    decision = decide(POLICY, key=V1.key, upload=V1, stored=None, older=older, now=NOW)
    assert decision.outcome is Outcome.WAITING
    assert "2026-11-23 14:00:00 UTC" in decision.reason


@pytest.mark.parametrize(
    ("upload", "stored", "outcome"),
    [
        pytest.param(V1, COPY_OF_V1, Outcome.ALREADY_PROMOTED, id="it is stored"),
        pytest.param(V1, BARE, Outcome.CONTESTED, id="the slot is taken"),
        pytest.param(replace(V1, size=9), None, Outcome.REJECTED, id="it can never be promoted"),
    ],
)
def test_nothing_else_waits(upload: Upload, stored: Stored | None, outcome: Outcome) -> None:
    decision = decide(POLICY, key=V1.key, upload=upload, stored=stored, older=NOW, now=NOW)
    assert decision.outcome is outcome


def test_what_no_run_can_copy_is_rejected() -> None:
    decision = decide(POLICY, key=V1.key, upload=V1, stored=None, now=NOW, largest=99)
    assert decision.outcome is Outcome.REJECTED
    assert "100 bytes" in decision.reason
    assert "lambda_timeout" in decision.reason
    decision = decide(POLICY, key=V1.key, upload=V1, stored=None, now=NOW, largest=100)
    assert decision.outcome is Outcome.PROMOTED


def test_an_upload_without_a_rule_has_no_slot() -> None:
    with pytest.raises(KeyError):
        POLICY.slot_of("holiday.jpg", NOW)


def test_a_policy_cannot_be_built_wrong() -> None:
    with pytest.raises(PolicyError, match="two rules have"):
        replace(POLICY, rules=(DAILY, DAILY))
