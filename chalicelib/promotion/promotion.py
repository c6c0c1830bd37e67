"""Promotes uploads in four steps: gather, decide, act, record."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any

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
from chalicelib.promotion.buckets import CONFLICT, Incoming, Situation, Vault, look_up
from chalicelib.promotion.copy_plan import Tuning, largest_copy, unlimited
from chalicelib.promotion.copying import copy, fits_one_request
from chalicelib.promotion.leftovers import abort_stale_copies
from chalicelib.promotion.notification import Notification
from chalicelib.record import Record
from chalicelib.s3_errors import error_code, may_have_worked

# How often one run starts again because the upload changes or S3 is busy with the slot.
ATTEMPTS = 5


class UnverifiedCopyError(Exception):
    """The slot does not hold what was copied into it. The upload is kept for someone to check."""


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Moves uploads from incoming into the slots of the vault, as the policy says."""

    incoming: Incoming
    vault: Vault
    policy: Policy
    tuning: Tuning

    def promote_all(
        self,
        event: Mapping[str, Any],
        *,
        now: datetime,
        seconds_left: Callable[[], float] = unlimited,
    ) -> list[Record]:
        """Promote every upload that an S3 notification names; a failure does not stop the others.

        Raises an ExceptionGroup of the errors after all uploads were tried, so that Lambda retries.
        """
        largest = largest_copy(seconds_left())
        records: list[Record] = []
        failures: list[Exception] = []
        for entry in event["Records"]:
            try:
                notification = Notification.from_event(entry, bucket=self.incoming.name)
                records.append(
                    self.promote(notification, now=now, seconds_left=seconds_left, largest=largest)
                )
            # The last resort: no error with one upload can keep the others from being promoted.
            except Exception as error:  # noqa: BLE001
                record.write_failure("failed", error, notification=entry)
                failures.append(error)
        record.flush_metrics()
        if failures:
            total = len(records) + len(failures)
            raise ExceptionGroup(f"{len(failures)} of {total} uploads were not settled", failures)
        return records

    def promote(
        self,
        notification: Notification,
        *,
        now: datetime,
        seconds_left: Callable[[], float] = unlimited,
        largest: float = math.inf,
    ) -> Record:
        """Settle one upload. A retry, a duplicate or a crash at any point ends in the same state.

        The copy ends within `seconds_left`; `largest` has the same meaning as in `decide`. Raises
        ClientError, BotoCoreError, OutOfTimeError or UnverifiedCopyError if the upload could not be
        settled.
        """
        started, key, made = time.monotonic(), notification.key, None
        refusal = partial(objection, self.policy, now=now, largest=largest)
        look = partial(look_up, self.incoming, self.vault, self.policy, refusal, key=key)
        # 1. Gather. From now on only this version counts, whatever is uploaded meanwhile.
        situation = look(version_id=notification.version_id)
        version_id = situation.upload.version_id if isinstance(situation.upload, Upload) else None
        for attempt in count(1):
            # 2. Decide.
            decision = decide(self.policy, key=key, **vars(situation), now=now, largest=largest)
            # 3. Act.
            try:
                self._act(decision, situation, seconds_left)
                break
            except (ClientError, BotoCoreError) as error:
                # No error proves what S3 did: only what both buckets hold now counts.
                if decision.outcome is Outcome.PROMOTED and may_have_worked(error):
                    made = decision, situation
                before, situation = situation, look(version_id=version_id)
                if not is_worth_another_look(before, situation, error, attempt=attempt):
                    raise
                if error_code(error) == CONFLICT:
                    time.sleep(self.tuning.pause * attempt)
        # 4. Record. If a response was lost and the copy exists, this run records the copy as its
        # own, although another run could have made it.
        if made and decision.outcome in {Outcome.ALREADY_PROMOTED, Outcome.GONE}:
            decision, situation = made
        seconds = time.monotonic() - started
        entry = Record.of(decision, situation.upload, seconds=seconds, **vars(notification))
        record.write(entry)
        return entry

    def _act(
        self, decision: Decision, situation: Situation, seconds_left: Callable[[], float]
    ) -> None:
        """Carry out the decision."""
        match decision.outcome, decision.slot, situation.upload, situation.stored:
            case Outcome.GONE, *_:
                abort_stale_copies(self.vault)
            case Outcome.PROMOTED, Slot() as slot, Upload() as upload, _:
                verified = copy(
                    self.incoming,
                    self.vault,
                    upload=upload,
                    slot=slot,
                    tuning=self.tuning,
                    seconds_left=seconds_left,
                )
                if not verified:
                    verify(slot, upload, self.vault.head(slot.name))
                self.incoming.remove(upload)
            case Outcome.ALREADY_PROMOTED, Slot() as slot, Upload() as upload, _:
                abort_stale_copies(self.vault, filled=slot.name)
                self.incoming.remove(upload)
            case Outcome.CONTESTED, Slot() as slot, Upload() as upload, Stored() as stored if (
                stored.names(upload)
            ):
                verify(slot, upload, stored)
            case _, Slot() as slot, Upload() as upload, Stored() | DeleteMarker():
                if not fits_one_request(upload, self.tuning):
                    abort_stale_copies(self.vault, filled=slot.name)


def verify(slot: Slot, upload: Upload, stored: Stored | DeleteMarker | None) -> None:
    """Raise UnverifiedCopyError unless the slot holds a copy of the upload."""
    if not isinstance(stored, Stored) or not stored.is_copy_of(upload):
        checksum = stored.checksum if isinstance(stored, Stored) else None
        raise UnverifiedCopyError(
            f"{slot.name} does not hold a copy of {upload.key}: it has the checksum {checksum}, "
            f"and the upload has {upload.checksum}; S3 reports {stored}"
        )


def is_worth_another_look(
    before: Situation, after: Situation, error: ClientError | BotoCoreError, *, attempt: int
) -> bool:
    """True if a copy failed and the situation has changed, so that a new decision is needed.

    A filled slot always ends the promotion, so it counts after any number of attempts.
    """
    has_changed = after != before or error_code(error) == CONFLICT
    return after.stored != before.stored or (has_changed and attempt < ATTEMPTS)
