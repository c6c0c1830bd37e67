"""The command `backups audit`: prints what is missing or wrong with the backups."""

import json
import sys
from datetime import datetime

import click
from botocore.exceptions import BotoCoreError, ClientError

from admin.account import AccountError, translated_errors
from admin.exit_status import ExitStatus
from admin.periods import age_in_words
from admin.target import Target
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.watching.audit import Audited, Auditor
from chalicelib.watching.findings import Phase
from chalicelib.watching.slots import Backup


def show_audit(target: Target, *, now: datetime, as_json: bool) -> None:
    """Print the findings; exits with 1 if there are any, or 3 if something was not checked."""
    click.echo(target, err=True)
    audited = auditor_of(target).audit(now)
    if as_json:
        click.echo(json.dumps(_as_data(audited, now), indent=2))
    else:
        click.echo(_as_text(audited, now))
    if any(finding.phase is not Phase.OVER for finding in audited.findings):
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    if audited.failures:
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def auditor_of(target: Target) -> Auditor:
    """The auditor of a stage, which sees each bucket as its account does."""
    settings = target.stage.settings
    incoming, vault = settings.incoming_bucket, settings.vault_bucket
    s3, vault_s3 = target.account.client("s3"), target.vault_account.client("s3")
    return Auditor(
        incoming=Incoming(s3=s3, name=incoming, owner=settings.incoming_owner),
        vault=Vault(s3=vault_s3, name=vault, owner=settings.vault_owner),
        policy=target.policy,
    )


def _as_data(audited: Audited, now: datetime) -> dict[str, object]:
    return {
        "at": now.isoformat(),
        "findings": [
            {**vars(finding), "since": finding.since.isoformat()} for finding in audited.findings
        ],
        "newest": {
            upload: {
                "slot": backup.slot.name,
                "stored": backup.begun.isoformat(),
                "size": backup.size,
            }
            if backup
            else None
            for upload, backup in audited.newest.items()
        },
        "not_checked": _failures(audited),
    }


def _as_text(audited: Audited, now: datetime) -> str:
    lines = [_newest(upload, backup, now) for upload, backup in audited.newest.items()]
    for finding in audited.findings:
        mark = "+" if finding.phase is Phase.OVER else "!"
        lines += ["", f"{mark} {finding.what}"]
        if finding.phase is not Phase.OVER:
            lines.append(f"    {finding.remedy}")
    for sentence in _failures(audited):
        lines += ["", f"? Could not check {sentence}"]
    if not audited.findings and not audited.failures:
        lines += ["", "Every expected backup is stored, and everything is as it should be."]
    return "\n".join(lines)


def _newest(upload: str, backup: Backup | None, now: datetime) -> str:
    if backup is None:
        return f"{upload}: no backup yet"
    size = "" if backup.size is None else f"{backup.size:,} bytes, "
    age = age_in_words(now - backup.begun)
    return f"{upload}: the newest backup is {backup.slot.name} ({size}stored {age} ago)"


def _failures(audited: Audited) -> list[str]:
    return [f"{what}: {_sentence(error)}" for what, error in audited.failures.items()]


def _sentence(error: ClientError | BotoCoreError) -> str:
    try:
        with translated_errors():
            raise error
    except AccountError as translated:
        return str(translated)
