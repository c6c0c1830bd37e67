"""What became of each upload: one line of JSON in the log, and its metrics.

{"level": "INFO", "message": "promoted: backup.tar.gz.gpg", "outcome": "promoted",
 "reason": "2026-11-23.tar.gz.gpg was free.", "upload": "backup.tar.gz.gpg",
 "slot": "2026-11-23.tar.gz.gpg", "size": 5368709120, "seconds": 12.4, ...}
"""

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.policy.decision import Decision, Outcome, Sealed, Upload

# App and stage, `immutable-backups-prod`: a function's name in AWS without its last part.
SERVICE = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "immutable-backups-dev-").rpartition("-")[0]
NAMESPACE = "ImmutableBackups"

# Escaped to ASCII: no character of a key, line separators included, can begin a second line.
logger = Logger(
    service=SERVICE,
    level="INFO",
    location=None,
    json_serializer=functools.partial(json.dumps, default=str),
)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)

# Nothing is broken, but somebody should know.
_ALARMING = frozenset({Outcome.CONTESTED, Outcome.REJECTED})
_COUNTED = {
    Outcome.PROMOTED: "Promoted",
    Outcome.CONTESTED: "Contested",
    Outcome.REJECTED: "Rejected",
}


class ForeignEventError(ValueError):
    """An event about a bucket that is not ours to promote from."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What a notification of S3 says. Only `key` and `version_id` are ever acted upon.

    `claimed_ip` and `claimed_principal` are who uploaded, if the event speaks the truth.
    """

    key: str
    version_id: str | None = None
    claimed_ip: str | None = None
    claimed_principal: str | None = None

    @classmethod
    def of_notification(cls, entry: Mapping[str, Any], *, bucket: str) -> "Notice":
        """What one record of an event says, all of which may be a lie.

        Raises ForeignEventError where it is not about `bucket`.
        """
        said, thing = entry["s3"]["bucket"]["name"], entry["s3"]["object"]
        if said != bucket:
            raise ForeignEventError(
                f"an event for the bucket {said!r}; this function promotes from {bucket} only"
            )
        return cls(
            key=unquote_plus(thing["key"]),
            version_id=thing.get("versionId"),
            claimed_ip=(entry.get("requestParameters") or {}).get("sourceIPAddress"),
            claimed_principal=(entry.get("userIdentity") or {}).get("principalId"),
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of one upload, and why. Sizes in bytes; `checksum` is `CRC64NVME:base64`."""

    outcome: Outcome
    reason: str
    upload: str
    slot: str | None = None
    rule: str | None = None
    server: str | None = None
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    uploaded_at: str | None = None
    checksum: str | None = None
    claimed_ip: str | None = None
    claimed_principal: str | None = None
    seconds: float

    @classmethod
    def of(
        cls,
        notice: Notice,
        decision: Decision,
        upload: Upload | Sealed | None,
        *,
        seconds: float,
    ) -> "Record":
        """The record of what was decided about an upload, and done within as many seconds."""
        slot, seen = decision.slot, upload if isinstance(upload, Upload) else None
        return cls(
            outcome=decision.outcome,
            reason=decision.reason,
            upload=notice.key,
            slot=slot.name if slot else None,
            rule=slot.rule.upload if slot else None,
            server=slot.server if slot else None,
            size=seen.size if seen else None,
            etag=seen.etag if seen else None,
            version_id=seen.version_id if seen else notice.version_id,
            uploaded_at=seen.last_modified.isoformat() if seen else None,
            checksum=str(seen.checksum) if seen and seen.checksum else None,
            claimed_ip=notice.claimed_ip,
            claimed_principal=notice.claimed_principal,
            seconds=round(seconds, 3),
        )

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data, in the order of its fields."""
        return {**self.__dict__, "outcome": self.outcome.value}


@dataclass(kw_only=True)
class Swept:
    """What a pass of the sweep has seen in incoming: numbers of versions, `size` in bytes of all.

    What is contested or rejected lies there until it expires. `complete` is False if the time was
    up before all was seen: then each number is "at least".
    """

    waiting: int = 0
    oldest_waiting_seconds: float = 0
    contested: int = 0
    rejected: int = 0
    versions: int = 0
    size: int = 0
    handed_over: int = 0
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return dict(self.__dict__)


def write(record: Record) -> None:
    """Write the record's one line and count it."""
    level = logger.warning if record.outcome in _ALARMING else logger.info
    level(f"{record.outcome}: {record.upload}", **record.as_dict())
    if name := _COUNTED.get(record.outcome):
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    if record.outcome is Outcome.PROMOTED:
        metrics.add_metric(name="BytesPromoted", unit=MetricUnit.Bytes, value=record.size or 0)
        metrics.add_metric(name="PromotionSeconds", unit=MetricUnit.Seconds, value=record.seconds)


def write_failure(notification: Mapping[str, Any], error: Exception) -> None:
    """Write one line about an upload that could not be settled, with what S3 said of it."""
    logger.error(
        "failed: %s: %s", type(error).__name__, error, notification=notification, exc_info=error
    )


def write_untidy(error: Exception) -> None:
    """Write one line about unfinished copies that could not be removed."""
    logger.warning("untidy: %s: %s", type(error).__name__, error)


def write_sweep(swept: Swept) -> None:
    """Write one line about a pass of the sweep, and its metrics, zeros too.

    How long the oldest waits is not known before all was seen: if it is missing, an alarm rings.
    """
    logger.info(
        "swept: %d waiting, %d handed over", swept.waiting, swept.handed_over, **swept.as_dict()
    )
    for name, unit, value in (
        ("WaitingUploads", MetricUnit.Count, swept.waiting),
        ("ContestedUploads", MetricUnit.Count, swept.contested),
        ("RejectedUploads", MetricUnit.Count, swept.rejected),
        ("IncomingBytes", MetricUnit.Bytes, swept.size),
        ("IncomingVersions", MetricUnit.Count, swept.versions),
    ):
        metrics.add_metric(name=name, unit=unit, value=value)
    if swept.complete:
        metrics.add_metric(
            name="OldestWaitingSeconds",
            unit=MetricUnit.Seconds,
            value=swept.oldest_waiting_seconds,
        )
    flush_metrics()


def write_failed_sweep(error: Exception) -> None:
    """Write one line about a key that a pass of the sweep could not look at."""
    logger.error("sweep failed: %s: %s", type(error).__name__, error, exc_info=error)


def flush_metrics() -> None:
    """Hand the counted metrics to CloudWatch (one line of embedded metric format)."""
    if metrics.metric_set:
        metrics.flush_metrics()
