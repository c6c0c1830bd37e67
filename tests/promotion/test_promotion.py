"""The life of a slot, and what an upload can never do to it."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.s3.models import s3_backends

from chalicelib.policy.decision import Outcome
from chalicelib.policy.file import parse_policy
from chalicelib.promotion.notification import ForeignEventError, Notification
from chalicelib.promotion.promotion import UnverifiedCopyError
from localcloud.s3.checksums import digest, encoded
from tests.support.faults import answers
from tests.support.wire import Wire
from tests.support.world import DAILY, HOURLY, SINGLE, World

EVENING = datetime.now(UTC).replace(hour=22, minute=30) - timedelta(days=2)
SLOT = f"{EVENING:%Y-%m-%d}.tar.gz.gpg"


def test_the_life_of_a_slot(any_world: World) -> None:
    world = any_world
    first = world.upload(b"Monday's backup", at=EVENING)
    assert world.promote(first).outcome is Outcome.PROMOTED
    vault = world.vault()
    assert world.bodies() == {SLOT: b"Monday's backup"}

    # The same event arrives again.
    assert world.promote(first).outcome is Outcome.GONE

    # Other bytes are uploaded.
    assert world.promote(world.upload(b"rubbish", at=EVENING)).outcome is Outcome.CONTESTED
    assert world.vault() == vault

    # The same bytes are uploaded again, a few minutes later.
    again = world.upload(b"Monday's backup", at=EVENING + timedelta(minutes=5))
    assert world.promote(again).outcome is Outcome.ALREADY_PROMOTED
    assert world.vault() == vault

    # The next day has its own slot.
    tuesday = world.upload(b"Tuesday's backup", at=EVENING + timedelta(days=1))
    assert world.promote(tuesday).outcome is Outcome.PROMOTED
    assert world.look(SLOT) == vault[SLOT]
    assert len(world.vault()) == 2
    assert world.unfinished() == []


def test_a_promoted_upload_is_removed_from_incoming_and_a_contested_upload_stays(
    any_world: World,
) -> None:
    any_world.promote(any_world.upload(b"first", at=EVENING))
    assert any_world.incoming() == []
    any_world.promote(any_world.upload(b"second", at=EVENING))
    assert any_world.incoming() == [DAILY]


def test_the_metadata_of_a_backup_names_its_upload(any_world: World) -> None:
    notification = any_world.upload(b"files", at=EVENING)
    record = any_world.promote(notification)
    metadata = any_world.look(SLOT)["Metadata"]
    assert metadata == {
        "source-key": DAILY,
        "source-etag": record.etag,
        "source-last-modified": EVENING.replace(microsecond=0).isoformat(),
        **({"source-version-id": notification.version_id} if notification.version_id else {}),
    }
    assert '"' not in metadata["source-etag"]


def test_only_the_bytes_of_an_upload_reach_the_vault(any_world: World) -> None:
    any_world.upload(
        b"files",
        at=EVENING,
        Metadata={"tier": "never"},
        Tagging="tier=hourly&keep=0",
        ContentType="text/html",
        ContentDisposition="attachment",
        CacheControl="no-store",
        StorageClass="REDUCED_REDUNDANCY",
        WebsiteRedirectLocation="https://example.org/",
    )
    any_world.promote(Notification(key=DAILY))
    stored = any_world.look(SLOT)
    tags = any_world.s3.get_object_tagging(Bucket="backups2", Key=SLOT)["TagSet"]
    assert tags == []
    assert set(stored["Metadata"]) <= {
        "source-key",
        "source-etag",
        "source-last-modified",
        "source-version-id",
    }
    assert stored["ContentType"] == "binary/octet-stream"
    assert not {"ContentDisposition", "CacheControl", "WebsiteRedirectLocation"} & set(stored)
    assert stored.get("StorageClass", "STANDARD") == "STANDARD"


def test_the_rule_s_storage_class_is_used(either_path: World) -> None:
    policy = either_path.promoter.policy
    rules = tuple(replace(rule, storage_class="GLACIER_IR") for rule in policy.rules)
    world = either_path.with_policy(replace(policy, rules=rules))
    world.promote(world.upload(b"files", at=EVENING))
    assert world.look(SLOT)["StorageClass"] == "GLACIER_IR"


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256"])
def test_the_checksum_of_the_upload_is_the_checksum_of_the_copy(
    any_world: World, algorithm: Any
) -> None:
    field, checksum = f"Checksum{algorithm}", encoded(digest(b"files", algorithm))
    any_world.upload(b"files", at=EVENING, **{field: checksum})
    record = any_world.promote(Notification(key=DAILY))
    assert record.checksum == f"{algorithm}:{checksum}"
    assert any_world.look(SLOT)[field] == checksum


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"], ids=["CRC32", "composite SHA256"])
def test_an_upload_in_parts_is_promoted_whole_into_the_slot_of_its_start(
    any_world: World, algorithm: Any
) -> None:
    s3, address = any_world.s3, {"Bucket": "backups1", "Key": DAILY}
    upload_id = s3.create_multipart_upload(**address, ChecksumAlgorithm=algorithm)["UploadId"]
    parts = []
    for number, body in ((1, b"first half, "), (7, b"second half")):
        part = s3.upload_part(
            **address, UploadId=upload_id, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm
        )
        checksum = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": part["ETag"], checksum: part[checksum]})
    s3.complete_multipart_upload(**address, UploadId=upload_id, MultipartUpload={"Parts": parts})
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    bucket = s3_backends["123456789012"]["aws"].buckets["backups1"]
    bucket.keys[DAILY].last_modified = begun.replace(tzinfo=None)
    assert any_world.promote(Notification(key=DAILY)).outcome is Outcome.PROMOTED
    assert any_world.bodies() == {f"{begun:%Y-%m-%d}.tar.gz.gpg": b"first half, second half"}


def test_servers_cannot_reach_each_other_s_slots(either_path: World) -> None:
    world = either_path.with_policy(replace(either_path.promoter.policy, servers=("web1", "db1")))
    for server in ("web1", "db1"):
        world.promote(world.upload(server.encode(), key=f"{server}/{DAILY}", at=EVENING))
    assert world.bodies() == {f"web1/{SLOT}": b"web1", f"db1/{SLOT}": b"db1"}
    assert world.promote(world.upload(b"?", key=DAILY)).outcome is Outcome.IGNORED


def test_an_upload_from_before_midnight_keeps_its_day_if_it_is_promoted_later(
    either_path: World,
) -> None:
    """Slots are not named by the run's clock: a retry would fill the next with old content."""
    late_evening = EVENING.replace(hour=23, minute=59, second=59)
    notification = either_path.upload(b"files", at=late_evening)
    record = either_path.promote(notification, now=late_evening + timedelta(hours=3))
    assert record.slot == SLOT


