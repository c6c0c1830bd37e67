"""What happened to each upload: one line of JSON in the log, and metrics.

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

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.policy.decision import CustomerEncrypted, Decision, Outcome, Upload
from chalicelib.policy.rules import DRILL_UPLOAD

# App and stage, `immutable-backups-prod`: a function's name in AWS without its last part.
SERVICE = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "immutable-backups-dev-").rpartition("-")[0]
NAMESPACE = "ImmutableBackups"

# Escaped to ASCII: no character of a key, including line separators, can begin a second line.
logger = Logger(
    service=SERVICE,
    level="INFO",
    location=None,
    json_serializer=functools.partial(json.dumps, default=str),
)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)

# Nothing is broken, but someone should look.
_ALARMING = frozenset({Outcome.CONTESTED, Outcome.REJECTED})
_COUNTED = {
    Outcome.PROMOTED: "Promoted",
    Outcome.CONTESTED: "Contested",
    Outcome.REJECTED: "Rejected",
}


@dataclass(frozen=True, kw_only=True)
class Record:
    """What happened to one upload, and why. `checksum` is `CRC64NVME:base64`; `size` in bytes."""

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
        decision: Decision,
        upload: Upload | CustomerEncrypted | None,
        *,
        key: str,
        version_id: str | None,
        seconds: float,
        **claims: str | None,
    ) -> "Record":
        """Make the record of a decision about the upload `key`, carried out in `seconds`.

        `version_id` and `claims` come from the event.
        """
        details: dict[str, Any] = {**claims, "version_id": version_id}
        if slot := decision.slot:
            details |= {"slot": slot.name, "rule": slot.rule.upload, "server": slot.server}
        if isinstance(upload, Upload):
            details |= {
                "size": upload.size,
                "etag": upload.etag,
                "version_id": upload.version_id,
                "uploaded_at": upload.last_modified.isoformat(),
                "checksum": str(upload.checksum) if upload.checksum else None,
            }
        return cls(
            outcome=decision.outcome,
            reason=decision.reason,
            upload=key,
            seconds=round(seconds, 3),
            **details,
        )


@dataclass(kw_only=True)
class Swept:
    """What a pass of the sweep found in incoming: numbers of versions, and their `size` in bytes.

    Contested and rejected uploads stay there until they expire. `complete` is False if time ran out
    before the pass had seen everything: then each number is a lower bound.
    """

    waiting: int = 0
    oldest_waiting_seconds: float = 0
    contested: int = 0
    rejected: int = 0
    versions: int = 0
    size: int = 0
    handed_over: int = 0
    complete: bool = True


def write(record: Record) -> None:
    """Write the record as one line and count it, unless a drill made the upload."""
    level = logger.warning if record.outcome in _ALARMING else logger.info
    level(f"{record.outcome}: {record.upload}", **vars(record))
    if record.upload == DRILL_UPLOAD:
        return
    if name := _COUNTED.get(record.outcome):
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    if record.outcome is Outcome.PROMOTED:
        metrics.add_metric(name="BytesPromoted", unit=MetricUnit.Bytes, value=record.size or 0)
        metrics.add_metric(name="PromotionSeconds", unit=MetricUnit.Seconds, value=record.seconds)


def write_failure(message: str, error: Exception, **fields: Any) -> None:
    """Write one line about an error, with its traceback."""
    cause = f"{type(error).__name__}: {error}"
    logger.error("%s: %s", message, cause, exc_info=error, **fields)


def write_sweep(swept: Swept) -> None:
    """Write one line about a pass of the sweep, and its metrics, including zeros.

    An incomplete pass does not know which upload has waited longest. It leaves out that metric, and
    an alarm goes off if the metric is missing.
    """
    logger.info(
        "swept: %d waiting, %d handed over", swept.waiting, swept.handed_over, **vars(swept)
    )
    counts = {
        "WaitingUploads": swept.waiting,
        "ContestedUploads": swept.contested,
        "RejectedUploads": swept.rejected,
        "IncomingVersions": swept.versions,
    }
    for name, value in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.add_metric(name="IncomingBytes", unit=MetricUnit.Bytes, value=swept.size)
    if swept.complete:
        seconds = swept.oldest_waiting_seconds
        metrics.add_metric(name="OldestWaitingSeconds", unit=MetricUnit.Seconds, value=seconds)
    flush_metrics()


def write_audit(counts: Mapping[str, int], *, seconds: float | None, mail: str | None) -> None:
    """Write one line about an audit, and its metrics: `counts`, and `seconds` if it succeeded.

    `mail` is the subject of the mail that the audit sent. An alarm goes off when no audit succeeds
    for hours.
    """
    logger.info("audited: %s", mail or "no mail", **dict[str, Any](counts))
    for name, value in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    if seconds is not None:
        metrics.add_metric(name="AuditSeconds", unit=MetricUnit.Seconds, value=seconds)
    flush_metrics()


def flush_metrics() -> None:
    """Send the metrics to CloudWatch, as one line of embedded metric format."""
    if metrics.metric_set:
        metrics.flush_metrics()
