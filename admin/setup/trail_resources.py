"""Reads and writes our trail, and checks whether any trail logs management events here."""

from typing import Any

from admin.account import Account, none_if
from admin.desired.requirement import Requirement
from admin.desired.trail import NAME

Trail = dict[str, Any]


def logging_trail(account: Account) -> str | None:
    """The ARN of a trail that logs the API calls of this Region that change something, if any.

    It can also be a trail of another Region or of the organization.
    """
    cloudtrail = account.client("cloudtrail")
    for trail in cloudtrail.describe_trails(includeShadowTrails=True)["trailList"]:
        arn = str(trail["TrailARN"])
        is_logging = cloudtrail.get_trail_status(Name=arn)["IsLogging"]
        if is_logging and _logs_changes(_event_selectors(account, trail)):
            return arn
    return None


def read_trail(account: Account, requirement: Requirement) -> Any:
    """Where our trail logs to, whether it is logging, and what; None if it does not exist.

    Its other settings make no difference.
    """
    cloudtrail, arn = account.client("cloudtrail"), requirement.resource
    trails = cloudtrail.describe_trails(includeShadowTrails=False)["trailList"]
    for trail in (trail for trail in trails if trail["TrailARN"] == arn):
        selectors = cloudtrail.get_event_selectors(TrailName=arn)
        actual = {
            "S3BucketName": trail["S3BucketName"],
            "IsLogging": cloudtrail.get_trail_status(Name=arn)["IsLogging"],
            "EventSelectors": [
                {name: each.get(name) for name in requirement.desired["EventSelectors"][0]}
                for each in selectors.get("EventSelectors", ())
            ],
        }
        advanced = selectors.get("AdvancedEventSelectors")
        return {**actual, "AdvancedEventSelectors": advanced} if advanced else actual
    return None


def write_trail(account: Account, requirement: Requirement) -> None:
    """Create the trail, or restore it, and start it. It logs in one Region, which is cheaper."""
    cloudtrail, bucket = account.client("cloudtrail"), requirement.desired["S3BucketName"]
    if read_trail(account, requirement) is None:
        cloudtrail.create_trail(Name=NAME, S3BucketName=bucket, EnableLogFileValidation=True)
    else:
        cloudtrail.update_trail(Name=NAME, S3BucketName=bucket)
    selectors = requirement.desired["EventSelectors"]
    cloudtrail.put_event_selectors(TrailName=NAME, EventSelectors=selectors)
    cloudtrail.start_logging(Name=NAME)


def _event_selectors(account: Account, trail: Trail) -> dict[str, Any]:
    """What a trail logs; empty if it has the default, or if only others can see it.

    CloudTrail answers only in the trail's own Region, and only its own account: an organization's
    trail does not show its selectors to the members.
    """
    home = account.client("cloudtrail", region_name=trail.get("HomeRegion"))
    selectors: dict[str, Any] | None = none_if(
        "TrailNotFoundException", lambda: home.get_event_selectors(TrailName=trail["TrailARN"])
    )
    return selectors or {}


def _logs_changes(selectors: dict[str, Any]) -> bool:
    """Whether management events that change something are logged, which is the default.

    Source: CloudTrail API reference, EventSelector and AdvancedFieldSelector.
    """
    simple = selectors.get("EventSelectors") or []
    advanced = selectors.get("AdvancedEventSelectors") or []
    if not simple and not advanced:
        return True
    return any(
        each.get("IncludeManagementEvents", True) and each.get("ReadWriteType") != "ReadOnly"
        for each in simple
    ) or any(_selects_changes(each["FieldSelectors"]) for each in advanced)


def _selects_changes(fields: list[dict[str, Any]]) -> bool:
    equals = {field["Field"]: field.get("Equals", []) for field in fields}
    return equals.get("eventCategory") == ["Management"] and equals.get("readOnly") != ["true"]
