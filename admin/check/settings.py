"""`backups check`: who can destroy the backups, judged by what is live, not by what was meant."""

import json
from collections.abc import Callable
from typing import Any

from admin.account import Account, absent_if
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
    """Compare everything that keeps the promise with what there is. Changes nothing.

    What the caller may not see is in the report; whatever else AWS answers raises. `tell` gets a
    line before each part of the work.
    """
    report = Report()
    settings = desired_settings(
        policy, stage, stage.wishes, account=account.id, region=account.region
    )
    remedies = Remedies(account=account, stage=stage)
    tell(f"Comparing {len(settings)} settings ...")
    _check_settings(report, account, stage, settings, remedies)
    _check_files(report, policy, stage, settings, remedies)
    if stage.name != "dev":  # from a local cloud no mail ever goes out
        _check_readers(report, account, settings, remedies)
    for function in FUNCTIONS:
        tell(f"Comparing what is deployed as {stage.function_name(function)} ...")
        check_function(report, account, stage, policy, remedies, function=function)
    tell("Reading the rights of all users and roles ...")
    check_server_users(report, account, stage, policy, remedies)
    check_principals(report, account.holding(stage.settings.vault_bucket), stage, remedies)
    return report


def _check_settings(
    report: Report,
    account: Account,
    stage: Stage,
    settings: tuple[Setting, ...],
    remedies: Remedies,
) -> None:
    """Every property that `setup` establishes, and what others have added to it."""
    absent: set[str] = set()
    for setting in settings:
        if setting.target in absent:
            continue
        unseen = len(report.unseen)
        with report.seeing(f"whether {setting.says}"):
            plan = make_plan(account, (setting,), lock_named=False)
            for step in plan.steps:
                shorter = ["--allow-shorter"] if plan.weakens else []
                report.find(
                    f"It is not so that {step.setting.says}: {_difference(step)}",
                    why=setting.why,
                    remedy=remedies.setup(*shorter),
                )
            others = [one for _, one in plan.foreign]
            _check_additions(report, stage, setting, others, remedies)
            absent |= plan.missing
        if setting.kind is Kind.BUCKET and len(report.unseen) > unseen:
            absent.add(setting.target)


def _difference(step: Step) -> str:
    """What is there instead, as far as that can be said in a line."""
    want, actual = step.setting.want, step.actual
    match actual:
        case None:
            return "there is nothing"
        case str():
            return f"it is {actual}"
        case list():
            names = {one.get("Sid") or one.get("ID") for one in want if one not in actual}
            names |= {one.get("Sid") or one.get("ID") for one in actual if one not in want}
            return f"{', '.join(sorted(names))} is missing, or not as it should be"
        case _:
            names = {name for name in {*want, *actual} if want.get(name) != actual.get(name)}
            return "; ".join(f"{name} is {actual.get(name)}" for name in sorted(names))


def _check_additions(
    report: Report, stage: Stage, setting: Setting, others: list[Entry], remedies: Remedies
) -> None:
    """What is beside our own rules and statements, and takes from what they keep."""
    bucket = setting.target
    if setting.kind is Kind.LIFECYCLE:
        kept: Any = {
            "Rules": [*(rule for rule in others if not _moves_or_expires(rule)), *setting.want]
        }
        for rule in filter(_moves_or_expires, others):
            report.find(
                f"The lifecycle of {bucket} has the rule {rule.get('ID', 'without a name')}, which "
                "moves objects or lets them expire and is not ours",
                why="What a rule expires, nobody has to delete; what it freezes is read in days.",
                remedy=remedies.aws(
                    "s3api",
                    "put-bucket-lifecycle-configuration",
                    bucket=bucket,
                    lifecycle_configuration=kept,
                ),
            )
    if setting.kind is Kind.BUCKET_POLICY:
        # A Deny of somebody else's may lock out whoever has to restore.
        is_vault = bucket == stage.settings.vault_bucket
        harmless = [one for one in others if one["Effect"] == "Deny" and not is_vault]
        kept = {"Version": "2012-10-17", "Statement": [*setting.want, *harmless]}
        for statement in others:
            if statement not in harmless:
                report.find(
                    f"The policy of {bucket} has a statement that is not ours: "
                    f"{json.dumps(statement)}",
                    why="Who may do what is said in identity policies; here it is easily missed.",
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
            f".chalice/{path.name} is not what your policy says",
            why="chalice deploy would bring permissions of an earlier policy.",
            remedy=remedies.setup(),
        )


def _check_readers(
    report: Report, account: Account, settings: tuple[Setting, ...], remedies: Remedies
) -> None:
    [topic] = [setting.target for setting in settings if setting.kind is Kind.TOPIC]
    pages = account.client("sns").get_paginator("list_subscriptions_by_topic")
    with report.seeing("who gets the alerts"):
        found = absent_if("NotFound", lambda: list(pages.paginate(TopicArn=topic)))
        if found is None:
            return
        readers = [one for page in found for one in page["Subscriptions"]]
        if not any(one["SubscriptionArn"].startswith("arn:") for one in readers):
            report.find(
                "Nobody gets the alerts"
                + "".join(f"; {one['Endpoint']} has not confirmed yet" for one in readers),
                why="An alarm that nobody hears is none.",
                remedy=remedies.setup("--alert-email", "you@example.org"),
            )
