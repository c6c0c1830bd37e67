"""Promotes uploads: gather what is there, decide, act on it, record what became of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import copying, record
from chalicelib.copy_ends import Destination, Source
from chalicelib.gathering import Found, Gathering
from chalicelib.part_plan import BEST_BYTES_PER_SECOND, Limits
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
from chalicelib.s3_errors import error_code, may_have_worked
from chalicelib.settings import Settings
from chalicelib.tidying import tidy_vault

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# How often one run tries to copy while uploads keep changing under it, or others are at work.
ATTEMPTS = 5


class UnverifiedCopyError(Exception):
    """What is in the slot is not what was copied there. The upload stays; somebody must look."""


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Moves uploads from incoming into the slots of the vault, as the policy says."""

    s3: "S3Client"
    settings: Settings
    policy: Policy
    limits: Limits

    def promote_all(
        self,
        event: Mapping[str, Any],
        *,
        now: datetime,
        seconds_left: Callable[[], float] | None = None,
    ) -> list[Record]:
        """Promote every upload that an S3 notification names; one that fails stops no other.

        Raises ExceptionGroup of what failed, after all were tried, so that Lambda tries again.
        """
        largest = int(seconds_left() * BEST_BYTES_PER_SECOND) if seconds_left else None
        records: list[Record] = []
        failures: list[Exception] = []
        for notification in event["Records"]:
            try:
                notice = Notice.of_notification(notification, bucket=self.settings.incoming_bucket)
                records.append(
                    self.promote(notice, now=now, seconds_left=seconds_left, largest=largest)
                )
            # The door's last resort: whatever goes wrong with one upload must not hide the others.
            except Exception as error:  # noqa: BLE001
                record.write_failure(notification, error)
                failures.append(error)
        record.flush_metrics()
        if failures:
            total = len(records) + len(failures)
            raise ExceptionGroup(f"{len(failures)} of {total} uploads were not settled", failures)
        return records

    def promote(
        self,
        notice: Notice,
        *,
        now: datetime,
        seconds_left: Callable[[], float] | None = None,
        largest: int | None = None,
    ) -> Record:
        """Settle one upload. A retry, a duplicate or a crash at any point ends in the same state.

        The copy ends while there are `seconds_left` (None: unlimited), and `largest` is as for
        `decide`.
        Raises ClientError, BotoCoreError, OutOfTimeError or UnverifiedCopyError when it could not
        be settled.
        """
        started = time.monotonic()
        look = Gathering(s3=self.s3, settings=self.settings, policy=self.policy)

        def gather() -> Found:
            return look.gather(
                key=notice.key, version_id=notice.version_id, now=now, largest=largest
            )

        found = gather()
        copied: tuple[Decision, Found] | None = None
        for attempt in count(1):
            decision = decide(
                self.policy,
                key=notice.key,
                upload=found.upload,
                stored=found.stored,
                older=found.older,
                now=now,
                largest=largest,
            )
            try:
                self._act(decision, found, look, seconds_left)
                break
            except (ClientError, BotoCoreError) as error:
                # No error says what was done and what was not: only what is there now counts.
                if decision.outcome is Outcome.PROMOTED and may_have_worked(error):
                    copied = decision, found
                before, found = found, gather()
                if not is_worth_another_look(before, found, error, attempt=attempt):
                    raise
                if error_code(error) == copying.CONFLICT:
                    time.sleep(self.limits.pause * attempt)
        # An answer was lost, but the copy was made.
        if copied and decision.outcome in {Outcome.ALREADY_PROMOTED, Outcome.GONE}:
            decision, found = copied
        seconds = time.monotonic() - started
        entry = Record.of(notice, decision, found.upload, seconds=seconds)
        record.write(entry)
        return entry

    def _act(
        self,
        decision: Decision,
        found: Found,
        look: Gathering,
        seconds_left: Callable[[], float] | None,
    ) -> None:
        """Do what was decided."""
        slot, upload = decision.slot, found.upload
        if decision.outcome is Outcome.GONE:
            tidy_vault(look)
        if slot is None or not isinstance(upload, Upload):
            return
        source = self._source(upload)
        match decision.outcome:
            case Outcome.PROMOTED:
                copied = copying.copy(
                    self.s3,
                    source=source,
                    destination=self._destination(slot, upload),
                    limits=self.limits,
                    seconds_left=seconds_left,
                )
                if not copied.verified:
                    self._verify(slot, upload, look.look_at_slot(slot.name))
                tidy_vault(look, taken=slot, found=copied.others)
                copying.remove(self.s3, source)
            case Outcome.ALREADY_PROMOTED:
                tidy_vault(look, taken=slot)
                copying.remove(self.s3, source)
            case Outcome.CONTESTED if isinstance(found.stored, Stored) and found.stored.names(
                upload
            ):
                self._verify(slot, upload, found.stored)
            case _ if found.stored is not None and not copying.is_single(source, self.limits):
                tidy_vault(look, taken=slot)

    def _verify(self, slot: Slot, upload: Upload, stored: Stored | DeleteMarker | None) -> None:
        """Raises UnverifiedCopyError unless what lies there is a copy of the upload."""
        if not isinstance(stored, Stored) or not stored.is_copy_of(upload):
            there = (
                f"it has the checksum {stored.checksum} and {stored.size:,} bytes"
                if isinstance(stored, Stored)
                else f"there is {stored}"
            )
            raise UnverifiedCopyError(
                f"{slot.name} does not hold a copy of {upload.key}: {there}, the upload has "
                f"{upload.checksum} and {upload.size:,}"
            )

    def _source(self, upload: Upload) -> Source:
        return Source(
            bucket=self.settings.incoming_bucket,
            key=upload.key,
            etag=upload.etag,
            size=upload.size,
            last_modified=upload.last_modified,
            version_id=upload.version_id,
            checksum=(upload.checksum.algorithm, upload.checksum.value)
            if upload.checksum
            else None,
            owner=self.settings.incoming_owner,
        )

    def _destination(self, slot: Slot, upload: Upload) -> Destination:
        metadata = {
            "source-key": upload.key,
            "source-etag": upload.etag,
            "source-last-modified": upload.last_modified.astimezone(UTC).isoformat(),
        }
        if upload.identity:
            metadata["source-version-id"] = upload.identity
        return Destination(
            bucket=self.settings.vault_bucket,
            key=slot.name,
            storage_class=slot.rule.storage_class,
            metadata=metadata,
            owner=self.settings.vault_owner,
        )


def is_worth_another_look(
    before: Found, after: Found, error: ClientError | BotoCoreError, *, attempt: int
) -> bool:
    """Whether to decide anew after `error`: the slot was filled, or something else has changed."""
    if after.stored != before.stored:
        return True
    changed = after != before or error_code(error) == copying.CONFLICT
    return changed and attempt < ATTEMPTS
