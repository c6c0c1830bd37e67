"""Finds the stored version that a restore should read."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from admin.exit_status import Refused
from admin.restore.when import When
from admin.target import Target
from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.listing import backup_of, list_history, list_names, list_slots
from chalicelib.watching.slots import Backup, slots_before

_INSTANT = timedelta(microseconds=1)
_BEFORE = datetime.min.replace(tzinfo=UTC)


class NoBackupError(Exception):
    """No backup is stored for that time; the message names the nearest ones."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A backup, and what has to be said about it, as sentences."""

    backup: Backup
    remarks: tuple[str, ...] = ()


def key_of(policy: Policy, *, rule: str | None, server: str | None) -> str:
    """The one upload key that the options name. Raises Refused if they name none, or several."""
    keys = {
        key: (each.upload, owner)
        for key, (each, owner) in policy.server_keys.items()
        if rule in {None, each.upload} and server in {None, owner}
    }
    if len(keys) == 1:
        return next(iter(keys))
    rules = sorted({each.upload for each in policy.rules})
    if rule is not None and rule not in rules:
        raise Refused(f"The policy has no rule {rule}, only {', '.join(rules)}")
    if server is not None and server not in policy.servers:
        names = ", ".join(policy.servers) or "none: leave out --server"
        raise Refused(f"The policy has no server {server}; it has {names}")
    options = [] if rule or len(rules) == 1 else [f"--rule {each}" for each in rules]
    servers = (
        [] if server or not policy.servers else [f"--server {each}" for each in policy.servers]
    )
    needed = " and ".join(" or ".join(each) for each in (options, servers) if each)
    raise Refused(f"The policy has several kinds of backups; choose one with {needed}")


def choose(
    target: Target, vault: Vault, key: str, when: When, *, version_id: str | None, now: datetime
) -> Choice:
    """The backup of an upload key that `when` names. Raises NoBackupError or Refused."""
    rule, _ = target.policy.server_keys[key]
    try:
        period = when.between(rule.timezone, now)
    except ValueError as error:
        raise Refused(str(error)) from None
    remarks: list[str] = []
    if period is None:
        backup = _latest(target.policy, vault, key, now)
    else:
        backup, remarks = _within(target.policy, vault, key, when, period)
    if version_id is None and backup.versions > 1:
        remarks.append(
            f"{backup.name} has {backup.versions} versions: somebody has overwritten it. This is "
            "the oldest, which is the backup; --version-id chooses another one. See "
            "docs/break-in.md."
        )
    if backup.hidden:
        remarks.append(
            f"{backup.name} has a delete marker: somebody has deleted it. What lies under the "
            "marker is restored. See docs/break-in.md."
        )
    return Choice(backup=backup, remarks=tuple(remarks))


def _latest(policy: Policy, vault: Vault, key: str, now: datetime) -> Backup:
    history = list_history(vault, policy, key, now)
    stored = (history.backups.get(slot.name) for slot in history.slots)
    for backup in stored:
        if backup and backup.size is not None:
            return backup
    newest = deque(_all_backups(policy, vault, key), maxlen=1)
    if not newest:
        raise NoBackupError(f"{key} has no backup yet")
    return newest[0]


def _within(
    policy: Policy, vault: Vault, key: str, when: When, period: tuple[datetime, datetime]
) -> tuple[Backup, list[str]]:
    begin, end = period
    before = slots_before(policy, key, end - _INSTANT)
    slots = [*takewhile(lambda slot: slot.end > begin, before)]
    stored = list_slots(vault, slots, keep_days=policy.keep_days)
    backups = [stored[slot.name] for slot in slots if slot.name in stored]
    backups = [backup for backup in backups if backup.size is not None]
    if not backups:
        raise NoBackupError(_nearest(policy, vault, key, when, slots))
    newest, *others = backups
    if not others:
        return newest, []
    remark = f"{when.text} has {len(backups)} backups of {key}. This is the last one; name an hour "
    return newest, [remark + "for another one, for example 2026-11-20T14."]


def _nearest(policy: Policy, vault: Vault, key: str, when: When, slots: list[Slot]) -> str:
    """The sentence that names the backups before and after the missing ones."""
    earlier = later = None
    for backup in _all_backups(policy, vault, key):
        if backup.name < slots[-1].name:
            earlier = backup.name
        else:
            later = backup.name
            break
    sentence = f"No backup of {key} is stored for {when.text}"
    match earlier, later:
        case None, None:
            return f"{sentence}; there is none at all"
        case str(before), str(after):
            return f"{sentence}; the nearest are {before} and {after}"
        case before, after:
            return f"{sentence}; the nearest is {before or after}"


def _all_backups(policy: Policy, vault: Vault, key: str) -> Iterator[Backup]:
    """Every stored backup of an upload key, from the oldest name to the newest."""
    rule, server = policy.server_keys[key]
    for name, entries in list_names(vault, rule, server):
        backup = backup_of(name, entries, start=_BEFORE, keep_days=policy.keep_days)
        if backup.size is not None:
            yield backup
