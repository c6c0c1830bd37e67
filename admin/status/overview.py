"""Looks at the backups of each rule and server, and at the vault. It changes nothing."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice

from admin.audit.command import auditor_of
from admin.check.waiting_uploads import Waiting, waiting_uploads
from admin.status.outlook import SteadyState, next_due, remains_until, steady_state
from admin.status.strip import Cell, strip_of
from admin.status.vault_size import VaultSize, vault_size
from admin.target import Target
from chalicelib.lock import Lock, read_retention
from chalicelib.policy.policy import Policy, Slot
from chalicelib.policy.rules import Rule
from chalicelib.promotion.buckets import Vault
from chalicelib.promotion.leftovers import Unfinished
from chalicelib.watching.audit import MOST_PAGES, Audited, Auditor
from chalicelib.watching.findings import Kind, Phase
from chalicelib.watching.listing import has_older, list_slots
from chalicelib.watching.slots import Backup, History, slots_before

# The number of connections that botocore keeps open.
AT_A_TIME = 10
# How many lists to read in search of a backup older than what an audit covers: three, which are
# eight years of days or four months of hours.
MOST_SEARCHES, SLOTS_A_SEARCH = 3, 1000


@dataclass(frozen=True, kw_only=True)
class KeyStatus:
    """The backups of an upload key. `history` is None if S3 did not let the caller list them.

    `newest` is the newest stored backup, `remains_until` when it can expire (None: never), and
    `due` when the next one counts as missing (None: none is expected).
    """

    key: str
    rule: Rule
    history: History | None = None
    newest: Backup | None = None
    locked_until: datetime | None = None
    lock_is_known: bool = True
    strip: Sequence[Cell] = ()
    due: datetime | None = None
    waiting: Waiting | None = None
    remains_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Everything that `backups status` shows."""

    now: datetime
    keys: Sequence[KeyStatus]
    audited: Audited
    size: VaultSize | None
    steady: SteadyState

    @property
    def is_wrong(self) -> bool:
        """Whether there is a finding, or an upload waits for longer than it should."""
        return any(each.phase is not Phase.OVER for each in self.audited.findings) or any(
            each.waiting and each.waiting.is_too_long(self.now) for each in self.keys
        )


@dataclass(frozen=True, kw_only=True)
class _Look:
    target: Target
    auditor: Auditor
    now: datetime
    lock: Lock | None
    copies: Sequence[Unfinished] = field(default=())

    def at_key(self, key: str) -> tuple[KeyStatus, Audited]:
        audited, now = Audited(), self.now
        policy, vault = self.target.policy, self.auditor.vault
        (rule, _), waiting = policy.server_keys[key], None
        history = self.auditor.audit_key(key, audited, now, lock=self.lock, copies=self.copies)
        with audited.checking(f"the waiting uploads of {key}"):
            waiting = waiting_uploads(self.auditor, key, now=now, most_pages=MOST_PAGES)
        if history is None:
            return KeyStatus(key=key, rule=rule, waiting=waiting), audited
        newest, locked_until = history.newest(now), None
        if newest is None and history.first is not None:
            with audited.checking(f"the older backups of {key}"):
                newest = _older(vault, policy, key, history.slots[-1])
        lock_is_known = newest is None
        if newest:
            with audited.checking(f"the lock of {newest.name}"):
                locked_until = _lock_end(vault, newest)
                lock_is_known = True
        contested = {
            each.slot for each in audited.findings if each.slot and each.kind is Kind.CONTESTED
        }
        status = KeyStatus(
            key=key,
            rule=rule,
            history=history,
            newest=newest,
            locked_until=locked_until,
            lock_is_known=lock_is_known,
            strip=strip_of(history, contested, now=now),
            due=next_due(history, policy, now=now),
            waiting=waiting,
            remains_until=(
                remains_until(newest, keep_days=policy.keep_days, locked_until=locked_until)
                if newest
                else None
            ),
        )
        return status, audited


def look(target: Target, keys: Sequence[str], *, now: datetime) -> Overview:
    """Look at these upload keys and the vault, several of them at a time.

    What S3 or CloudWatch refuse is among the failures of `audited`.
    """
    auditor, audited = auditor_of(target), Audited()
    size = None
    # Boto3 sessions are not thread-safe; clients are (boto3, "Multithreading or multiprocessing
    # with clients").
    target.vault_account.client("cloudwatch")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        lock, copies = auditor.audit_vault(audited, now)
        at = _Look(target=target, auditor=auditor, now=now, lock=lock, copies=copies)
        sized = pool.submit(partial(vault_size, target, now=now))
        looked_at = [*pool.map(at.at_key, keys)]
        with audited.checking(f"the size of {target.vault}"):
            size = sized.result()
    for _, of_key in looked_at:
        audited.findings += of_key.findings
        audited.failures |= of_key.failures
    audited.sort()
    statuses = [status for status, _ in looked_at]
    histories = [status.history for status in statuses if status.history]
    return Overview(
        now=now,
        keys=statuses,
        audited=audited,
        size=size,
        steady=steady_state(histories, target.policy, lock=target.stage.lock),
    )


def _older(vault: Vault, policy: Policy, key: str, before: Slot) -> Backup | None:
    """The newest stored backup from before this slot, if it is not too old."""
    slots = slots_before(policy, key, before.start)
    for _ in range(MOST_SEARCHES):
        searched = [*islice(slots, SLOTS_A_SEARCH)]
        backups = list_slots(vault, searched, keep_days=policy.keep_days)
        for backup in filter(None, (backups.get(slot.name) for slot in searched)):
            if backup.size is not None and not backup.hidden:
                return backup
        if not has_older(vault, searched[-1]):
            return None
    return None


def _lock_end(vault: Vault, backup: Backup) -> datetime | None:
    version = {"VersionId": backup.version_id} if backup.version_id else {}
    retention = read_retention(vault.s3, **vault.args, Key=backup.name, **version)
    # With an event hold, a lock can have no end yet.
    return retention.get("RetainUntilDate") if retention else None
