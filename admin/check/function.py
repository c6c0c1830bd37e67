"""Checks a deployed function against what `chalice deploy` would deploy now."""

from admin.account import none_if
from admin.check.code import S3_MODEL, differences, fetch_bundle, unknown_to_boto3
from admin.check.configuration import Configuration
from admin.check.deployed_function import DeployedFunction
from admin.check.invokers import Invokers
from admin.check.report import Report
from admin.check.role import Role
from admin.desired.permissions import function_policies
from admin.target import Target

# How often the sweep runs, as EventBridge writes it.
EVERY_QUARTER_HOUR = "rate(15 minutes)"
# Enough files to see what happened.
NAMED = 10
NOT_WHAT_RUNS = "The code you read and test here is not the code that runs there."


def check_function(report: Report, target: Target, function: str) -> None:
    """Check everything about a function: configuration, code, rights, and who can invoke it."""
    deployed = DeployedFunction(report=report, target=target, function=function)
    with report.checking(f"the function {deployed.name}"):
        answer = none_if(
            "ResourceNotFoundException",
            lambda: deployed.client("lambda").get_function(FunctionName=deployed.name),
        )
        if answer is None:
            report.find(
                f"{deployed.name} is not deployed",
                why=deployed.stays_behind,
                remedy=deployed.deploy,
            )
            return
        if answer["Configuration"].get("PackageType", "Zip") != "Zip":
            report.find(
                f"{deployed.name} runs a container image, not this project's code",
                why=NOT_WHAT_RUNS,
                remedy=deployed.redeploy,
            )
            return
        role = Role(deployed, function_policies(target.policy, target.stage)[function])
        if role.is_gone():
            return
        Configuration(deployed, answer["Configuration"]).check()
        _check_code(deployed, answer["Code"]["Location"])
        role.check()
        Invokers(deployed).check()
        arn = answer["Configuration"]["FunctionArn"]
        match function:
            case "promote":
                _check_notification(deployed, arn)
            case "sweep":
                _check_schedule(deployed, arn)


def _check_code(deployed: DeployedFunction, location: str) -> None:
    with deployed.report.checking(f"the code of {deployed.name}"):
        bundle = fetch_bundle(location)
        missing = unknown_to_boto3(bundle)
        if missing:
            deployed.report.find(
                f"The boto3 deployed with {deployed.name} does not support {', '.join(missing)} "
                "in CopyObject",
                why="It rejects the conditional copy, so no upload is promoted.",
                remedy=deployed.deploy,
            )
        different = differences(bundle, deployed.target.stage.project)
        if missing and S3_MODEL in different:
            different.remove(S3_MODEL)
        if different:
            more = f" and {len(different) - NAMED} more" if different[NAMED:] else ""
            deployed.report.find(
                f"The code of {deployed.name} differs from this clone: "
                f"{', '.join(different[:NAMED])}{more}",
                why=NOT_WHAT_RUNS,
                remedy=deployed.deploy,
            )


def _check_notification(deployed: DeployedFunction, arn: str) -> None:
    bucket = deployed.target.incoming
    with deployed.report.checking(f"the notifications of {bucket}"):
        answer = none_if(
            "NoSuchBucket",
            lambda: deployed.client("s3").get_bucket_notification_configuration(Bucket=bucket),
        )
        if answer is not None and not any(
            target["LambdaFunctionArn"] == arn
            and "s3:ObjectCreated:*" in target["Events"]
            and not target.get("Filter", {}).get("Key", {}).get("FilterRules")
            for target in answer.get("LambdaFunctionConfigurations", [])
        ):
            deployed.report.find(
                f"{bucket} does not notify {deployed.name} of uploads",
                why=deployed.stays_behind,
                remedy=deployed.deploy,
            )


def _check_schedule(deployed: DeployedFunction, arn: str) -> None:
    with deployed.report.checking(f"the schedule of {deployed.name}"):
        events = deployed.client("events")
        rule = none_if(
            "ResourceNotFoundException", lambda: events.describe_rule(Name=deployed.schedule)
        )
        if rule is None:
            deployed.report.find(
                f"The EventBridge rule {deployed.schedule} does not exist",
                why=deployed.stays_behind,
                remedy=deployed.deploy,
            )
            return
        if rule["State"] != "ENABLED":
            deployed.report.find(
                f"The EventBridge rule {deployed.schedule} is {rule['State'].lower()}",
                why=deployed.stays_behind,
                remedy=deployed.aws("events", "enable-rule", name=deployed.schedule),
            )
        if (often := rule.get("ScheduleExpression")) != EVERY_QUARTER_HOUR:
            deployed.report.find(
                f"The schedule of {deployed.schedule} is {often}, but should be "
                f"{EVERY_QUARTER_HOUR}",
                why=deployed.stays_behind,
                remedy=deployed.deploy,
            )
        # A target with an input of its own would hide the time that the sweep takes from its event.
        targets = events.list_targets_by_rule(Rule=deployed.schedule)["Targets"]
        if not any(target == {"Id": target["Id"], "Arn": arn} for target in targets):
            deployed.report.find(
                f"The EventBridge rule {deployed.schedule} does not invoke {deployed.name} as "
                "deployed",
                why=deployed.stays_behind,
                remedy=deployed.deploy,
            )