def test_a_newer_upload_that_arrives_during_the_copy_stays(either_path: World, wire: Wire) -> None:
    def newer_upload(operation: str) -> None:
        if operation == "DeleteObject":
            wire.before_each = None
            either_path.upload(b"the next one", at=EVENING)

    notification = either_path.upload(b"the first one", at=EVENING)
    wire.before_each = newer_upload
    assert either_path.promote(notification).outcome is Outcome.PROMOTED
    assert either_path.incoming() == [DAILY]
    assert either_path.bodies() == {SLOT: b"the first one"}


def test_only_the_version_that_was_copied_is_removed(versioned: World) -> None:
    old, new = versioned.upload(b"old", at=EVENING), versioned.upload(b"new", at=EVENING)
    assert versioned.promote(old).outcome is Outcome.PROMOTED
    [remaining] = versioned.s3.list_object_versions(Bucket="backups1")["Versions"]
    assert remaining["VersionId"] == new.version_id
    assert versioned.promote(new).outcome is Outcome.CONTESTED


def test_an_upload_that_replaces_another_before_the_copy_is_never_mixed_in(
    any_world: World, wire: Wire
) -> None:
    """A copy is pinned to its upload. If that is replaced, the new one is promoted instead."""
    bodies = iter([b"the other upload"])

    def replace_upload(operation: str) -> None:
        if operation in {"CopyObject", "UploadPartCopy"}:
            for body in bodies:
                any_world.upload(body, at=EVENING)

    notification = any_world.upload(b"the first upload", at=EVENING)
    wire.before_each = replace_upload
    record = any_world.promote(notification)
    assert record.outcome is Outcome.PROMOTED
    expected = b"the first upload" if notification.version_id else b"the other upload"
    assert any_world.bodies() == {SLOT: expected}
    assert any_world.unfinished() == []


