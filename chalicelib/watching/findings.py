"""What an audit reports about stored backups and uploads, as data. Pure.

It keeps no state: the same buckets and the same time give the same findings. A finding is new in
the audit of the hour in which it began, and lasting in those after it.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from functools import partial
from itertools import chain, islice

from chalicelib.ages import age_in_words
from chalicelib.policy.decision import DeleteMarker, Outcome, Stored, Upload, decide
from chalicelib.policy.policy import Policy, Slot
from chalicelib.watching.slots import Backup, Gap, History
from chalicelib.watching.sweep import completion

INTERVAL = timedelta(hours=1)
# How long audits report that a backup was late or is small.
REPEATED = timedelta(days=1)
# A backup is small if it has less than half of the median of this many before it, if there are a
# few.
COMPARED, LEAST_COMPARED = 7, 3
# By then, any run of promote has ended.
LEFT_UNFINISHED = timedelta(days=1)
ZONED_TIME = "%a %d %b %Y %H:%M %Z"


class Kind(StrEnum):
    """The kinds of findings, the worst first."""

    OVERWRITTEN = "overwritten"
    DELETED = "deleted"
    SETTINGS = "settings"
    UNLOCKED = "unlocked"
    MISSING = "missing"
    CONTESTED = "contested"
    REJECTED = "rejected"
    SMALL = "small"
    LATE = "late"
    UNFINISHED = "unfinished"


class Phase(StrEnum):
    """Whether a finding began in the hour of this audit, began before, or ended in this hour."""

    NEW = "new"
    LASTING = "lasting"
    OVER = "over"


_BREAK_IN = "Find out who did this: nobody should have the right to (see docs/break-in.md)."
REMEDIES = {
    Kind.OVERWRITTEN: f"Download the first version: it is the backup. {_BREAK_IN}",
    Kind.DELETED: f"Download the backup, if it is still there. {_BREAK_IN}",
    Kind.SETTINGS: "`backups check` says what has changed. If you changed it, `backups deploy` "
    "records it. Otherwise find out who did it (see docs/break-in.md).",
    Kind.UNLOCKED: "`backups setup --lock-existing --apply` locks it. Find out why it was not "
    "locked: only the vault's default lock sets locks.",
    Kind.MISSING: "Check whether the server is running, and what its backup job prints. If uploads "
    "arrive but are not stored, `backups check` says why.",
    Kind.CONTESTED: "Find out which upload of the slot is the real backup, and who sent the "
    "other. A slot is filled only once: to keep this upload, download it before it expires.",
    Kind.REJECTED: "Fix the cause that is named above. This upload will never be stored: to keep "
    "it, download it before it expires.",
    Kind.SMALL: "Check whether the job still backs up everything, and try to restore this backup. "
    "If sizes vary by design, set small = false in the policy.",
    Kind.LATE: "Find out why the job or its upload took so long. If it always does, set "
    "due_minutes in the policy.",
    Kind.UNFINISHED: "Find out from the log of the function promote why the copy ended. It stops "
    "no other upload, but its parts are billed until it is aborted.",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something to look into: what it is, since when, and what to do.

    The first sentence of `what`, or its part before `:`, `,` or `;`, is the subject of a mail.
    `slot` is the name in the vault; `rule` is the rule's upload key. `download` is the object that
    can be brought to safety: its bucket, key and version_id.
    """

    kind: Kind
    phase: Phase
    rule: str | None = None
    server: str | None = None
    slot: str | None = None
    since: datetime
    what: str
    remedy: str
    download: Mapping[str, str] | None = None


def judge_backups(history: History, *, vault: str, now: datetime) -> Iterator[Finding]:
    """What is wrong with the stored backups of an upload key, in the bucket `vault`."""
    rule, server = history.slots[0].rule.upload, history.slots[0].server
    for finding in chain(_judge_gaps(history, now), _judge_each(history, vault, now)):
        if finding.since <= now:
            yield replace(finding, rule=rule, server=server)


def _judge_each(history: History, vault: str, now: datetime) -> Iterator[Finding]:
    for index, slot in enumerate(history.slots):
        backup, zone = history.backups.get(slot.name), slot.rule.timezone
        if not backup:
            continue
        yield from judge_tampering(backup, vault=vault, zone=zone, now=now)
        if not now - REPEATED < backup.complete <= now:
            continue
        finding = partial(_finding, slot=slot.name, since=backup.complete, now=now)
        if usual := small_beside(history, index):
            what = f"{slot.name} is small: it has only {backup.size:,} bytes, stored "
            what += f"{_at(backup.begun, zone)}; the usual size is {usual:,.0f}."
            download = _download(vault, slot.name, backup.version_id)
            yield finding(Kind.SMALL, what=what, download=download)
        if history.is_late(slot):
            stored, due = _at(backup.begun, zone), _at(slot.due, zone)
            what = f"{slot.name} was stored late, {stored}; it was due {due}."
            late = finding(Kind.LATE, what=what)
            # An hour after a backup was due, an audit has reported it as missing.
            is_known = backup.begun - slot.due >= INTERVAL
            yield replace(late, phase=Phase.LASTING) if is_known else late


def judge_tampering(
    backup: Backup, *, vault: str, zone: tzinfo, now: datetime
) -> Iterator[Finding]:
    """How a backup that is stored in the bucket `vault` was overwritten or deleted."""
    if not backup.overwritten and not backup.hidden:
        return
    name, version_id = backup.name, backup.version_id
    download = _download(vault, name, version_id) if version_id else None
    finding = partial(_finding, slot=name, now=now, download=download)
    if since := backup.overwritten:
        what = f"{name} was overwritten; the second of its {backup.versions} versions was stored "
        yield finding(Kind.OVERWRITTEN, what=f"{what}{_at(since, zone)}.", since=since)
    if since := backup.hidden:
        what = f"{name} was deleted; a delete marker was added {_at(since, zone)}."
        what += f" {'The backup is still there' if version_id else 'Nothing else is left of it'}."
        yield finding(Kind.DELETED, what=what, since=since)


