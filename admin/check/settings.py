"""`backups check`: who can destroy the backups, judged by what is actually in the account."""

import json
from collections.abc import Callable
from typing import Any

from admin.account import none_if
from admin.check.function import check_function
from admin.check.principals import check_principals
from admin.check.report import Report
from admin.check.server_users import check_server_users
from admin.desired.requirement import Kind, Requirement
from admin.setup.bucket_resources import Entry
from admin.setup.files import changes, stage_files
from admin.setup.plan import Change, make_plan, requirements_of
from admin.stage import FUNCTIONS
from admin.target import Target


def check(target: Target, *, tell: Callable[[str], None]) -> Report:
    """Compare the account with everything that protects the backups. Changes nothing.

    The report lists what the caller is not allowed to read; any other error of AWS is raised.
    `tell` gets a line before each part of the work.
    """
    report = Report()
    requirements = requirements_of(target)
    tell(f"Comparing {len(requirements)} settings ...")
    _check_settings(report, target, requirements)
    _check_files(report, target)
    if target.stage.name != "dev":  # a local cloud sends no mail
        _check_readers(report, target)
    for function in FUNCTIONS:
        tell(f"Comparing the function {target.stage.function_name(function)} ...")
        check_function(report, target, function)
    tell("Reading the rights of all users and roles ...")
    check_server_users(report, target)
    check_principals(report, target)
    return report


def _check_settings(report: Report, target: Target, requirements: tuple[Requirement, ...]) -> None:
    """Check everything that `setup` writes, and what others have added to it."""
    absent: set[str] = set()
    for requirement in requirements:
        if requirement.target in absent:
            continue
        not_checked = len(report.not_checked)
        with report.checking(
            requirement.summary.replace(": ", " (", 1) + ")" * (": " in requirement.summary)
        ):
            plan = make_plan(target.account, (requirement,), lock_named=False)
            for change in plan.changes:
                shorter = ["--allow-shorter"] if plan.weakens else []
                report.find(
                    _what_is_wrong(change),
                    why=requirement.why,
                    remedy=target.fix_setup(*shorter),
                )
            others = [entry for _, entry in plan.foreign]
            _check_additions(report, target, requirement, others)
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
    report: Report, target: Target, requirement: Requirement, others: list[Entry]
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
                remedy=target.fix_aws(
                    "s3api",
                    "put-bucket-lifecycle-configuration",
                    bucket=bucket,
                    lifecycle_configuration=kept,
                ),
            )
    if requirement.kind is Kind.BUCKET_POLICY:
        # Somebody else's Deny can lock out those who have to restore.
        is_vault = bucket == target.vault
        harmless = [entry for entry in others if entry["Effect"] == "Deny" and not is_vault]
        kept = {"Version": "2012-10-17", "Statement": [*requirement.desired, *harmless]}
        for statement in others:
            if statement not in harmless:
                report.find(
                    f"The bucket policy of {bucket} has a statement that backups setup did not "
                    f"write: {json.dumps(statement)}",
                    why="Rights belong in identity policies; in a bucket policy they are easily "
                    "missed.",
                    remedy=target.fix_aws("s3api", "put-bucket-policy", bucket=bucket, policy=kept),
                )


def _moves_or_expires(rule: dict[str, Any]) -> bool:
    expiration = rule.get("Expiration", {})
    does = {"Days", "Date"} & set(expiration) or {
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransitions",
        "Transitions",
    } & set(rule)
    return rule.get("Status") == "Enabled" and bool(does)


def _check_files(report: Report, target: Target) -> None:
    for path in changes(stage_files(target.policy, target.stage, topic=target.topic_arn)):
        report.find(
            f".chalice/{path.name} does not match your policy.toml",
            why="chalice deploy would set the permissions of an earlier policy.",
            remedy=target.fix_setup(),
        )


def _check_readers(report: Report, target: Target) -> None:
    pages = target.account.client("sns").get_paginator("list_subscriptions_by_topic")
    with report.checking("who receives the alerts"):
        subscriptions = none_if("NotFound", lambda: list(pages.paginate(TopicArn=target.topic_arn)))
        if subscriptions is None:
            return
        readers = [reader for page in subscriptions for reader in page["Subscriptions"]]
        if not any(reader["SubscriptionArn"].startswith("arn:") for reader in readers):
            report.find(
                "Nobody receives the alerts"
                + "".join(f"; {reader['Endpoint']} has not confirmed yet" for reader in readers),
                why="An alarm that reaches nobody is useless.",
                remedy=target.fix_setup("--alert-email", "you@example.org"),
            )