def test_an_upload_that_keeps_changing_raises_after_five_attempts(world: World, wire: Wire) -> None:
    def replace_upload(operation: str) -> None:
        if operation == "CopyObject":
            world.upload(b"%d" % len(wire.sent), at=EVENING)

    notification = world.upload(b"0", at=EVENING)
    wire.before_each = replace_upload
    with pytest.raises(world.s3.exceptions.ClientError, match="PreconditionFailed"):
        world.promote(notification)
    assert world.bodies() == {}
    assert wire.sent.count("CopyObject") == 5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param({"StorageClass": "GLACIER"}, "storage class", id="archived"),
        pytest.param({"StorageClass": "DEEP_ARCHIVE"}, "storage class", id="deeply archived"),
        pytest.param(
            {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
            "SSE-C",
            id="the sender's own key",
        ),
        pytest.param(
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "theirs"}, "KMS", id="a KMS key"
        ),
        pytest.param({"Body": b""}, "fewer than min_bytes", id="empty"),
    ],
)
def test_an_upload_that_can_never_be_promoted_is_rejected(
    any_world: World, arguments: dict[str, Any], reason: str
) -> None:
    notification = any_world.upload(**({"body": b"files", "at": EVENING} | _body(arguments)))
    record = any_world.promote(notification)
    assert record.outcome is Outcome.REJECTED
    assert reason in record.reason
    assert any_world.bodies() == {}
    assert any_world.incoming() == [DAILY]


def _body(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"body": arguments["Body"]} if "Body" in arguments else arguments


def test_an_upload_with_a_foreign_kms_key_is_rejected_if_its_head_is_denied_too(
    world: World, wire: Wire
) -> None:
    notification = world.upload(b"files", ServerSideEncryption="aws:kms", SSEKMSKeyId="theirs")
    wire.fail("HeadObject", answers(403, "403"))
    assert world.promote(notification).outcome is Outcome.REJECTED


def test_an_upload_that_intelligent_tiering_has_archived_is_rejected(world: World) -> None:
    notification = world.upload(b"files")

    def archive(parsed: dict[str, Any], **_: Any) -> None:
        parsed["ArchiveStatus"] = "DEEP_ARCHIVE_ACCESS"

    world.s3.meta.events.register("after-call.s3.HeadObject", archive)
    assert world.promote(notification).outcome is Outcome.REJECTED


def test_a_size_outside_the_rule_is_rejected(either_path: World) -> None:
    world = either_path.with_policy(
        parse_policy(
            'timezone = "UTC"\n[[rule]]\nupload = "backup.tar.gz.gpg"\n'
            'store_as = "%Y-%m-%d.tar.gz.gpg"\nmin_bytes = 3\nmax_bytes = 5'
        )
    )
    outcomes = [world.promote(world.upload(b"x" * size, at=EVENING)).outcome for size in (2, 6, 5)]
    assert outcomes == ["rejected", "rejected", "promoted"]


def test_an_old_upload_cannot_take_the_slot_of_its_day(either_path: World) -> None:
    notification = either_path.upload(b"files", at=EVENING)
    record = either_path.promote(notification, now=EVENING + timedelta(hours=168, minutes=1))
    assert record.outcome is Outcome.REJECTED


def test_a_delete_marker_does_not_free_a_slot(any_world: World) -> None:
    any_world.promote(any_world.upload(b"files", at=EVENING))
    any_world.s3.delete_object(Bucket="backups2", Key=SLOT)
    record = any_world.promote(any_world.upload(b"rubbish", at=EVENING))
    assert record.outcome is Outcome.CONTESTED
    assert "delete marker" in record.reason
    versions = any_world.s3.list_object_versions(Bucket="backups2")
    assert len(versions["Versions"]) == 1


def test_the_slot_is_also_verified_before_a_retry_removes_the_upload(
    either_path: World,
) -> None:
    """The bytes differ, but key, ETag and size are the same (MD5 collisions make this possible)."""
    notification = either_path.upload(b"files", at=EVENING)
    etag = either_path.s3.head_object(Bucket="backups1", Key=DAILY)["ETag"].strip('"')
    either_path.s3.put_object(
        Bucket="backups2",
        Key=SLOT,
        Body=b"OTHER",
        Metadata={"source-key": DAILY, "source-etag": etag},
    )
    assert either_path.promote(notification).outcome is Outcome.CONTESTED
    assert either_path.incoming() == [DAILY]


