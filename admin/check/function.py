"""Checks a deployed function against what `chalice deploy` would deploy now."""

from admin.account import Account, none_if
from admin.check.code import S3_MODEL, differences, fetch_bundle, unknown_to_boto3
from admin.check.configuration import Configuration
from admin.check.deployed_function import Function
from admin.check.invokers import Callers
from admin.check.report import Remedies, Report
from admin.check.role import Role
from admin.desired.permissions import function_policies
from admin.stage import Stage
from chalicelib.policy.policy import Policy

# How often the sweep runs, as EventBridge writes it.
EVERY_QUARTER_HOUR = "rate(15 minutes)"
# Enough files to see what happened.
NAMED = 10
NOT_WHAT_RUNS = "The code you read and test here is not the code that runs there."


def check_function(
    report: Report,
    account: Account,
    stage: Stage,
    policy: Policy,
    remedies: Remedies,
    *,
    function: str,
) -> None:
    """Check everything about a function: configuration, code, rights, and who can invoke it."""
    of = Function(report=report, account=account, stage=stage, remedies=remedies, function=function)
    with report.seeing(f"the function {of.name}"):
        deployed = none_if(
            "ResourceNotFoundException",
            lambda: of.client("lambda").get_function(FunctionName=of.name),
        )
        if deployed is None:
            report.find(f"{of.name} is not deployed", why=of.stays_behind, remedy=of.deploy)
            return
        if deployed["Configuration"].get("PackageType", "Zip") != "Zip":
            report.find(
                f"{of.name} runs a container image, not this project's code",
                why=NOT_WHAT_RUNS,
                remedy=of.redeploy,
            )
            return
        role = Role(of, function_policies(policy, stage)[function])
        if role.is_gone():
            return
        Configuration(of, deployed["Configuration"]).check()
        _check_code(of, deployed["Code"]["Location"])
        role.check()
        Callers(of).check()
        arn = deployed["Configuration"]["FunctionArn"]
        match function:
            case "promote":
                _check_notification(of, arn)
            case "sweep":
                _check_schedule(of, arn)


def _check_code(of: Function, location: str) -> None:
    with of.report.seeing(f"the code of {of.name}"):
        bundle = fetch_bundle(location)
        missing = unknown_to_boto3(bundle)
        if missing:
            of.report.find(
                f"The boto3 deployed with {of.name} does not support {', '.join(missing)} "
                "in CopyObject",
                why="It rejects the conditional copy, so no upload is promoted.",
                remedy=of.deploy,
            )
        different = differences(bundle, of.stage.project)
        if missing and S3_MODEL in different:
            different.remove(S3_MODEL)
        if different:
            more = f" and {len(different) - NAMED} more" if different[NAMED:] else ""
            of.report.find(
                f"The code of {of.name} differs from this clone: "
                f"{', '.join(different[:NAMED])}{more}",
                why=NOT_WHAT_RUNS,
                remedy=of.deploy,
            )


def _check_notification(of: Function, arn: str) -> None:
    bucket = of.stage.settings.incoming_bucket
    with of.report.seeing(f"the notifications of {bucket}"):
        answer = none_if(
            "NoSuchBucket",
            lambda: of.client("s3").get_bucket_notification_configuration(Bucket=bucket),
        )
        if answer is not None and not any(
            target["LambdaFunctionArn"] == arn
            and "s3:ObjectCreated:*" in target["Events"]
            and not target.get("Filter", {}).get("Key", {}).get("FilterRules")
            for target in answer.get("LambdaFunctionConfigurations", [])
        ):
            of.report.find(
                f"{bucket} does not notify {of.name} of uploads",
                why=of.stays_behind,
                remedy=of.deploy,
            )


def _check_schedule(of: Function, arn: str) -> None:
    with of.report.seeing(f"the schedule of {of.name}"):
        events = of.client("events")
        rule = none_if("ResourceNotFoundException", lambda: events.describe_rule(Name=of.schedule))
        if rule is None:
            of.report.find(
                f"The EventBridge rule {of.schedule} does not exist",
                why=of.stays_behind,
                remedy=of.deploy,
            )
            return
        if rule["State"] != "ENABLED":
            of.report.find(
                f"The EventBridge rule {of.schedule} is {rule['State'].lower()}",
                why=of.stays_behind,
                remedy=of.aws("events", "enable-rule", name=of.schedule),
            )
        if (often := rule.get("ScheduleExpression")) != EVERY_QUARTER_HOUR:
            of.report.find(
                f"The schedule of {of.schedule} is {often}, but should be {EVERY_QUARTER_HOUR}",
                why=of.stays_behind,
                remedy=of.deploy,
            )
        # A target with an input of its own would hide the time that the sweep takes from its event.
        targets = events.list_targets_by_rule(Rule=of.schedule)["Targets"]
        if not any(target == {"Id": target["Id"], "Arn": arn} for target in targets):
            of.report.find(
                f"The EventBridge rule {of.schedule} does not invoke {of.name} as deployed",
                why=of.stays_behind,
                remedy=of.deploy,
            )
