"""Longer than one run: what a run hands to the next one, beside the record of the event.

    {"Records": [{"s3": {...}}],
     "handover": {"slot": "2026-11-23.tar.gz.gpg", "upload_id": "VXBsb2Fk...", "etag": "9b2c...",
                  "version_id": null, "run": 2, "idle": 0, "begun": 1}}

Whoever may invoke the function can make one up. It decides nothing: both sides are looked at again,
and it counts only for the very upload that is there, in the slot that its own time names. What no
look at S3 can prove is that the parts under `upload_id` are this upload's. That rests on who may
begin copies in the vault (the function alone) and who may invoke it, and on the checksum, which S3
compares at completion wherever the upload has one over the whole object.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.copying_in_parts import Interrupted, Unfinished
from chalicelib.policy import Decision, Outcome, Sealed, Slot, Upload

# After as many runs in a row that added no part to a copy, nobody goes on with it.
MOST_IDLE_RUNS = 2
# As often a copy may be begun: what fails at its end, again and again, would else never end.
MOST_BEGINNINGS = 3


class StalledCopyError(Exception):
    """Run after run a copy came no nearer to its end; somebody must look."""


@dataclass(frozen=True, kw_only=True)
class Handover:
    """An interrupted copy: of which upload, into which slot, and the upload id of its parts.

    `run` is the number of the run that goes on with it, `idle` of how many runs just before that
    added no part, `begun` how often the copy was begun: parts that were lost are copied again.
    """

    slot: str
    upload_id: str
    etag: str
    version_id: str | None
    run: int
    idle: int
    begun: int

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> "Handover | None":
        """The handover that comes with the event. Raises TypeError for one that no run made."""
        return cls(**event["handover"]) if "handover" in event else None

    @classmethod
    def of_copy(
        cls, copy: Interrupted, slot: Slot, upload: Upload, handed: "Handover | None"
    ) -> "Handover":
        """What to hand over of a copy that was interrupted; `handed` is what began this run."""
        idle = handed.idle if handed else 0
        begun = handed.begun if handed else 0
        again = handed is None or handed.upload_id != copy.upload_id
        return cls(
            slot=slot.name,
            upload_id=copy.upload_id,
            etag=upload.etag,
            version_id=upload.version_id,
            run=handed.run + 1 if handed else 2,
            idle=0 if copy.added else idle + 1,
            begun=begun + again,
        )

    def is_about(self, decision: Decision, upload: Upload | Sealed | None) -> bool:
        """Whether it goes on with the copy of that very upload that was just decided upon."""
        return (
            decision.outcome is Outcome.PROMOTED
            and decision.slot is not None
            and isinstance(upload, Upload)
            and (self.slot, self.etag, self.version_id)
            == (decision.slot.name, upload.etag, upload.version_id)
        )

    def refuse_without_end(self, copy: Interrupted) -> None:
        """Raises StalledCopyError where one more run would bring `copy` no nearer to its end."""
        if self.begun > MOST_BEGINNINGS:
            why = f"it was begun {MOST_BEGINNINGS} times, and each time its parts were lost"
        elif self.idle < MOST_IDLE_RUNS:
            return
        elif copy.cause:
            why = f"{MOST_IDLE_RUNS} runs came no further: {copy.cause}"
        else:
            why = (
                f"{MOST_IDLE_RUNS} runs had no time to copy one; raise lambda_timeout in "
                ".chalice/config.json"
            )
        raise StalledCopyError(
            f"{self.slot}: {copy.missing} parts are missing, and {why}"
        ) from copy.cause

    @property
    def copy(self) -> Unfinished:
        """What it is about, as S3 knows it."""
        return Unfinished(key=self.slot, upload_id=self.upload_id)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One invocation: the seconds it has left, and how it invokes the next one with an event."""

    seconds_left: Callable[[], float]
    invoke_next: Callable[[Mapping[str, Any]], object]
