"""Promotes uploads: gather what is there, decide, act on it, record what became of it."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.policy.decision import (
    Decision,
    DeleteMarker,
    Outcome,
    Stored,
    Upload,
    decide,
    objection,
)
from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion import copying
from chalicelib.promotion.buckets import CONFLICT, Incoming, Situation, Vault, look_up, open_buckets
from chalicelib.promotion.copy_plan import Limits, largest_copy, unlimited
from chalicelib.promotion.leftovers import tidy_vault
from chalicelib.record import Notice, Record
from chalicelib.s3_errors import error_code, may_have_worked
from chalicelib.settings import Settings

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
        seconds_left: Callable[[], float] = unlimited,
    ) -> list[Record]:
        """Promote every upload that an S3 notification names; one that fails stops no other.

        Raises ExceptionGroup of what failed, after all were tried, so that Lambda tries again.
        """
        largest = largest_copy(seconds_left())
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
        seconds_left: Callable[[], float] = unlimited,
        largest: float = math.inf,
    ) -> Record:
        """Settle one upload. A retry, a duplicate or a crash at any point ends in the same state.

        The copy ends while there are `seconds_left`, and `largest` is as for `decide`.
        Raises ClientError, BotoCoreError, OutOfTimeError or UnverifiedCopyError when it could not
        be settled.
        """
        started = time.monotonic()
        incoming, vault = open_buckets(self.s3, self.settings)
        refusal = partial(objection, self.policy, now=now, largest=largest)
        look = partial(look_up, incoming, vault, self.policy, refusal, key=notice.key)
        found, copied = look(version_id=notice.version_id), None
        # From now on it is about this version, whatever is uploaded meanwhile.
        version_id = found.upload.version_id if isinstance(found.upload, Upload) else None
        for attempt in count(1):
            decision = decide(self.policy, key=notice.key, **vars(found), now=now, largest=largest)
            try:
                self._act(decision, found, incoming, vault, seconds_left)
                break
            except (ClientError, BotoCoreError) as error:
                # No error says what was done and what was not: only what is there now counts.
                if decision.outcome is Outcome.PROMOTED and may_have_worked(error):
                    copied = decision, found
                before, found = found, look(version_id=version_id)
                if not is_worth_another_look(before, found, error, attempt=attempt):
                    raise
                if error_code(error) == CONFLICT:
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
        found: Situation,
        incoming: Incoming,
        vault: Vault,
        seconds_left: Callable[[], float],
    ) -> None:
        """Do what was decided."""
        slot, upload, stored = decision.slot, found.upload, found.stored
        if decision.outcome is Outcome.GONE:
            tidy_vault(vault)
        if slot is None or not isinstance(upload, Upload):
            return
        match decision.outcome:
            case Outcome.PROMOTED:
                copied = copying.copy(
                    incoming,
                    vault,
                    upload=upload,
                    slot=slot,
                    limits=self.limits,
                    seconds_left=seconds_left,
                )
                if not copied.verified:
                    verify(slot, upload, vault.head(slot.name))
                tidy_vault(vault, taken=slot, found=copied.others)
                incoming.remove(upload)
            case Outcome.ALREADY_PROMOTED:
                tidy_vault(vault, taken=slot)
                incoming.remove(upload)
            case Outcome.CONTESTED if isinstance(stored, Stored) and stored.names(upload):
                verify(slot, upload, stored)
            case _ if stored is not None and not copying.is_single(upload, self.limits):
                tidy_vault(vault, taken=slot)


def verify(slot: Slot, upload: Upload, stored: Stored | DeleteMarker | None) -> None:
    """Raises UnverifiedCopyError unless what lies in the slot is a copy of the upload."""
    if not isinstance(stored, Stored) or not stored.is_copy_of(upload):
        checksum = stored.checksum if isinstance(stored, Stored) else None
        raise UnverifiedCopyError(
            f"{slot.name} does not hold a copy of {upload.key}: it has the checksum {checksum}, "
            f"and the upload has {upload.checksum}; S3 says {stored}"
        )


def is_worth_another_look(
    before: Situation, after: Situation, error: ClientError | BotoCoreError, *, attempt: int
) -> bool:
    """Whether to decide anew after `error`: the slot was filled, or something else has changed."""
    if after.stored != before.stored:
        return True
    changed = after != before or error_code(error) == CONFLICT
    return changed and attempt < ATTEMPTS
