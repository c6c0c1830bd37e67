"""Looks in both buckets for missing, wrong and refused backups. It changes nothing."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import chain, islice

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.lock import Lock, default_lock
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.copy_plan import unlimited
from chalicelib.promotion.leftovers import Unfinished, unfinished_copies
from chalicelib.watching.findings import Finding, Kind, judge_backups, judge_copy, judge_upload
from chalicelib.watching.listing import list_history
from chalicelib.watching.protection import Protection, judge_locks
from chalicelib.watching.slots import Backup, History
from chalicelib.watching.sweep import RESERVE
from chalicelib.watching.vault_settings import SETTINGS, read_setting

# The newest uploads of a key are enough to show a flood.
MOST_PAGES = 10


class OutOfTime(BotoCoreError):
    """What an audit did not check because its time ran out."""

    fmt = "This run is out of time."


@dataclass(kw_only=True)
class Audited:
    """What an audit found, the worst first, and the newest recent backup of each upload key.

    `empty` are the keys without any backup yet. `failures` are S3's errors, by what could not be
    checked because of them.
    """

    findings: list[Finding] = field(default_factory=list)
    newest: dict[str, Backup | None] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    failures: dict[str, ClientError | BotoCoreError] = field(default_factory=dict)

    def sort(self) -> None:
        """Put the worst findings first."""
        kinds = list(Kind)
        self.findings.sort(key=lambda finding: (kinds.index(finding.kind), finding.since))

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Keep an error, and continue with the rest."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            self.failures[what] = error


@dataclass(frozen=True, kw_only=True)
class Auditor:
    """Compares both buckets with what the policy expects.

    With `protection`, it also checks the vault's settings and the locks of new backups.
    """

    incoming: Incoming
    vault: Vault
    policy: Policy
    protection: Protection | None

    def audit(self, now: datetime, *, seconds_left: Callable[[], float] = unlimited) -> Audited:
        """Find out what is wrong at `now`; anything later does not count.

        It stops early enough to notify the owner of what was found.
        """
        reserve = min(RESERVE, seconds_left() / 10)
        audited = Audited()
        lock, copies = self.audit_vault(audited, now)
        for key in self.policy.server_keys:
            if seconds_left() < reserve:
                audited.failures[key] = OutOfTime()
                continue
            self.audit_key(key, audited, now, lock=lock, copies=copies)
        audited.sort()
        return audited

    def audit_vault(
        self, audited: Audited, now: datetime
    ) -> tuple[Lock | None, Sequence[Unfinished]]:
        """Audit the vault as a whole; return its default lock, and the unfinished copies."""
        lock = self._judge_settings(self.protection, audited, now) if self.protection else None
        copies: list[Unfinished] = []
        with audited.checking("unfinished copies"):
            copies = unfinished_copies(self.vault)
            found = (judge_copy(copy.key, copy.begun, now) for copy in copies)
            audited.findings += filter(None, found)
        return lock, copies

    def audit_key(
        self,
        key: str,
        audited: Audited,
        now: datetime,
        *,
        lock: Lock | None,
        copies: Sequence[Unfinished],
    ) -> History | None:
        """Audit an upload key; return its recent backups, unless they could not be listed."""
        history = None
        with audited.checking(f"the stored backups of {key}"):
            history = list_history(self.vault, self.policy, key, now, copies=copies)
            audited.newest[key] = history.newest(now)
            if history.first is None:
                audited.empty.add(key)
            audited.findings += judge_backups(history, vault=self.vault.name, now=now)
            if lock:
                with audited.checking(f"the locks of the stored backups of {key}"):
                    audited.findings += judge_locks(self.vault, history, lock, now)
        with audited.checking(f"the uploads of {key}"):
            audited.findings += self._judge_uploads(key, now)
        return history

    def _judge_settings(
        self, protection: Protection, audited: Audited, now: datetime
    ) -> Lock | None:
        """Add the findings about the vault's settings; return its default lock."""
        actual = {}
        for name in filter(protection.readable.__contains__, SETTINGS):
            with audited.checking(f"the setting {name} of {self.vault.name}"):
                actual[name] = read_setting(self.vault, name)
        audited.findings += protection.judge(actual, vault=self.vault.name, now=now)
        return default_lock(actual.get("lock", {}))

    def _judge_uploads(self, key: str, now: datetime) -> list[Finding]:
        """The findings about a key's uploads: one per kind and slot."""
        head = cache(self.vault.head)
        findings = defaultdict[tuple[Kind, str | None], list[Finding]](list)
        for upload in chain.from_iterable(islice(self.incoming.versions(key), MOST_PAGES)):
            stored = head(self.policy.slot_of(key, upload.last_modified).name)
            finding = judge_upload(
                self.policy, upload, stored, incoming=self.incoming.name, now=now
            )
            if finding:
                findings[finding.kind, finding.slot].append(finding)
        return [self._together(each, key) for each in findings.values()]

    def _together(self, findings: list[Finding], key: str) -> Finding:
        """One finding on the newest upload, dated by the first: hourly uploads cause one mail."""
        newest, first = findings[0], min(findings, key=lambda finding: finding.since)
        if len(findings) == 1:
            return newest
        command = f"aws s3api list-object-versions --bucket {self.incoming.name} --prefix "
        command += shlex.quote(key)
        what = f"{newest.what} It is the newest of {len(findings)} such uploads for its slot, "
        what += f"which this lists: {command}"
        return replace(newest, what=what, since=first.since, phase=first.phase)