def _download(bucket: str, key: str, version_id: str | None) -> dict[str, str]:
    return {"bucket": bucket, "key": key} | ({"version_id": version_id} if version_id else {})


def _judge_gaps(history: History, now: datetime) -> Iterator[Finding]:
    before, gap = history.gap(now - INTERVAL), history.gap(now)
    if not before and not gap:
        return
    latest = ""
    if newest := history.newest(now):
        ago, at = (
            age_in_words(now - newest.begun),
            _at(newest.begun, history.slots[0].rule.timezone),
        )
        latest = f" The newest backup is {newest.name}, stored {ago} ago ({at}), with "
        latest += f"{newest.size:,} bytes."
    if before and not (gap and gap.is_same(before)):
        slot, *_ = before.slots or history.slots
        what = f"Backups of {history.key} are stored again.{latest}"
        if lost := [slot.name for slot in before.slots if not history.backup(slot, now)]:
            what += f" {lost[0]} is still missing"
            what += f", and {len(lost) - 1} more." if lost[1:] else "."
        over = _finding(Kind.MISSING, slot.name, what, since=before.since, now=now)
        yield replace(over, phase=Phase.OVER)
    if gap:
        slot, *_ = gap.slots or history.slots
        what = _gap_sentence(history.key, gap, slot) + latest
        finding = _finding(Kind.MISSING, slot.name, what, since=gap.since, now=now)
        yield replace(finding, phase=Phase.LASTING if gap.is_same(before) else Phase.NEW)


def _gap_sentence(key: str, gap: Gap, slot: Slot) -> str:
    since = _at(gap.since, slot.rule.timezone)
    if gap.is_older:
        return f"{key} has had no backup since before {since}."
    if not gap.slots:
        return f"{key} should have had a newer backup by {since}."
    if len(gap.slots) == 1:
        return f"{slot.name} is missing; it was due {since}."
    return f"{key} has {len(gap.slots)} missing backups; the first, {slot.name}, was due {since}."


def small_beside(history: History, index: int) -> float | None:
    """The usual size of the backups before this slot's, if this one is small in comparison."""
    slot = history.slots[index]
    size, sizes = history.backups[slot.name].size, last_sizes(history, index + 1)
    if size is None or not slot.rule.small or len(sizes) < LEAST_COMPARED:
        return None
    return usual if size * 2 < (usual := statistics.median(sizes)) else None


def last_sizes(history: History, index: int) -> list[int]:
    """The sizes of the last backups up to the slot at this index, newest first."""
    slots = islice(history.slots, index, None)
    backups = (history.backups.get(slot.name) for slot in slots)
    return list(islice((one.size for one in backups if one and one.size), COMPARED))


def judge_upload(
    policy: Policy,
    upload: Upload,
    stored: Stored | DeleteMarker | None,
    *,
    incoming: str,
    now: datetime,
) -> Finding | None:
    """The finding about an upload in the bucket `incoming` that is contested or rejected."""
    slot = policy.slot_of(upload.key, upload.last_modified)
    zone = slot.rule.timezone
    accepted_until = upload.last_modified + policy.accept_within
    judge = partial(decide, policy, key=upload.key, upload=upload, stored=stored)
    # A contested upload stays contested when it also becomes too late.
    decision = judge(now=min(now, accepted_until))
    since = max(completion(upload), completion(stored))
    if decision.outcome is Outcome.PROMOTED and accepted_until < now:
        decision, since = judge(now=now), accepted_until + timedelta(seconds=1)
    if decision.outcome not in {Outcome.CONTESTED, Outcome.REJECTED} or since > now:
        return None
    kind = Kind(decision.outcome)
    what = f"An upload of {upload.key} is {kind}. It has {upload.size:,} bytes, was "
    what += f"uploaded {_at(upload.last_modified, zone)}, and is not stored. {decision.reason}"
    if isinstance(stored, Stored):
        what += f" The stored backup has {stored.size:,} bytes and was "
        what += f"stored {_at(stored.last_modified, zone)}."
    # S3 expires an upload at the next midnight. If a later upload has superseded it, the days count
    # from then.
    kept = upload.last_modified + timedelta(days=policy.upload_days)
    what += f" S3 keeps the upload at least until {kept:%a %d %b %Y}." if kept > now else ""
    download = _download(incoming, upload.key, upload.version_id)
    finding = _finding(kind, slot.name, what, since=since, now=now, download=download)
    return replace(finding, rule=slot.rule.upload, server=slot.server)


def judge_copy(name: str, begun: datetime, now: datetime) -> Finding | None:
    """The finding about an unfinished copy into the vault that was started long ago."""
    since = begun + LEFT_UNFINISHED
    what = f"The copy to {name} was never finished; it was started {begun:{ZONED_TIME}}."
    return _finding(Kind.UNFINISHED, name, what, since=since, now=now) if since <= now else None


def _finding(
    kind: Kind,
    slot: str,
    what: str,
    *,
    since: datetime,
    now: datetime,
    download: Mapping[str, str] | None = None,
) -> Finding:
    return Finding(
        kind=kind,
        phase=Phase.NEW if since > now - INTERVAL else Phase.LASTING,
        slot=slot,
        since=since,
        what=what,
        remedy=REMEDIES[kind],
        download=download,
    )


def _at(moment: datetime, zone: tzinfo) -> str:
    """The time as clocks in the rule's time zone show it."""
    return f"{moment.astimezone(zone):{ZONED_TIME}}"
