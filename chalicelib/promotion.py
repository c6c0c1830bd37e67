"""Promotes uploads: gather what is there, decide, act on it, record what became of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import copying, record
from chalicelib.copying import Destination, Source
from chalicelib.gathering import Found, gather, look_at_slot, real_version
from chalicelib.part_plan import Limits
from chalicelib.policy import (
    Decision,
    DeleteMarker,
    Outcome,
    Policy,
    Slot,
    Stored,
    Upload,
    decide,
)
from chalicelib.record import Notice, Record
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# How often one run tries to copy while uploads keep changing under it, or others are at work.
ATTEMPTS = 5


class ForeignEventError(ValueError):
    """An event about a bucket that is not ours to promote from."""


class UnverifiedCopyError(Exception):
    """What is in the slot is not what was copied there. The upload stays; somebody must look."""


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Moves uploads from incoming into the slots of the vault, as the policy says."""

    s3: "S3Client"
    settings: Settings
    policy: Policy
    limits: Limits

    def promote_all(self, event: Mapping[str, Any], *, now: datetime) -> list[Record]:
        """Promote every upload that an S3 notification names; one that fails stops no other.

        Raises ExceptionGroup of what failed, after all were tried, so that Lambda tries again.
        """
        records: list[Record] = []
        failures: list[Exception] = []
        for entry in event["Records"]:
            try:
                records.append(self.promote(self._notice(entry), now=now))
            # The door's last resort: whatever goes wrong with one upload must not hide the others.
            except Exception as error:  # noqa: BLE001
                record.write_failure(entry, error)
                failures.append(error)
        record.flush_metrics()
        if failures:
            total = len(records) + len(failures)
            raise ExceptionGroup(f"{len(failures)} of {total} uploads were not settled", failures)
        return records

    def promote(self, notice: Notice, *, now: datetime) -> Record:
        """Settle one upload. A retry, a duplicate or a crash at any point ends in the same state.

        Raises ClientError, BotoCoreError or UnverifiedCopyError when it could not be settled.
        """
        started = time.monotonic()
        found = self._gather(notice)
        for attempt in count(1):
            decision = self._decide(notice, found, now)
            try:
                self._act(decision, found)
                break
            except (ClientError, BotoCoreError) as error:
                # No error says what was done and what was not: only what is there now counts.
                before, found = found, self._gather(notice)
                conflict = copying.error_code(error) == copying.CONFLICT
                if found.stored == before.stored and (
                    attempt >= ATTEMPTS or not (conflict or found.upload != before.upload)
                ):
                    raise
                if conflict:
                    time.sleep(self.limits.pause * attempt)
        return self._record(notice, decision, found, seconds=time.monotonic() - started)

    def _gather(self, notice: Notice) -> Found:
        return gather(
            self.s3,
            self.settings,
            self.policy,
            key=notice.key,
            version_id=notice.version_id,
        )

    def _decide(self, notice: Notice, found: Found, now: datetime) -> Decision:
        return decide(
            self.policy, key=notice.key, upload=found.upload, stored=found.stored, now=now
        )

    def _act(self, decision: Decision, found: Found) -> None:
        slot, upload, stored = decision.slot, found.upload, found.stored
        if slot is None or not isinstance(upload, Upload):
            return
        source = self._source(upload)
        if decision.outcome is Outcome.PROMOTED:
            copying.copy(
                self.s3,
                source=source,
                destination=self._destination(slot, upload),
                limits=self.limits,
            )
            stored = look_at_slot(self.s3, self.settings, slot)
        settled = decision.outcome in {Outcome.PROMOTED, Outcome.ALREADY_PROMOTED}
        if settled:
            _verify(slot, upload=upload, stored=stored)
        if stored is not None and not copying.is_single(source, self.limits):
            self._tidy(slot)
        if settled:
            copying.remove(self.s3, source)

    def _tidy(self, slot: Slot) -> None:
        """Abort what was begun for a slot that is taken, here or by a run that was killed.

        It can never be finished, and would only be billed, until S3's lifecycle aborts it: so this
        fails nothing.
        """
        try:
            copying.abort_unfinished(
                self.s3,
                bucket=self.settings.vault_bucket,
                key=slot.name,
                owner=self.settings.vault_owner,
            )
        except (ClientError, BotoCoreError) as error:
            record.write_untidy(slot.name, error)

    def _record(
        self, notice: Notice, decision: Decision, found: Found, *, seconds: float
    ) -> Record:
        slot = decision.slot
        upload = found.upload if isinstance(found.upload, Upload) else None
        checksum = upload.checksum if upload else None
        entry = Record(
            outcome=decision.outcome,
            reason=decision.reason,
            upload=notice.key,
            slot=slot.name if slot else None,
            rule=slot.rule.upload if slot else None,
            server=slot.server if slot else None,
            size=upload.size if upload else None,
            etag=upload.etag if upload else None,
            version_id=upload.version_id if upload else notice.version_id,
            uploaded_at=upload.last_modified.isoformat() if upload else None,
            checksum=f"{checksum.algorithm}:{checksum.value}" if checksum else None,
            claimed_ip=notice.claimed_ip,
            claimed_principal=notice.claimed_principal,
            seconds=round(seconds, 3),
        )
        record.write(entry)
        return entry

    def _notice(self, entry: Mapping[str, Any]) -> Notice:
        """What one record of an event says about a bucket of ours; all of it may be a lie."""
        bucket, thing = entry["s3"]["bucket"]["name"], entry["s3"]["object"]
        if bucket != self.settings.incoming_bucket:
            raise ForeignEventError(
                f"an event for the bucket {bucket!r}; this function promotes from "
                f"{self.settings.incoming_bucket} only"
            )
        return Notice(
            key=unquote_plus(thing["key"]),
            version_id=real_version(thing.get("versionId")),
            claimed_ip=(entry.get("requestParameters") or {}).get("sourceIPAddress"),
            claimed_principal=(entry.get("userIdentity") or {}).get("principalId"),
        )

    def _source(self, upload: Upload) -> Source:
        return Source(
            bucket=self.settings.incoming_bucket,
            key=upload.key,
            etag=upload.etag,
            size=upload.size,
            version_id=upload.version_id,
            checksum=(upload.checksum.algorithm, upload.checksum.value)
            if upload.checksum
            else None,
            owner=self.settings.incoming_owner,
        )

    def _destination(self, slot: Slot, upload: Upload) -> Destination:
        version = {"source-version-id": upload.version_id} if upload.version_id else {}
        return Destination(
            bucket=self.settings.vault_bucket,
            key=slot.name,
            storage_class=slot.rule.storage_class,
            metadata={
                "source-key": upload.key,
                "source-etag": upload.etag,
                "source-last-modified": upload.last_modified.astimezone(UTC).isoformat(),
                **version,
            },
            owner=self.settings.vault_owner,
        )


def _verify(slot: Slot, *, upload: Upload, stored: Stored | DeleteMarker | None) -> None:
    """Make sure, before the only other copy is removed, that the slot holds the upload's bytes."""
    if not isinstance(stored, Stored) or not stored.came_from(upload):
        raise UnverifiedCopyError(f"{slot.name} does not hold {upload.key}: {stored}")
    if upload.checksum is not None and stored.checksum != upload.checksum:
        raise UnverifiedCopyError(
            f"{slot.name} has the checksum {stored.checksum}, {upload.key} has {upload.checksum}"
        )
