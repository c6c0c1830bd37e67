"""`backups check`: who can destroy the backups, judged by what is live, not by what was meant."""

from collections.abc import Callable
from typing import Any

from admin.account import Account, absent_if
from admin.deployed import check_function
from admin.desired import desired_settings
from admin.finding import Report, aws
from admin.live_buckets import foreign_rules, foreign_statements
from admin.principals import check_principals, check_server_users
from admin.setting import Kind, Setting, Wishes
from admin.setup import Step, make_plan
from admin.stage import FUNCTIONS, Stage
from admin.stage_files import changes, stage_files
from chalicelib.policy import Policy


def check(
    account: Account,
    stage: Stage,
    policy: Policy,
    wishes: Wishes,
    *,
    lock_named: bool,
    tell: Callable[[str], None],
) -> Report:
    """Compare everything that keeps the promise with what there is. Changes nothing.

    What the caller may not see is in the report; whatever else AWS answers raises. `tell` gets a
    line before each part of the work.
    """
    report = Report()
    settings = desired_settings(policy, stage, wishes, account=account.id, region=account.region)
    setup = f"backups setup --stage {stage.name} --apply{_words(wishes, lock_named=lock_named)}"
    tell(f"Comparing {len(settings)} settings ...")
    _check_settings(report, account, settings, lock_named=lock_named, setup=setup)
    _check_files(report, policy, stage, settings, setup=setup)
    if stage.name != "dev":  # from a local cloud no mail ever goes out
        _check_readers(report, account, settings, setup=setup)
    for function in FUNCTIONS:
        tell(f"Comparing what is deployed as {stage.function_name(function)} ...")
        check_function(report, account, stage, policy, function=function)
    tell("Reading the rights of all users and roles ...")
    check_server_users(report, account, stage, policy)
    vault = stage.settings.vault_bucket
    check_principals(report, account.holding(vault), vault=vault)
    return report


def _words(wishes: Wishes, *, lock_named: bool) -> str:
    if not lock_named:
        return ""
    if wishes.lock is None:
        return " --lock none"
    return f" --lock {wishes.lock.mode.lower()} --lock-days {wishes.lock.days}"


def _check_settings(
    report: Report,
    account: Account,
    settings: tuple[Setting, ...],
    *,
    lock_named: bool,
    setup: str,
) -> None:
    """Every property that `setup` establishes, and what others have added to it."""
    absent: set[str] = set()
    for setting in settings:
        if setting.target in absent:
            continue
        unseen = len(report.unseen)
        with report.seeing(f"whether {setting.says}"):
            plan = make_plan(account, (setting,), lock_named=lock_named)
            for step in plan.steps:
                report.find(
                    f"It is not so that {step.setting.says}: {_difference(step)}",
                    why=setting.why,
                    remedy=f"{setup} --allow-shorter" if plan.weakens else setup,
                )
            if not plan.missing:
                _check_additions(report, account, setting)
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


def _check_additions(report: Report, account: Account, setting: Setting) -> None:
    """What is beside our own rules and statements, and takes from what they keep."""
    bucket = setting.target
    if setting.kind is Kind.LIFECYCLE:
        rules = foreign_rules(account, setting)
        expiring = [rule for rule in rules if _expires(rule)]
        kept = [*(rule for rule in rules if not _expires(rule)), *setting.want]
        for rule in expiring:
            report.find(
                f"The lifecycle of {bucket} has the rule {rule.get('ID')}, which lets objects "
                "expire and is not ours",
                why="What a rule expires, nobody has to delete.",
                remedy=aws(
                    "s3api",
                    "put-bucket-lifecycle-configuration",
                    bucket=bucket,
                    lifecycle_configuration={"Rules": kept},
                ),
            )
    if setting.kind is Kind.BUCKET_POLICY:
        statements = foreign_statements(account, setting)
        kept = [*setting.want, *(one for one in statements if one["Effect"] == "Deny")]
        for statement in statements:
            if statement["Effect"] == "Allow":
                report.find(
                    f"The policy of {bucket} allows {statement.get('Action')} to "
                    f"{statement.get('Principal')} (statement {statement.get('Sid', 'unnamed')})",
                    why="Who may do what is said in identity policies; here it is easily missed.",
                    remedy=aws(
                        "s3api",
                        "put-bucket-policy",
                        bucket=bucket,
                        policy={"Version": "2012-10-17", "Statement": kept},
                    ),
                )


def _expires(rule: dict[str, Any]) -> bool:
    expiration = rule.get("Expiration", {})
    return bool({"Days", "Date"} & set(expiration)) or "NoncurrentVersionExpiration" in rule


def _check_files(
    report: Report, policy: Policy, stage: Stage, settings: tuple[Setting, ...], *, setup: str
) -> None:
    [topic] = [setting.target for setting in settings if setting.kind is Kind.TOPIC]
    for path in changes(stage_files(policy, stage, topic=topic)):
        report.find(
            f".chalice/{path.name} is not what your policy says",
            why="chalice deploy would bring permissions of an earlier policy.",
            remedy=setup,
        )


def _check_readers(
    report: Report, account: Account, settings: tuple[Setting, ...], *, setup: str
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
                remedy=f"{setup} --alert-email you@example.org",
            )
