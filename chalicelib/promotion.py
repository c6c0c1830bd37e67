"""Promotes uploads: gather what is there, decide, act on it, record what became of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import copying, record
from chalicelib.copy_ends import Destination, Source
from chalicelib.copying_in_parts import Interrupted
from chalicelib.gathering import Found, gather, look_at_slot
from chalicelib.handover import Handover, Run, StalledCopyError
from chalicelib.part_plan import Limits
from chalicelib.policy import (
    Decision,
    Outcome,
    Policy,
    Slot,
    Upload,
    decide,
)
from chalicelib.record import Notice, Record
from chalicelib.s3_errors import error_code
from chalicelib.settings import Settings
from chalicelib.tidying import Tidying
from chalicelib.verifying import verify, verify_again

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# How often one run tries to copy while uploads keep changing under it, or others are at work.
ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Moves uploads from incoming into the slots of the vault, as the policy says."""

    s3: "S3Client"
    settings: Settings
    policy: Policy
    limits: Limits

    def promote_all(
        self, event: Mapping[str, Any], *, now: datetime, run: Run | None = None
    ) -> list[Record]:
        """Promote every upload that an S3 notification names; one that fails stops no other.

        What `run` cannot finish goes on in a next run. Without `run` nothing ends this one.
        Raises ExceptionGroup of what failed, after all were tried, so that Lambda tries again.
        """
        records: list[Record] = []
        failures: list[Exception] = []
        for entry in event["Records"]:
            try:
                done = self.promote(
                    Notice.of_notification(entry, bucket=self.settings.incoming_bucket),
                    now=now,
                    seconds_left=run.seconds_left if run else None,
                    handed=Handover.of_event(event),
                )
                if run and done.handover:
                    run.invoke_next({"Records": [entry], "handover": asdict(done.handover)})
                records.append(done)
            # The door's last resort: whatever goes wrong with one upload must not hide the others.
            except Exception as error:  # noqa: BLE001
                record.write_failure(entry, error)
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
        handed: Handover | None = None,
    ) -> Record:
        """Settle one upload. A retry, a duplicate or a crash at any point ends in the same state.

        A large copy goes on where the run before this one `handed` it over; if it is interrupted
        again, the record has the handover for the next one. Without `seconds_left` there is none.
        Raises ClientError, BotoCoreError, UnverifiedCopyError or StalledCopyError when it could not
        be settled.
        """
        started = time.monotonic()
        found = self._gather(notice)
        for attempt in count(1):
            decision = self._decide(notice, found, now)
            try:
                handover = self._act(decision, found, seconds_left, handed)
                break
            except (ClientError, BotoCoreError) as error:
                # No error says what was done and what was not: only what is there now counts.
                before, found = found, self._gather(notice)
                conflict = error_code(error) == copying.CONFLICT
                if found.stored == before.stored and (
                    attempt >= ATTEMPTS or not (conflict or found.upload != before.upload)
                ):
                    raise
                if conflict:
                    time.sleep(self.limits.pause * attempt)
        if handover:
            decision = replace(
                decision,
                outcome=Outcome.CONTINUED,
                reason=f"{handover.slot} is copied in part; run {handover.run} goes on.",
            )
        seconds = time.monotonic() - started
        entry = Record.of(notice, decision, found.upload, handover=handover, seconds=seconds)
        record.write(entry)
        return entry

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

    def _act(
        self,
        decision: Decision,
        found: Found,
        seconds_left: Callable[[], float] | None,
        handed: Handover | None,
    ) -> Handover | None:
        """Do what was decided; what to hand over of a copy that this run could not finish."""
        slot, upload, tidying = decision.slot, found.upload, self._tidying
        if handed and not handed.is_about(decision, upload):
            tidying.abort(handed.copy)
            handed = None
        if decision.outcome is Outcome.GONE:
            tidying.tidy_vault()
        if slot is None or not isinstance(upload, Upload):
            return None
        if decision.outcome is Outcome.PROMOTED:
            return self._fill(slot, upload, seconds_left, handed)
        source, again = self._source(upload), decision.outcome is Outcome.ALREADY_PROMOTED
        if again:
            verify_again(slot, source, upload, found.stored)
        if found.stored is not None and (again or not copying.is_single(source, self.limits)):
            tidying.tidy_vault(taken=slot)
        if again:
            copying.remove(self.s3, source)
        return None

    def _fill(
        self,
        slot: Slot,
        upload: Upload,
        seconds_left: Callable[[], float] | None,
        handed: Handover | None,
    ) -> Handover | None:
        """Move the upload into its slot, which was free when it was looked at."""
        source = self._source(upload)
        copied = copying.copy(
            self.s3,
            source=source,
            destination=self._destination(slot, upload),
            limits=self.limits,
            seconds_left=seconds_left,
            upload_id=handed.upload_id if handed else None,
        )
        if isinstance(copied, Interrupted):
            return self._hand_over(copied, slot, upload, handed)
        if not copied.proven:
            stored = look_at_slot(self.s3, self.settings, slot)
            verify(slot, source, upload, stored)
        self._tidying.tidy_vault(taken=slot, unfinished=copied.others)
        copying.remove(self.s3, source)
        return None

    def _hand_over(
        self, copied: Interrupted, slot: Slot, upload: Upload, handed: Handover | None
    ) -> Handover:
        """Let the next run go on, which looks at both sides first: the copy may even be made."""
        handover = Handover.of_copy(copied, slot, upload, handed)
        try:
            handover.refuse_without_end(copied)
        except StalledCopyError:
            self._tidying.abort(handover.copy)
            raise
        if copied.cause:
            record.write_given_up(copied.cause)
        return handover

    @property
    def _tidying(self) -> Tidying:
        return Tidying(s3=self.s3, settings=self.settings, policy=self.policy)

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
