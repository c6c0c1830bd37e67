"""The command `backups verify`: whether the stored backups are as promised, and can be unpacked."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

import click
from botocore.exceptions import ClientError

from admin.account import DENIAL_CODES, sentence_of
from admin.check.backups import as_finding
from admin.check.report import Finding
from admin.check.versions import check_version, list_backups
from admin.exit_status import ExitStatus, Refused
from admin.restore.choosing import choose
from admin.restore.command import open_vault
from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.ranges import FULL_SPEED, Tuning
from admin.restore.stored import StoredVersion, look_up
from admin.stored.keys import key_of, keys_named, server_remark, with_server
from admin.stored.progress import counting
from admin.stored.when import Range, When
from admin.target import Target
from admin.verify.contents import Contents, unpack
from admin.verify.sources import judge_source
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code
from chalicelib.watching.findings import judge_tampering
from chalicelib.watching.slots import Backup

HEADS_AT_A_TIME = 16
AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """The options of the command line."""

    rule: str | None = None
    server: str | None = None
    since: When | None = None
    until: When | None = None
    all_backups: bool = False
    deep: When | None = None
    each: bool = False
    as_json: bool = False

    def refuse_contradictions(self) -> None:
        """Raise Refused for options that do not go together."""
        if self.all_backups and (self.since or self.until):
            raise Refused("--all means every backup; leave out --since and --until")
        if self.deep and (self.since or self.until or self.all_backups):
            raise Refused("--deep names its backup; leave out --since, --until and --all")
        if self.each and not self.deep:
            raise Refused("--each needs --deep, for example --deep latest --each")


@dataclass
class Verified:
    """The results for some backups."""

    number: int = 0
    findings: list[Finding] = field(default_factory=list)
    not_checked: Counter[str] = field(default_factory=Counter)
    contents: list[Contents] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status."""
        if self.findings:
            return ExitStatus.SOMETHING_IS_WRONG
        return ExitStatus.COULD_NOT_FIND_OUT if self.not_checked else 0

    def __str__(self) -> str:
        """One line with the result."""
        number = f"{self.number:,} backup" + "s" * (self.number != 1)
        findings = f"{len(self.findings):,} finding" + "s" * (len(self.findings) != 1)
        denied = f", {self.not_checked.total():,} not checked" if self.not_checked else ""
        return f"Verified {number}: {findings if self.findings else 'no findings'}{denied}"


def verify(
    target: Target, options: VerifyOptions, *, now: datetime, tuning: Tuning = FULL_SPEED
) -> None:
    """Print the findings; exits with 1 if there are any, or 3 if something was not checked."""
    options.refuse_contradictions()
    policy = with_server(target.policy, options.server)
    if options.deep and not options.each:
        keys = [key_of(policy, rule=options.rule, server=options.server)]
    else:
        keys = keys_named(policy, rule=options.rule, server=options.server)
    vault = open_vault(target, tuning)
    click.echo(target, err=True)
    if remark := server_remark(target.policy, options.server):
        click.echo(remark, err=True)
    verified = Verified()
    run = _Run(target, policy, vault, now, verified)
    if options.deep:
        for key in keys:
            run.verify_deep(key, options.deep, tuning)
    else:
        chosen = Range(since=options.since, until=options.until)
        with ThreadPoolExecutor(HEADS_AT_A_TIME) as pool, counting() as count:
            for key in keys:
                listed = list_backups(vault, policy, key, now=now)
                if not options.all_backups:
                    listed = run.within(key, chosen)
                run.verify_all(key, listed, pool, count)
    click.echo(
        json.dumps(_as_data(verified, now), indent=2) if options.as_json else _text(verified)
    )
    sys.exit(verified.status)


