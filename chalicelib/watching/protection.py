"""Judges what protects stored backups: the vault's settings, and the locks of new backups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from chalicelib.lock import Lock, read_retention
from chalicelib.promotion.buckets import Vault
from chalicelib.settings import Settings
from chalicelib.watching.findings import REMEDIES, REPEATED, Finding, Kind, Phase
from chalicelib.watching.slots import History
from chalicelib.watching.vault_settings import SETTINGS, Fields, digest

# S3 shows it only to the bucket's own account; others get a 405, regardless of their rights.
ONLY_FOR_ITS_OWNER = "policy"
# How many locks are read for each upload key.
MOST_LOCKS = 14


@dataclass(frozen=True, kw_only=True)
class Protection:
    """The digests of the vault's settings that `setup` recorded (None: never), by their names.

    `readable` are the settings that these credentials can read.
    """

    recorded: Mapping[str, str] | None
    readable: frozenset[str] = frozenset(SETTINGS)

    @classmethod
    def for_functions(cls, settings: Settings) -> "Protection":
        """What the functions compare: not the bucket policy of a vault in another account.

        `setup` recorded which account that is. No response of S3 decides what is compared.
        """
        owners = {settings.vault_owner, settings.incoming_owner} - {None}
        hidden = {ONLY_FOR_ITS_OWNER} if len(owners) > 1 else set[str]()
        return cls(recorded=settings.vault_settings, readable=frozenset(SETTINGS) - hidden)

    def judge(
        self, actual: Mapping[str, Fields], *, vault: str, now: datetime
    ) -> Iterator[Finding]:
        """Findings about settings of the vault that differ from what was recorded."""
        if self.recorded is None:
            what = f"VAULT_SETTINGS is not set, so no audit would notice a change to {vault}; "
            what += "`backups deploy` sets it."
            yield _finding(Kind.SETTINGS, what, since=now)
            return
        for name, fields in actual.items():
            if self.recorded.get(name) != digest(fields):
                what = f"The setting {name} of {vault} is not as backups setup left it."
                yield _finding(Kind.SETTINGS, what, since=now)


def judge_locks(vault: Vault, history: History, lock: Lock, now: datetime) -> Iterator[Finding]:
    """Find backups of the last day not locked as `lock` promises. Lists do not show locks."""
    slot, begin = history.slots[0], now - REPEATED
    stored = (history.backup(each, now) for each in history.slots)
    recent = (one for one in stored if one and one.versions and begin < one.complete <= now)
    for backup in islice(recent, MOST_LOCKS):
        version = {"VersionId": backup.version_id} if backup.version_id else {}
        actual = read_retention(vault.s3, **vault.args, Key=backup.name, **version) or {}
        if lock.is_met(actual, stored=backup.begun):
            continue
        until, promised = actual.get("RetainUntilDate"), lock.promised_end(backup.begun)
        state = f"locked until {until:%Y-%m-%d %H:%M} ({actual['Mode']})" if until else "not locked"
        what = f"{backup.name} is {state}, but should be locked until {promised:%Y-%m-%d %H:%M} "
        finding = _finding(Kind.UNLOCKED, f"{what}UTC ({lock.mode}).", since=backup.begun)
        yield replace(finding, slot=backup.name, rule=slot.rule.upload, server=slot.server)


def _finding(kind: Kind, what: str, *, since: datetime) -> Finding:
    """The finding is never new: S3 does not show when it began or ended. An alarm reports both."""
    return Finding(kind=kind, phase=Phase.LASTING, since=since, what=what, remedy=REMEDIES[kind])