def test_an_upload_is_not_removed_if_its_slot_holds_other_bytes(world: World, wire: Wire) -> None:
    def tamper(operation: str) -> None:
        if wire.sent[-2:] == ["CopyObject", "HeadObject"]:
            wire.before_each = None
            world.s3.put_object(Bucket="backups2", Key=SLOT, Body=b"something else")

    notification = world.upload(b"files", at=EVENING)
    wire.before_each = tamper
    with pytest.raises(UnverifiedCopyError, match="does not hold"):
        world.promote(notification)
    assert world.incoming() == [DAILY]


def test_parts_of_a_killed_run_are_removed_once_the_slot_is_filled(
    any_world: World,
) -> None:
    s3 = any_world.s3
    for name in (SLOT, SLOT + ".of-somebody-else"):
        s3.create_multipart_upload(Bucket="backups2", Key=name)
    any_world.promote(any_world.upload(b"files", at=EVENING))
    leftovers = [SLOT] if any_world.promoter.tuning == SINGLE else []
    assert sorted(any_world.unfinished()) == [*leftovers, SLOT + ".of-somebody-else"]


def test_suspended_versioning_counts_as_no_versioning(any_world: World) -> None:
    any_world.s3.put_bucket_versioning(
        Bucket="backups1", VersioningConfiguration={"Status": "Suspended"}
    )
    notification = any_world.upload(b"files", at=EVENING)
    assert any_world.promote(replace(notification, version_id=None)).outcome is Outcome.PROMOTED
    assert any_world.incoming() == []
    assert "source-version-id" not in any_world.look(SLOT)["Metadata"]


@pytest.mark.parametrize(
    ("in_event", "key"),
    [
        pytest.param("holiday+pictures.gpg", "holiday pictures.gpg", id="a space"),
        pytest.param("%D1%84%D0%B0%D0%B9%D0%BB", "файл", id="unicode"),
        pytest.param("a%0Ab", "a\nb", id="a line break"),
        pytest.param("..%2Fbackup.tar.gz.gpg", "../backup.tar.gz.gpg", id="a parent folder"),
        pytest.param("backup.tar.gz.gpg%00", "backup.tar.gz.gpg\0", id="a null byte"),
        pytest.param("x" * 1024, "x" * 1024, id="the longest key"),
        pytest.param("%FF%FE", "\ufffd\ufffd", id="not UTF-8"),
    ],
)
def test_strange_keys_are_ignored_and_logged_in_one_line(
    world: World, log: io.StringIO, in_event: str, key: str
) -> None:
    event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": in_event}}}]}
    [record] = world.promoter.promote_all(event, now=datetime.now(UTC))
    assert (record.outcome, record.upload) == (Outcome.IGNORED, key)
    assert json.loads(log.getvalue())["upload"] == key
    assert len(log.getvalue().splitlines()) == 1


def test_a_key_is_decoded_before_it_is_compared(world: World) -> None:
    world.upload(b"files", at=EVENING)
    event = {
        "Records": [
            {"s3": {"bucket": {"name": "backups1"}, "object": {"key": "backup%2Etar.gz.gpg"}}}
        ]
    }
    [record] = world.promoter.promote_all(event, now=datetime.now(UTC))
    assert record.outcome is Outcome.PROMOTED


def test_missing_claims_of_an_event_fail_no_promotion(world: World) -> None:
    world.upload(b"files")
    item = {"bucket": {"name": "backups1"}, "object": {"key": DAILY}}
    event = {"Records": [{"s3": item, "requestParameters": None, "userIdentity": None}]}
    [record] = world.promoter.promote_all(event, now=datetime.now(UTC))
    assert record.outcome is Outcome.PROMOTED


def test_an_event_of_another_bucket_is_refused(world: World, wire: Wire) -> None:
    event = {"Records": [{"s3": {"bucket": {"name": "backups2"}, "object": {"key": DAILY}}}]}
    with pytest.raises(ExceptionGroup) as failures:
        world.promoter.promote_all(event, now=datetime.now(UTC))
    [failure] = failures.value.exceptions
    assert isinstance(failure, ForeignEventError)
    assert wire.sent == []


def test_the_keys_of_both_rules_are_promoted(either_path: World) -> None:
    for key in (DAILY, HOURLY):
        either_path.promote(either_path.upload(key.encode(), key=key, at=EVENING))
    assert either_path.bodies() == {
        SLOT: DAILY.encode(),
        f"{EVENING:%Y-%m-%d}.22.sql.gz.gpg": HOURLY.encode(),
    }
