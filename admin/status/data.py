"""The status as data, which `backups status --json` prints."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from admin.audit.command import failures_of, finding_as_data
from admin.status.overview import KeyStatus, Overview
from admin.target import Target


def as_data(target: Target, overview: Overview) -> dict[str, Any]:
    """Everything in the overview: sizes in bytes, times in ISO 8601 (see docs/operations.md)."""
    size = overview.size
    return {
        "at": overview.now.isoformat(),
        "backups": [_of_key(target, status, overview.now) for status in overview.keys],
        "findings": [finding_as_data(target, each) for each in overview.audited.findings],
        "vault": {
            "bucket": target.vault,
            "counted": size and {**asdict(size), "day": size.day.isoformat()},
            "steady_state": asdict(overview.steady),
        },
        "not_checked": failures_of(overview.audited),
    }


def _of_key(target: Target, status: KeyStatus, now: datetime) -> dict[str, Any]:
    _, server = target.policy.server_keys[status.key]
    newest, waiting = status.newest, status.waiting
    return {
        "upload": status.key,
        "rule": status.rule.upload,
        "server": server,
        "newest": newest
        and {
            "slot": newest.name,
            "stored": newest.begun.isoformat(),
            "age_seconds": int((now - newest.begun).total_seconds()),
            "size": newest.size,
            "storage_class": newest.storage_class,
            "version_id": newest.version_id,
            "locked_until": _iso(status.locked_until),
            "remains_until": _iso(status.remains_until),
        },
        "days": [{"day": cell.day.isoformat(), "state": cell.state} for cell in status.strip],
        "next_due": _iso(status.due),
        "waiting": waiting and {"count": waiting.count, "oldest": waiting.oldest.isoformat()},
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