@dataclass(frozen=True)
class _Run:
    target: Target
    policy: Policy
    vault: Vault
    now: datetime
    verified: Verified

    def within(self, key: str, chosen: Range) -> Iterator[Backup]:
        """The backups in the slots of a range; without an end, also those of future slots."""
        since, until = chosen.of(self.policy.server_keys[key][0].timezone, self.now)
        start = self.policy.slot_of(key, since).name
        last = self.policy.slot_of(key, until - timedelta(microseconds=1)).name
        for backup in list_backups(self.vault, self.policy, key, now=self.now, start=start):
            if chosen.until and backup.name > last:
                return
            yield backup

    def verify_all(
        self,
        key: str,
        backups: Iterator[Backup],
        pool: ThreadPoolExecutor,
        count: Callable[[str, int], None],
    ) -> None:
        """Verify the backups of a key, several at a time."""
        look = partial(self._look, key)
        try:
            while some := [*islice(backups, AT_ONCE)]:
                for findings in pool.map(look, some):
                    self._add(key, findings)
                count(key, len(some))
        except ClientError as error:
            self._note_denial(f"the backups of {key}", error)

    def verify_deep(self, key: str, when: When, tuning: Tuning) -> None:
        """Verify the backup that `when` names, and unpack it."""
        verified = self.verified
        try:
            choice = choose(self.vault, self.policy, key, when, now=self.now)
            backup = choice.backup
            self._add(key, self._look(key, backup))
            version = self._version(backup)
            click.echo(f"Unpacking {version.name} ({version.size:,} bytes)", err=True)
            verified.contents.append(unpack(version, tuning))
        except NotFoundOutError as error:
            verified.not_checked[str(error)] += 1
        except NotRestoredError as error:
            verified.findings.append(
                Finding(
                    what=str(error),
                    why="Only a backup that can be unpacked can be restored.",
                    remedy="verify earlier backups with --deep, and repair the job that makes them",
                )
            )
        except ClientError as error:
            self._note_denial(f"the backup of {key}", error)

    def _version(self, backup: Backup) -> StoredVersion:
        version = look_up(self.vault, backup.name, str(backup.version_id))
        if version is None:
            raise NotRestoredError(f"{backup.name} was removed while it was verified")
        return version

    def _look(self, key: str, backup: Backup) -> list[Finding] | ClientError:
        rule, _ = self.policy.server_keys[key]
        tampered = judge_tampering(backup, vault=self.vault.name, zone=rule.timezone, now=self.now)
        findings = [as_finding(self.target, finding) for finding in tampered]
        if backup.size is None:
            return findings
        also = partial(judge_source, self.policy, key, backup.name)
        found = check_version(
            self.target, self.vault, backup.name, backup.version_id, now=self.now, also=also
        )
        try:
            findings += found
        except ClientError as error:
            return error
        return findings

    def _add(self, key: str, result: list[Finding] | ClientError) -> None:
        if isinstance(result, ClientError):
            self._note_denial(f"backups of {key}", result)
        else:
            self.verified.number += 1
            self.verified.findings += result

    def _note_denial(self, what: str, error: ClientError) -> None:
        if error_code(error) not in DENIAL_CODES:
            raise error
        self.verified.not_checked[f"{what}: {sentence_of(error)}"] += 1


def _text(verified: Verified) -> str:
    lines: list[str] = []
    for finding in verified.findings:
        lines += [f"! {finding.what}", f"    {finding.why}", f"    {finding.remedy}", ""]
    for sentence, times in verified.not_checked.items():
        lines += [f"? Could not check {sentence}" + f" ({times:,} times)" * (times > 1), ""]
    return "\n".join([*lines, *map(str, verified.contents), str(verified)])


def _as_data(verified: Verified, now: datetime) -> dict[str, Any]:
    return {
        "at": now.isoformat(),
        "verified": verified.number,
        "findings": [asdict(finding) for finding in verified.findings],
        "unpacked": [
            asdict(each) | {"newest": each.newest.isoformat() if each.newest else None}
            for each in verified.contents
        ],
        "not_checked": [
            {"what": sentence, "times": times} for sentence, times in verified.not_checked.items()
        ],
    }
