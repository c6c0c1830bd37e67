"""Two buckets and a promoter between them, and ways to inspect them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, s3_backends

from chalicelib.promotion.copy_plan import Tuning
from chalicelib.promotion.notification import Notification
from chalicelib.promotion.promotion import Promoter
from chalicelib.record import Record, Swept
from chalicelib.watching.audit import Auditor
from chalicelib.watching.sweep import Sweeper

DAILY, HOURLY = "backup.tar.gz.gpg", "sql.gz.gpg"
SINGLE = Tuning(pause=0)
PARTS = Tuning(single=0, part=8, streams=2, pause=0)


Worker = TypeVar("Worker", Promoter, Sweeper)


def with_buckets(worker: Worker, **changes: Any) -> Worker:
    """The same promoter or sweeper, whose buckets have another client or owner."""
    return replace(
        worker,
        incoming=replace(worker.incoming, **changes),
        vault=replace(worker.vault, **changes),
    )


def bucket(name: str) -> FakeBucket:
    """Return a bucket in the store of the S3 in this process."""
    return s3_backends["123456789012"]["aws"].buckets[name]


def versions_in(name: str) -> dict[str, list[FakeKey | FakeDeleteMarker]]:
    """Return the versions of each key in a bucket, oldest first."""
    return {key: versions for key, versions in sorted(dict.items(bucket(name).keys)) if versions}


def is_object(version: FakeKey | FakeDeleteMarker) -> bool:
    return not isinstance(version, FakeDeleteMarker)


@dataclass
class World:
    """Two buckets and a promoter. It reports what S3 returns, never what we expect."""

    s3: Any
    promoter: Promoter

    def upload(
        self, body: bytes, *, key: str = DAILY, at: datetime | None = None, **more: Any
    ) -> Notification:
        """Upload as a server would, at the moment `at`; return S3's notification of it."""
        answer = self.s3.put_object(Bucket="backups1", Key=key, Body=body, **more)
        if at is not None:
            bucket("backups1").keys[key].last_modified = at.astimezone(UTC).replace(tzinfo=None)
        return Notification(key=key, version_id=answer.get("VersionId"))

    def promote(self, notice: Notification, *, now: datetime | None = None) -> Record:
        return self.promoter.promote(notice, now=now or datetime.now(UTC))

    def sweeper(self, invoke: Callable[[dict[str, Any]], None]) -> Sweeper:
        promoter = self.promoter
        return Sweeper(
            incoming=promoter.incoming,
            vault=promoter.vault,
            policy=promoter.policy,
            invoke=invoke,
        )

    def auditor(self) -> Auditor:
        promoter = self.promoter
        return Auditor(
            incoming=promoter.incoming,
            vault=promoter.vault,
            policy=promoter.policy,
            protection=None,
        )

    def sweep(
        self, *, now: datetime, scheduled: datetime | None = None
    ) -> tuple[Swept, list[Record]]:
        """Run a pass of the sweep, then `promote` with what it hands over."""
        events: list[dict[str, Any]] = []
        swept = self.sweeper(events.append).sweep(now=now, scheduled=scheduled or now)
        records = [self.promoter.promote_all(event, now=now) for event in events]
        return swept, [record for [record] in records]

    def vault(self) -> dict[str, dict[str, Any]]:
        """Every object of the vault: its bytes and everything that S3 reports of it."""
        return {
            item["Key"]: self.look(item["Key"])
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket="backups2")
            for item in page.get("Contents", [])
        }

    def look(self, name: str) -> dict[str, Any]:
        answer = self.s3.get_object(Bucket="backups2", Key=name, ChecksumMode="ENABLED")
        return {
            "Body": answer["Body"].read(),
            **{k: v for k, v in answer.items() if k not in {"Body", "ResponseMetadata"}},
        }

    # The methods below read moto's store instead of sending requests. S3 would return the same, as
    # tests/proofs/test_remembered_reads.py shows.

    def bodies(self) -> dict[str, bytes]:
        """Return the content of each object in the vault, by key."""
        newest = {name: held[-1] for name, held in versions_in("backups2").items()}
        return {name: held.value for name, held in newest.items() if is_object(held)}

    def incoming(self) -> list[str]:
        """The keys of incoming, each as often as it has versions."""
        held = versions_in("backups1").items()
        return [key for key, versions in held for each in versions if is_object(each)]

    def lying(self) -> list[bytes]:
        """Return the content of all versions in incoming, newest first within a key."""
        held = versions_in("backups1").values()
        return [each.value for versions in held for each in versions[::-1] if is_object(each)]

    def unfinished(self) -> list[str]:
        return sorted(upload.key_name for upload in bucket("backups2").multiparts.values())

    def clear_vault(self) -> None:
        bucket("backups2").keys.clear()

    def with_tuning(self, tuning: Tuning) -> "World":
        return replace(self, promoter=replace(self.promoter, tuning=tuning))

    def with_buckets(self, **changes: Any) -> "World":
        """The same world, except for the promoter's view of both buckets."""
        return replace(self, promoter=with_buckets(self.promoter, **changes))

    def with_policy(self, policy: Any) -> "World":
        return replace(self, promoter=replace(self.promoter, policy=policy))

    def keep_versions(self) -> None:
        """Keep versions in incoming from now on."""
        self.s3.put_bucket_versioning(
            Bucket="backups1", VersioningConfiguration={"Status": "Enabled"}
        )

    def suspend_versions(self) -> None:
        """From now on, each upload to incoming replaces the previous one again."""
        self.s3.put_bucket_versioning(
            Bucket="backups1", VersioningConfiguration={"Status": "Suspended"}
        )
