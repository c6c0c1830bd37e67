"""`backups check` as people and programs read it."""

import json
import sys

import click

from admin.account import Account, absent_if, place_of
from admin.check.report import Report
from admin.check.settings import check
from admin.exit_status import ExitStatus
from admin.setup.exposure import largest_stored, worst_case
from admin.stage import Stage
from chalicelib.policy.policy import Policy


def show_check(
    account: Account,
    stage: Stage,
    policy: Policy,
    *,
    as_json: bool,
) -> None:
    """Print what `check` found; exits 1 if something is wrong, else 3 if not all could be seen."""
    click.echo(place_of(stage, account), err=True)
    report = check(
        account,
        stage,
        policy,
        tell=lambda line: click.echo(line, err=True),
    )
    worst: list[str] = []
    with report.seeing("the sizes of what is stored"):
        vault = stage.settings.vault_bucket
        stored = absent_if("NoSuchBucket", lambda: largest_stored(account, vault, policy))
        worst = worst_case(policy, stage.incoming_alarm, stored or {})
    if as_json:
        click.echo(json.dumps(_as_data(report, worst), indent=2))
    else:
        click.echo(_as_text(report, worst, vault=stage.settings.vault_bucket))
    if report.findings:
        sys.exit(ExitStatus.SOMETHING_IS_WRONG)
    if report.unseen:
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)


def _as_data(report: Report, worst: list[str]) -> dict[str, object]:
    return {
        "findings": [vars(finding) for finding in report.findings],
        "unseen": report.unseen,
        "administrators": report.administrators,
        "worst_case": worst,
    }


def _as_text(report: Report, worst: list[str], *, vault: str) -> str:
    lines: list[str] = []
    for finding in report.findings:
        lines += [f"! {finding.what}", f"    {finding.why}", f"    {finding.remedy}", ""]
    for sentence in report.unseen:
        lines += [f"? It could not be seen {sentence}", ""]
    if not report.findings and not report.unseen:
        lines.append(
            f"Nobody can change or delete what is stored in {vault}: its policy denies it to all, "
            "and everything is as it should be."
        )
    lines += [
        "Whoever may do everything in the account could take that down first: its root user"
        + "".join(f", {name}" for name in report.administrators)
        + ". Against these: --lock compliance, or a vault in an account of its own.",
        *worst,
    ]
    return "\n".join(lines)
