"""`backups check`: who can destroy the backups, judged by what is actually in the account."""

import json
from collections.abc import Callable
from typing import Any

from admin.account import Account, none_if
from admin.check.function import check_function
from admin.check.principals import check_principals
from admin.check.report import Remedies, Report
from admin.check.server_users import check_server_users
from admin.desired.buckets import desired_settings
from admin.desired.requirement import Kind, Setting
from admin.setup.bucket_resources import Entry
from admin.setup.files import changes, stage_files
from admin.setup.plan import Step, make_plan
from admin.stage import FUNCTIONS, Stage
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
    settings = desired_settings(
        policy, stage, stage.wishes, account=account.id, region=account.region
    )
    remedies = Remedies(account=account, stage=stage)
    tell(f"Comparing {len(settings)} settings ...")
    _check_settings(report, account, stage, settings, remedies)
    _check_files(report, policy, stage, settings, remedies)
    if stage.name != "dev":  # a local cloud sends no mail
        _check_readers(report, account, settings, remedies)
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
    settings: tuple[Setting, ...],
    remedies: Remedies,
) -> None:
    """Check everything that `setup` writes, and what others have added to it."""
    absent: set[str] = set()
    for setting in settings:
        if setting.target in absent:
            continue
        unseen = len(report.unseen)
        with report.seeing(setting.says.replace(": ", " (", 1) + ")" * (": " in setting.says)):
            plan = make_plan(account, (setting,), lock_named=False)
            for step in plan.steps:
                shorter = ["--allow-shorter"] if plan.weakens else []
                report.find(
                    _what_is_wrong(step),
                    why=setting.why,
                    remedy=remedies.setup(*shorter),
                )
            others = [entry for _, entry in plan.foreign]
            _check_additions(report, stage, setting, others, remedies)
            absent |= plan.missing
        if setting.kind is Kind.BUCKET and len(report.unseen) > unseen:
            absent.add(setting.target)


def _what_is_wrong(step: Step) -> str:
    """The finding's sentence: "SUBJECT should VERB, but ...", or "THING is missing"."""
    subject, _, task = step.setting.says.partition(": ")
    if subject != step.setting.target:  # the name of a bucket stays lowercase
        subject = subject[0].upper() + subject[1:]
    if task:
        return f"{subject} should {task}, but {_difference(step)}"
    if step.actual is None:
        return f"{subject} is missing"
    return f"{subject} is not as it should be: {_difference(step)}"


def _difference(step: Step) -> str:
    """What the account has instead, in a few words."""
    want, actual = step.setting.want, step.actual
    match actual:
        case None:
            return "does not"
        case {"mode": mode, "days": days}:
            in_mode = f" ({mode.lower()})" if mode != want["mode"] else ""
            return f"locks them for {days} day{'s' * (days != 1)}{in_mode}"
        case str():
            return f"has {actual}"
        case list():
            names = {entry.get("Sid") or entry.get("ID") for entry in want if entry not in actual}
            names |= {entry.get("Sid") or entry.get("ID") for entry in actual if entry not in want}
            return f"{', '.join(sorted(names))} is missing or different"
        case _:
            names = {name for name in {*want, *actual} if want.get(name) != actual.get(name)}
            return ", ".join(f"{name} is {actual.get(name)}" for name in sorted(names))


def _check_additions(
    report: Report, stage: Stage, setting: Setting, others: list[Entry], remedies: Remedies
) -> None:
    """Check the rules and statements that others added: they can weaken ours."""
    bucket = setting.target
    if setting.kind is Kind.LIFECYCLE:
        kept: Any = {
            "Rules": [*(rule for rule in others if not _moves_or_expires(rule)), *setting.want]
        }
        for rule in filter(_moves_or_expires, others):
            report.find(
                f"The lifecycle rule {rule.get('ID', 'without a name')} of {bucket} moves or "
                "expires "
                "objects and was not made by backups setup",
                why="Such a rule can expire a backup early, or move it where reading takes days.",
                remedy=remedies.aws(
                    "s3api",
                    "put-bucket-lifecycle-configuration",
                    bucket=bucket,
                    lifecycle_configuration=kept,
                ),
            )
    if setting.kind is Kind.BUCKET_POLICY:
        # Somebody else's Deny can lock out those who have to restore.
        is_vault = bucket == stage.settings.vault_bucket
        harmless = [entry for entry in others if entry["Effect"] == "Deny" and not is_vault]
        kept = {"Version": "2012-10-17", "Statement": [*setting.want, *harmless]}
        for statement in others:
            if statement not in harmless:
                report.find(
                    f"The bucket policy of {bucket} has a statement that backups setup did not "
                    "write: "
                    f"{json.dumps(statement)}",
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
    settings: tuple[Setting, ...],
    remedies: Remedies,
) -> None:
    [topic] = [setting.target for setting in settings if setting.kind is Kind.TOPIC]
    for path in changes(stage_files(policy, stage, topic=topic)):
        report.find(
            f".chalice/{path.name} does not match your policy.toml",
            why="chalice deploy would set the permissions of an earlier policy.",
            remedy=remedies.setup(),
        )


def _check_readers(
    report: Report, account: Account, settings: tuple[Setting, ...], remedies: Remedies
) -> None:
    [topic] = [setting.target for setting in settings if setting.kind is Kind.TOPIC]
    pages = account.client("sns").get_paginator("list_subscriptions_by_topic")
    with report.seeing("who receives the alerts"):
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
