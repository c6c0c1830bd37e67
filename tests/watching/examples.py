"""Histories and uploads of a server, for tests of what is reported about them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from chalicelib.policy.decision import Stored, Upload
from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy
from chalicelib.watching.slots import Backup, History, slots_before

HOURLY, NIGHTLY = "web1/sql.gpg", "web1/files.gpg"
POLICY = parse_policy("""
timezone = "Europe/London"
servers = ["web1"]
[[rule]]
upload = "sql.gpg"
store_as = "%Y-%m-%d.%H.sql.gpg"
min_bytes = 100
[[rule]]
upload = "files.gpg"
store_as = "%Y-%m-%d.files.gpg"
""")
NOW = datetime(2026, 7, 23, 12, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
SECOND = timedelta(seconds=1)


def history(
    lost: Any = (),
    *,
    key: str = NIGHTLY,
    policy: Policy = POLICY,
    most: int = 14,
    rule: dict[str, Any] | None = None,
    **changed: Any,
) -> History:
    """Two weeks of backups until now, stored four hours after midnight, without `lost` (0: newest).

    `changed` describes how the newest differs, `most` is the number of slots that are not hourly.
    """
    slots = [*islice(slots_before(policy, key, NOW), 50 if key.endswith("sql.gpg") else most)]
    if rule:
        slots = [replace(slot, rule=replace(slot.rule, **rule)) for slot in slots]
    period = slots[0].end - slots[0].start
    delay = 4 * HOUR if period > HOUR else period * 7 / 60
    backups = {}
    for number, slot in enumerate(slots):
        begun = slot.start + delay
        if number not in lost and begun <= NOW:
            backup = Backup(name=slot.name, begun=begun, complete=begun, size=1_000_000)
            backups[slot.name] = replace(backup, **changed) if number == 0 else backup
    return History(key=key, slots=slots, backups=backups, first=NOW - 99 * DAY)


def upload(*, ago: timedelta = 2 * HOUR, size: int = 1000, etag: str = "e1") -> Upload:
    return Upload(key=HOURLY, etag=etag, size=size, last_modified=NOW - ago, version_id="v1")


def stored(*, ago: timedelta = 3 * HOUR, etag: str = "e0") -> Stored:
    return Stored(size=900, last_modified=NOW - ago, etag=etag, source_key=HOURLY)
