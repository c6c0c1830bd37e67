"""Checks a function's log group, which its alarms and metrics come from."""

from collections.abc import Iterator

from admin.check.deployed_function import DeployedFunction
from admin.check.report import Finding

# The class of log groups whose lines can contain metrics; the others are cheaper (CloudWatch Logs
# user guide, "Log classes").
WITH_METRICS = "STANDARD"


def check_log_group(function: DeployedFunction) -> Iterator[Finding]:
    """Find what stops records and metrics from being written, and who else gets the records.

    The retention of the records does not matter. The next run creates a group that does not exist.
    """
    logs, group = function.client("logs"), f"/aws/lambda/{function.name}"
    fix = function.target.fix_aws
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    if not (actual := next((each for each in groups if each["logGroupName"] == group), None)):
        return
    if (log_class := actual.get("logGroupClass", WITH_METRICS)) != WITH_METRICS:
        yield Finding(
            what=f"The log group {group} is of the class {log_class}",
            why="CloudWatch reads no metrics from it, so no alarm on uploads would go off. The "
            "command deletes it with its records; the next run of the function creates it again.",
            remedy=fix("logs", "delete-log-group", log_group_name=group),
        )
    if key := actual.get("kmsKeyId"):
        yield Finding(
            what=f"The log group {group} is encrypted with the key {key}",
            why="Without this key, the function can write neither records nor metrics.",
            remedy=fix("logs", "disassociate-kms-key", log_group_name=group),
        )
    filters = logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    for each in filters:
        yield Finding(
            what=f"The log group {group} also sends its records to {each['destinationArn']}",
            why="Records tell an intruder which uploads were refused, and what you know.",
            remedy=fix(
                "logs",
                "delete-subscription-filter",
                log_group_name=group,
                filter_name=each["filterName"],
            ),
        )
