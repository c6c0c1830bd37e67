"""The command `backups audit`: prints what is missing or wrong with the backups."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime

import click

from admin.account import sentence_of
from admin.exit_status import ExitStatus
from admin.target import Target
from chalicelib.ages import age_in_words
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.watching.audit import Audited, Auditor
from chalicelib.watching.findings import Finding, Phase
from chalicelib.watching.protection import Protection


def show_audit(target: Target, *, now: datetime, as_json: bool) -> None:
    """Print the findings; exits with 1 if there are any, or 3 if something was not checked."""
    click.echo(target, err=True)
    audited = auditor_of(target).audit(now)
    if as_json:
        click.echo(json.dumps(_as_data(target, audited, now), indent=2))
    else:
        click.echo(_as_text(target, audited, now))
    if any(finding.phase is not Phase.OVER for finding in audited.findings):
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    if audited.failures:
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def auditor_of(target: Target) -> Auditor:
    """The auditor of a stage, which reads each bucket with its account's credentials."""
    settings = target.stage.settings
    incoming, vault = settings.incoming_bucket, settings.vault_bucket
    s3, vault_s3 = target.account.client("s3"), target.vault_account.client("s3")
    return Auditor(
        incoming=Incoming(s3=s3, name=incoming, owner=settings.incoming_owner),
        vault=Vault(s3=vault_s3, name=vault, owner=settings.vault_owner),
        policy=target.policy,
        protection=Protection(recorded=settings.vault_settings),
    )


def _as_data(target: Target, audited: Audited, now: datetime) -> dict[str, object]:
    return {
        "at": now.isoformat(),
        "findings": [finding_as_data(target, finding) for finding in audited.findings],
        "newest": {
            upload: {
                "slot": backup.name,
                "stored": backup.begun.isoformat(),
                "size": backup.size,
            }
            if backup
            else None
            for upload, backup in audited.newest.items()
        },
        "not_checked": failures_of(audited),
    }


def _as_text(target: Target, audited: Audited, now: datetime) -> str:
    lines = [*newest_backups(target.policy, audited, now)]
    for finding in audited.findings:
        mark = "+" if finding.phase is Phase.OVER else "!"
        lines += ["", f"{mark} {finding.what}"]
        if finding.phase is not Phase.OVER:
            lines.append(f"    {remedy_of(target, finding)}")
    for sentence in failures_of(audited):
        lines += ["", f"? Could not check {sentence}"]
    if not audited.findings and not audited.failures:
        lines += [
            "",
            "No findings: every expected backup is stored, and none was overwritten or deleted.",
        ]
    return "\n".join(lines)


def finding_as_data(target: Target, finding: Finding) -> dict[str, object]:
    """The finding as JSON, with what to do about it in this stage."""
    since, remedy = finding.since.isoformat(), remedy_of(target, finding)
    return {**vars(finding), "since": since, "remedy": remedy}


def remedy_of(target: Target, finding: Finding) -> str:
    """What to do about a finding, with the command that downloads its object."""
    if finding.download is None:
        return finding.remedy
    command = target.fix_aws("s3api", "get-object", **finding.download)
    return f"{finding.remedy} To download it: {command} downloaded"


def newest_backups(policy: Policy, audited: Audited, now: datetime) -> Iterator[str]:
    """A sentence for each rule and server: its newest backup, with size and age."""
    for upload, backup in audited.newest.items():
        if backup:
            yield (
                f"{upload}: the newest backup is {backup.name} ({backup.size:,} bytes, stored "
                f"{age_in_words(now - backup.begun)} ago)"
            )
        elif upload in audited.empty:
            yield f"{upload}: no backup yet"
        else:
            rule, _ = policy.server_keys[upload]
            yield f"{upload}: no backup in the last {rule.lookback.days} days"


def failures_of(audited: Audited) -> list[str]:
    """What could not be checked, each with the reason."""
    return [f"{what}: {sentence_of(error)}" for what, error in audited.failures.items()]
