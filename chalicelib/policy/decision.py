"""Decides what happens to an upload. Pure, and the heart of the program: read it first."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.policy.policy import Policy, Slot

# Storage classes and archive states whose bytes S3 cannot copy before they are restored.
ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"})


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """A checksum over a whole object, as S3 reports it, such as `CRC64NVME` and a base64 value."""

    algorithm: str
    value: str

    def __str__(self) -> str:
        """Return the checksum as the log shows it."""
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One object in incoming, as S3 describes it.

    `version_id` identifies an upload forever, except `null` (uploaded while versioning was off),
    which a later upload can have too. It is None if the bucket has never kept versions. `checksum`
    is None if S3 has no checksum over the whole object.
    """

    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None = None
    storage_class: str = "STANDARD"
    encryption: str | None = None
    checksum: Checksum | None = None

    @property
    def identity(self) -> str | None:
        """The version ID, unless another object could have the same ID."""
        return None if self.version_id == "null" else self.version_id

    @property
    def came_in_parts(self) -> bool:
        """True for a multipart upload, whose `last_modified` is when it was initiated."""
        return "-" in self.etag


Refusal = Callable[[Upload], str | None]
"""Explains why an upload can never be promoted (None: it can), as `objection` does."""


@dataclass(frozen=True, kw_only=True)
class CustomerEncrypted:
    """An upload that S3 cannot even describe: it is encrypted with a key only its sender has."""

    key: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A stored backup, as HEAD describes it; the source comes from our own metadata."""

    size: int
    last_modified: datetime
    etag: str
    source_key: str | None = None
    source_etag: str | None = None
    source_version_id: str | None = None
    source_last_modified: str | None = None
    checksum: Checksum | None = None

    def names(self, upload: Upload) -> bool:
        """True if its metadata names exactly this upload as its source.

        Without a version id, only ETag and time show that.
        """
        if self.source_version_id or upload.identity:
            return (self.source_key, self.source_version_id) == (upload.key, upload.identity)
        source = (self.source_key, self.source_etag, self.source_last_modified)
        return source == (upload.key, upload.etag, upload.last_modified.isoformat())

    def is_copy_of(self, upload: Upload) -> bool:
        """True if it has the bytes of this upload, which may have been sent twice.

        A checksum over the whole object decides. If the two have no algorithm in common, the
        version decides, or otherwise the ETag of the source.
        """
        if (self.source_key, self.size) != (upload.key, upload.size):
            return False
        if upload.checksum:
            if self.checksum is None:
                return False
            if self.checksum.algorithm == upload.checksum.algorithm:
                return self.checksum.value == upload.checksum.value
        return self.names(upload) or self.source_etag == upload.etag


@dataclass(frozen=True)
class DeleteMarker:
    """A delete marker in a slot whose backup was deleted. Such a slot never counts as free."""


class Outcome(StrEnum):
    """What can happen to an upload. Anything else is an exception, and is retried."""

    PROMOTED = "promoted"
    ALREADY_PROMOTED = "already-promoted"
    CONTESTED = "contested"
    WAITING = "waiting"
    IGNORED = "ignored"
    GONE = "gone"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Decision:
    """An outcome, its reason as a sentence, and the slot that it concerns (None: no slot)."""

    outcome: Outcome
    reason: str
    slot: Slot | None = None


def decide(
    policy: Policy,
    *,
    key: str,
    upload: Upload | CustomerEncrypted | None,
    stored: Stored | DeleteMarker | None,
    now: datetime,
    older: datetime | None = None,
    largest: float = math.inf,
) -> Decision:
    """Decide what happens to the upload `key`: only `promoted` leads to a copy.

    `upload` is None if incoming does not hold it, `stored` is None if its slot is free. `older` is
    the time of an upload that is eligible for the same slot and came first (None: there is none).
    No run copies more than `largest` bytes.
    """
    if key not in policy.promotable_keys:
        return Decision(Outcome.IGNORED, "No rule of the policy names this key.")
    if upload is None:
        return Decision(Outcome.GONE, "The upload is no longer there.")
    if isinstance(upload, CustomerEncrypted):
        reason = "It is encrypted with a customer-provided key (SSE-C), so it cannot be copied; "
        return Decision(Outcome.REJECTED, reason + "upload it without one.")

    slot = policy.slot_of(key, upload.last_modified)
    if isinstance(stored, Stored) and stored.is_copy_of(upload):
        return Decision(Outcome.ALREADY_PROMOTED, f"{slot.name} already holds this upload.", slot)
    if refusal := objection(policy, upload, now=now, largest=largest):
        return Decision(Outcome.REJECTED, refusal, slot)
    if isinstance(stored, DeleteMarker):
        reason = f"A delete marker hides {slot.name}: somebody deleted a backup. "
        return Decision(
            Outcome.CONTESTED, reason + "Nothing was changed; find out who did it.", slot
        )
    if stored is not None:
        reason = f"{slot.name} already holds a different upload. Nothing was changed."
        return Decision(Outcome.CONTESTED, reason, slot)
    if older is not None:
        reason = f"{slot.name} is free, but belongs to an older upload, of "
        reason += f"{older:%Y-%m-%d %H:%M:%S} UTC, which is not promoted yet."
        return Decision(Outcome.WAITING, reason, slot)
    return Decision(Outcome.PROMOTED, f"{slot.name} was free.", slot)


def objection(
    policy: Policy, upload: Upload, *, now: datetime, largest: float = math.inf
) -> str | None:
    """Explain in a sentence why this upload of a rule can never be promoted; None if it can.

    No run copies more than `largest` bytes.
    """
    rule, _ = policy.promotable_keys[upload.key]
    size = f"It has {upload.size:,} bytes"
    if now - upload.last_modified > policy.accept_within:
        hours = policy.accept_within // timedelta(hours=1)
        return f"It was uploaded more than {hours} hours ago, which is too late for a slot."
    if upload.size < rule.min_bytes:
        return f"{size}, fewer than min_bytes ({rule.min_bytes:,})."
    if rule.max_bytes is not None and upload.size > rule.max_bytes:
        return f"{size}, more than max_bytes ({rule.max_bytes:,})."
    if upload.size > largest:
        most = f"{int(largest):,}"
        return f"{size}, but a run can copy at most {most} in lambda_timeout. Make it smaller."
    if upload.storage_class in ARCHIVED:
        return f"Its storage class is {upload.storage_class}, which S3 cannot copy; use STANDARD."
    if upload.encryption is not None and upload.encryption.startswith("aws:kms"):
        return f"It is encrypted with a KMS key ({upload.encryption}); upload it without one."
    return None
