"""`backups check`: who can destroy the backups, judged by what is actually in the account."""

import json
from collections.abc import Callable
from typing import Any

from admin.account import Account, none_if
from admin.check.function import check_function
from admin.check.principals import check_principals
from admin.check.report import Remedies, Report
from admin.check.server_users import check_server_users
from admin.config.reading import FUNCTIONS
from admin.desired.buckets import desired_settings
from admin.desired.requirement import Kind, Requirement
from admin.setup.bucket_resources import Entry
from admin.setup.files import changes, stage_files
from admin.setup.plan import Change, make_plan
from admin.stage import Stage
from chalicelib.policy.policy import Policy


def check(
    account: Account,
    stage: Stage,
    policy: Policy,
    *,
    tell: Callable[[str], None],
) -> Report:
    """Compare the account with everything that protects the backups. Changes nothing.

    The report lists what the caller is not allowed to read; any other error of AWS is raised.
    `tell` gets a line before each part of the work.
    """
    report = Report()
    requirements = desired_settings(
        policy, stage, stage.options, account=account.id, region=account.region
    )
    remedies = Remedies(account=account, stage=stage)
    tell(f"Comparing {len(requirements)} settings ...")
    _check_settings(report, account, stage, requirements, remedies)
    _check_files(report, policy, stage, requirements, remedies)
    if stage.name != "dev":  # a local cloud sends no mail
        _check_readers(report, account, requirements, remedies)
    for function in FUNCTIONS:
        tell(f"Comparing the function {stage.function_name(function)} ...")
        check_function(report, account, stage, policy, remedies, function=function)
    tell("Reading the rights of all users and roles ...")
    check_server_users(report, account, stage, policy, remedies)
    check_principals(report, account.account_of(stage.settings.vault_bucket), stage, remedies)
    return report


def _check_settings(
    report: Report,
    account: Account,
    stage: Stage,
    requirements: tuple[Requirement, ...],
    remedies: Remedies,
) -> None:
    """Check everything that `setup` writes, and what others have added to it."""
    absent: set[str] = set()
    for requirement in requirements:
        if requirement.target in absent:
            continue
        not_checked = len(report.not_checked)
        with report.checking(
            requirement.summary.replace(": ", " (", 1) + ")" * (": " in requirement.summary)
        ):
            plan = make_plan(account, (requirement,), lock_named=False)
            for change in plan.changes:
                shorter = ["--allow-shorter"] if plan.weakens else []
                report.find(
                    _what_is_wrong(change),
                    why=requirement.why,
                    remedy=remedies.setup(*shorter),
                )
            others = [entry for _, entry in plan.foreign]
            _check_additions(report, stage, requirement, others, remedies)
            absent |= plan.missing
        if requirement.kind is Kind.BUCKET and len(report.not_checked) > not_checked:
            absent.add(requirement.target)


def _what_is_wrong(change: Change) -> str:
    """The finding's sentence: "SUBJECT should VERB, but ...", or "THING is missing"."""
    subject, _, task = change.requirement.summary.partition(": ")
    if subject != change.requirement.target:  # the name of a bucket stays lowercase
        subject = subject[0].upper() + subject[1:]
    if task:
        return f"{subject} should {task}, but {_difference(change)}"
    if change.actual is None:
        return f"{subject} is missing"
    return f"{subject} is not as it should be: {_difference(change)}"


def _difference(change: Change) -> str:
    """What the account has instead, in a few words."""
    desired, actual = change.requirement.desired, change.actual
    match actual:
        case None:
            return "does not"
        case {"mode": mode, "days": days}:
            in_mode = f" ({mode.lower()})" if mode != desired["mode"] else ""
            return f"locks them for {days} day{'s' * (days != 1)}{in_mode}"
        case str():
            return f"has {actual}"
        case list():
            names = {
                entry.get("Sid") or entry.get("ID") for entry in desired if entry not in actual
            }
            names |= {
                entry.get("Sid") or entry.get("ID") for entry in actual if entry not in desired
            }
            return f"{', '.join(sorted(names))} is missing or different"
        case _:
            names = {name for name in {*desired, *actual} if desired.get(name) != actual.get(name)}
            return ", ".join(f"{name} is {actual.get(name)}" for name in sorted(names))


def _check_additions(
    report: Report, stage: Stage, requirement: Requirement, others: list[Entry], remedies: Remedies
) -> None:
    """Check the rules and statements that others added: they can weaken ours."""
    bucket = requirement.target
    if requirement.kind is Kind.LIFECYCLE:
        kept: Any = {
            "Rules": [
                *(rule for rule in others if not _moves_or_expires(rule)),
                *requirement.desired,
            ]
        }
        for rule in filter(_moves_or_expires, others):
            report.find(
                f"The lifecycle rule {rule.get('ID', 'without a name')} of {bucket} moves or "
                "expires objects and was not made by backups setup",
                why="Such a rule can expire a backup early, or move it where reading takes days.",
                remedy=remedies.aws(
                    "s3api",
                    "put-bucket-lifecycle-configuration",
                    bucket=bucket,
                    lifecycle_configuration=kept,
                ),
            )
    if requirement.kind is Kind.BUCKET_POLICY:
        # Somebody else's Deny can lock out those who have to restore.
        is_vault = bucket == stage.settings.vault_bucket
        harmless = [entry for entry in others if entry["Effect"] == "Deny" and not is_vault]
        kept = {"Version": "2012-10-17", "Statement": [*requirement.desired, *harmless]}
        for statement in others:
            if statement not in harmless:
                report.find(
                    f"The bucket policy of {bucket} has a statement that backups setup did not "
                    f"write: {json.dumps(statement)}",
                    why="Rights belong in identity policies; in a bucket policy they are easily "
                    "missed.",
                    remedy=remedies.aws("s3api", "put-bucket-policy", bucket=bucket, policy=kept),
                )


def _moves_or_expires(rule: dict[str, Any]) -> bool:
    expiration = rule.get("Expiration", {})
    does = {"Days", "Date"} & set(expiration) or {
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransitions",
        "Transitions",
    } & set(rule)
    return rule.get("Status") == "Enabled" and bool(does)


def _check_files(
    report: Report,
    policy: Policy,
    stage: Stage,
    requirements: tuple[Requirement, ...],
    remedies: Remedies,
) -> None:
    [topic] = [requirement.target for requirement in requirements if requirement.kind is Kind.TOPIC]
    for path in changes(stage_files(policy, stage, topic=topic)):
        report.find(
            f".chalice/{path.name} does not match your policy.toml",
            why="chalice deploy would set the permissions of an earlier policy.",
            remedy=remedies.setup(),
        )


def _check_readers(
    report: Report, account: Account, requirements: tuple[Requirement, ...], remedies: Remedies
) -> None:
    [topic] = [requirement.target for requirement in requirements if requirement.kind is Kind.TOPIC]
    pages = account.client("sns").get_paginator("list_subscriptions_by_topic")
    with report.checking("who receives the alerts"):
        subscriptions = none_if("NotFound", lambda: list(pages.paginate(TopicArn=topic)))
        if subscriptions is None:
            return
        readers = [reader for page in subscriptions for reader in page["Subscriptions"]]
        if not any(reader["SubscriptionArn"].startswith("arn:") for reader in readers):
            report.find(
                "Nobody receives the alerts"
                + "".join(f"; {reader['Endpoint']} has not confirmed yet" for reader in readers),
                why="An alarm that reaches nobody is useless.",
                remedy=remedies.setup("--alert-email", "you@example.org"),
            )
