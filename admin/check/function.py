"""Checks a deployed function against what `chalice deploy` would deploy now."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from admin.account import none_if
from admin.check.alerts.log_group import check_log_group
from admin.check.code import S3_MODEL, differences, fetch_bundle, unsupported_arguments
from admin.check.configuration import (
    check_concurrency,
    check_configuration,
    check_other_settings,
)
from admin.check.deployed_function import DeployedFunction
from admin.check.invokers import (
    check_event_sources,
    check_invokers,
    check_invokers_of_versions,
    check_urls,
)
from admin.check.report import Finding, Part
from admin.check.role import check_role, check_role_exists
from admin.config.reading import SCHEDULES
from admin.desired.permissions import function_policies

# How many files a finding names: enough to see what happened.
MOST_NAMED = 10
OTHER_CODE_RUNS = "The code you read and test here is not the code that runs there."


def check_function(function: DeployedFunction) -> Iterator[Finding | Part]:
    """Check everything about a function: configuration, code, rights, and who can invoke it."""
    name = function.name
    answer = none_if(
        "ResourceNotFoundException",
        lambda: function.client("lambda").get_function(FunctionName=name),
    )
    if answer is None:
        yield Finding(
            what=f"{name} is not deployed",
            why=function.stays_behind,
            remedy=function.target.fix_deploy(),
        )
        return
    actual = answer["Configuration"]
    if actual.get("PackageType", "Zip") != "Zip":
        yield Finding(
            what=f"{name} runs a container image, not this project's code",
            why=OTHER_CODE_RUNS,
            remedy=function.fix_redeploy,
        )
        return
    yield Part(f"whether the role {name} exists", check_role_exists(function))
    if _lost_its_role(function):
        return
    desired = function_policies(function.target.policy, function.target.stage)[function.handler]
    yield from check_configuration(function, actual)
    yield from check_other_settings(function, actual)
    yield Part(f"the reserved concurrency of {name}", check_concurrency(function))
    yield Part(f"the code of {name}", _check_code(function, answer["Code"]["Location"]))
    yield Part(f"the role {name}", check_role(function, desired))
    yield Part(f"who can invoke {name}", check_invokers(function))
    yield Part(f"who can invoke versions of {name}", check_invokers_of_versions(function))
    yield Part(f"the function URLs of {name}", check_urls(function))
    yield Part(f"the log group of {name}", check_log_group(function))
    yield Part(f"the event source mappings of {name}", check_event_sources(function))
    arn = actual["FunctionArn"]
    if function.handler in SCHEDULES:
        yield Part(f"the schedule of {name}", _check_schedule(function, arn))
    else:
        notifications = _check_notifications(function, arn)
        yield Part(f"the notifications of {function.target.incoming}", notifications)


def _lost_its_role(function: DeployedFunction) -> bool:
    """Whether the role is known not to exist; a denied request proves nothing."""
    try:
        return function.role is None
    except ClientError:
        return False


def _check_code(function: DeployedFunction, location: str) -> Iterator[Finding]:
    bundle = fetch_bundle(function.target.account, location)
    missing = unsupported_arguments(bundle)
    if missing:
        yield Finding(
            what=f"The botocore deployed with {function.name} does not support "
            f"{', '.join(missing)} in CopyObject",
            why="It rejects the conditional copy, so no upload is promoted.",
            remedy=function.target.fix_deploy(),
        )
    different = differences(bundle, function.target.stage.project)
    if missing and S3_MODEL in different:
        different.remove(S3_MODEL)
    if different:
        more = f" and {len(different) - MOST_NAMED} more" if different[MOST_NAMED:] else ""
        yield Finding(
            what=f"The code of {function.name} differs from this clone: "
            f"{', '.join(different[:MOST_NAMED])}{more}",
            why=OTHER_CODE_RUNS,
            remedy=function.target.fix_deploy(),
        )


def _check_notifications(function: DeployedFunction, arn: str) -> Iterator[Finding]:
    bucket = function.target.incoming
    answer = none_if(
        "NoSuchBucket",
        lambda: function.client("s3").get_bucket_notification_configuration(Bucket=bucket),
    )
    if answer is None:
        return
    del answer["ResponseMetadata"]
    ours = [
        configuration
        for configuration in answer.get("LambdaFunctionConfigurations", [])
        if configuration["LambdaFunctionArn"] == arn
        and "s3:ObjectCreated:*" in configuration["Events"]
        and not configuration.get("Filter", {}).get("Key", {}).get("FilterRules")
    ]
    if not ours:
        yield Finding(
            what=f"{bucket} does not notify {function.name} of uploads",
            why=function.stays_behind,
            remedy=function.target.fix_deploy(),
        )
        return
    desired = {"LambdaFunctionConfigurations": ours[:1]}
    if others := list(_notified(answer, ours[0])):
        yield Finding(
            what=f"{bucket} also notifies {', '.join(others)}",
            why="It learns the name of every upload, and could act on it before promote does.",
            remedy=function.target.fix_aws(
                "s3api",
                "put-bucket-notification-configuration",
                bucket=bucket,
                notification_configuration=desired,
            ),
        )


def _notified(notifications: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """All notifications of a bucket, except those in our own configuration."""
    for kind, configurations in notifications.items():
        if kind == "EventBridgeConfiguration":
            yield "EventBridge"
            continue
        for configuration in configurations:
            if configuration != ours:
                [target] = (value for name, value in configuration.items() if name.endswith("Arn"))
                yield target


def _check_schedule(function: DeployedFunction, arn: str) -> Iterator[Finding]:
    events, schedule = function.client("events"), function.schedule
    desired = SCHEDULES[function.handler]
    why, deploy = function.stays_behind, function.target.fix_deploy()
    rule = none_if("ResourceNotFoundException", lambda: events.describe_rule(Name=schedule))
    if rule is None:
        yield Finding(
            what=f"The EventBridge rule {schedule} does not exist", why=why, remedy=deploy
        )
        return
    if rule.get("EventPattern"):
        yield Finding(
            what=f"The EventBridge rule {schedule} also has an event pattern",
            why="Anyone who can put events on the bus can start the function with a false time.",
            remedy=function.target.fix_aws(
                "events", "put-rule", name=schedule, schedule_expression=desired
            ),
        )
    if rule["State"] != "ENABLED":
        yield Finding(
            what=f"The EventBridge rule {schedule} is {rule['State'].lower()}",
            why=why,
            remedy=function.target.fix_aws("events", "enable-rule", name=schedule),
        )
    if (often := rule.get("ScheduleExpression")) != desired:
        yield Finding(
            what=f"The schedule of {schedule} is {often}, but should be {desired}",
            why=why,
            remedy=deploy,
        )
    # If the target had an input, the function could not read the time from its event.
    targets = events.list_targets_by_rule(Rule=schedule)["Targets"]
    ours = [target for target in targets if target == {"Id": target["Id"], "Arn": arn}]
    if not ours:
        yield Finding(
            what=f"The EventBridge rule {schedule} does not invoke {function.name} as deployed",
            why=why,
            remedy=deploy,
        )
    elif others := [target for target in targets if target != ours[0]]:
        yield Finding(
            what=f"The EventBridge rule {schedule} has {len(others)} more target"
            f"{'s' * (len(others) != 1)}: {', '.join(target['Arn'] for target in others)}",
            why="Another target can start the function with a false time, or start something else.",
            remedy=function.target.fix_aws(
                "events",
                "remove-targets",
                rule=schedule,
                ids=[target["Id"] for target in others],
            ),
        )
