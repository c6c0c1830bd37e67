"""The command `backups check`: prints the report as text or JSON."""

import json
import sys
from dataclasses import asdict
from datetime import datetime

import click

from admin.account import none_if
from admin.check.reach.graph import Graph
from admin.check.reach.table import table
from admin.check.reach.who import Power, answers
from admin.check.report import Report
from admin.check.settings import check, downloads_of
from admin.exit_status import ExitStatus
from admin.setup.exposure import largest_stored, worst_case
from admin.target import Target

NOT_READ = (
    "Not read: service control policies, session policies, and who can sign in through Identity "
    "Center or another identity provider."
)


def show_check(target: Target, *, now: datetime, all_backups: bool, as_json: bool) -> None:
    """Print the report; exits with 1 if there are findings, or 3 if something was not checked."""
    click.echo(target, err=True)
    report = check(
        target, now=now, all_backups=all_backups, tell=lambda line: click.echo(line, err=True)
    )
    worst: list[str] = []
    with report.checking("the sizes of the stored backups"):
        stored = none_if("NoSuchBucket", lambda: largest_stored(target))
        worst = worst_case(target.policy, target.stage.incoming_alarm, stored or {})
    if as_json:
        click.echo(json.dumps(_as_data(report, worst), indent=2))
    else:
        click.echo(_as_text(report, worst, vault=target.vault))
    if report.findings:
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    if report.not_checked:
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def show_who(target: Target, *, as_json: bool) -> None:
    """Print who can destroy, write or read backups.

    Exits with 1 if anyone who can do more than read is not on the list.
    """
    click.echo(target, err=True)
    found = answers(Graph.of(target, downloads_of(target)))
    if as_json:
        click.echo(json.dumps([asdict(answer) for answer in found], indent=2))
    else:
        click.echo("\n".join(table(found)))
        click.echo(NOT_READ)
    if not all(answer.is_known for answer in found if answer.power is not Power.READ):
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)


def _as_data(report: Report, worst: list[str]) -> dict[str, object]:
    return {
        "backups": report.backups,
        "findings": [vars(finding) for finding in report.findings],
        "unseen": report.not_checked,
        "administrators": report.administrators,
        "worst_case": worst,
    }


def _as_text(report: Report, worst: list[str], *, vault: str) -> str:
    lines = [*report.backups, ""] if report.backups else []
    for finding in report.findings:
        lines += [f"! {finding.what}", f"    {finding.why}", f"    {finding.remedy}", ""]
    for sentence in report.not_checked:
        lines += [f"? Could not check {sentence}", ""]
    if not report.findings and not report.not_checked:
        lines.append(
            f"Nobody can change or delete a backup stored in {vault}: its bucket policy denies it "
            "to everyone, and everything is as it should be."
        )
    lines += [
        "These administrators could remove that protection first: the root user"
        + "".join(f", {name}" for name in report.administrators)
        + ". To protect against them too, use --lock compliance or a vault in a separate account.",
        *worst,
        NOT_READ,
    ]
    return "\n".join(lines)
