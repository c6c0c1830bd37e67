"""Finds the stored backup that a restore should read."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from admin.exit_status import Refused
from admin.restore.errors import NotRestoredError
from admin.stored.when import When, local_hour
from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.listing import backup_of, list_names, list_slots
from chalicelib.watching.slots import Backup, recent_slots, slots_before

_INSTANT = timedelta(microseconds=1)
_BEFORE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A backup, and the sentences to print about it."""

    backup: Backup
    remarks: tuple[str, ...] = ()


def choose(vault: Vault, policy: Policy, key: str, when: When, *, now: datetime) -> Choice:
    """The backup of an upload key that `when` names: the first version in its slot.

    Raises Refused for an hour that does not exist, NotRestoredError if there is no backup.
    """
    rule, _ = policy.server_keys[key]
    try:
        period = when.between(rule.timezone, now)
    except ValueError as error:
        raise Refused(str(error)) from None
    remarks: list[str] = []
    if period is None:
        backup = _latest(vault, policy, key, now)
    else:
        backup, remarks = _within(vault, policy, key, when, period)
    if backup.versions > 1:
        remarks.append(
            f"{backup.name} has {backup.versions} versions: somebody has overwritten it. The "
            "oldest is the backup; --version-id chooses another one. See docs/break-in.md."
        )
    if backup.hidden:
        remarks.append(
            f"{backup.name} is under a delete marker: somebody has deleted it, but its version is "
            "still stored. See docs/break-in.md."
        )
    return Choice(backup=backup, remarks=tuple(remarks))


def _latest(vault: Vault, policy: Policy, key: str, now: datetime) -> Backup:
    """The stored backup with the last name, regardless of this machine's clock."""
    for start in (recent_slots(policy, key, now)[-1].name, ""):
        newest = deque(_stored(vault, policy, key, start=start), maxlen=1)
        if newest:
            return newest[0]
    raise NotRestoredError(f"There is no backup of {key}")


def _within(
    vault: Vault, policy: Policy, key: str, when: When, period: tuple[datetime, datetime]
) -> tuple[Backup, list[str]]:
    begin, end = period
    before = slots_before(policy, key, end - _INSTANT)
    slots = [*takewhile(lambda slot: slot.end > begin, before)]
    found = list_slots(vault, slots, keep_days=policy.keep_days)
    filled = [slot for slot in slots if slot.name in found and found[slot.name].size is not None]
    if not filled:
        raise NotRestoredError(_nearest(vault, policy, key, when, slots))
    newest, *others = filled
    remarks = []
    if others:
        remarks.append(
            f"There are {len(filled)} backups of {key} for {when.text}. This is the last one; "
            f"choose another one by its time, such as {local_hour(others[-1])}."
        )
    return found[newest.name], remarks


def _nearest(vault: Vault, policy: Policy, key: str, when: When, slots: Sequence[Slot]) -> str:
    """The sentence that names the backups before and after the missing one."""
    earlier = later = None
    for backup in _stored(vault, policy, key):
        if backup.name >= slots[-1].name:
            later = backup.name
            break
        earlier = backup.name
    sentence = f"There is no backup of {key} for {when.text}"
    if not earlier and not later:
        return f"{sentence}, and none at all"
    if not earlier or not later:
        return f"{sentence}; the nearest is {earlier or later}"
    return f"{sentence}; the nearest are {earlier} and {later}"


def _stored(vault: Vault, policy: Policy, key: str, *, start: str = "") -> Iterator[Backup]:
    """The stored backups of an upload key from the name `start` on, in the order of their names."""
    rule, server = policy.server_keys[key]
    for name, entries in list_names(vault, rule, server, start=start):
        backup = backup_of(name, entries, start=_BEFORE, keep_days=policy.keep_days)
        if backup.size is not None:
            yield backup
