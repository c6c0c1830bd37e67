"""The most that an intruder on a server can add, in objects, bytes and dollars."""

import re

from admin.choices import IncomingAlarm
from admin.desired.buckets import upload_days
from admin.setup.bucket_resources import each_object
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import Rule

# us-east-1, indicative (aws.amazon.com/s3/pricing): dollars per GB and month.
PRICES = {
    "STANDARD": 0.023,
    "STANDARD_IA": 0.0125,
    "GLACIER_IR": 0.004,
}
# One day in autumn has 25 hours.
SLOTS_A_DAY = {"minute": 25 * 60, "hour": 25, "day": 1, "week": 1, "month": 1, "year": 1}
GB = 1024**3
DAYS_A_MONTH = 30


def largest_stored(target: Target) -> dict[str, int]:
    """The largest backup of each rule in the vault, in bytes, by the rule's upload."""
    largest: dict[str, int] = {}
    for item in each_object(target.account, target.vault):
        if rule := rule_of(target.policy, item["Key"]):
            largest[rule.upload] = max(largest.get(rule.upload, 0), item["Size"])
    return largest


def rule_of(policy: Policy, name: str) -> Rule | None:
    """The rule that stores under names such as `name`; None if no rule does."""
    for rule, server in policy.uploads.values():
        prefix = f"{server}/" if server else ""
        for shape in rule.store_as.shapes:
            if re.fullmatch(re.escape(prefix + "".join(shape)).replace("%", "[0-9]"), name):
                return rule
    return None


def worst_case(policy: Policy, alarm: IncomingAlarm, stored: dict[str, int]) -> list[str]:
    """What one server can add at most, as sentences.

    `stored` has the size in bytes of the largest backup in the vault, by the rule's upload. It is
    used for rules without max_bytes.
    """
    objects = sum(SLOTS_A_DAY[rule.store_as.unit] for rule in policy.rules)
    lines = [f"An intruder on a server can add at most {objects} objects a day to the vault"]
    unknown = [
        rule.upload
        for rule in policy.rules
        if rule.max_bytes is None and not stored.get(rule.upload)
    ]
    if unknown:
        lines[0] += (
            f", of any size, because {', '.join(unknown)} {'has' if len(unknown) == 1 else 'have'} "
            "no max_bytes in the policy and no backup is stored yet."
        )
        return [*lines, _flood(policy, alarm)]
    sizes = {rule.upload: rule.max_bytes or stored[rule.upload] for rule in policy.rules}
    each_day = sum(SLOTS_A_DAY[rule.store_as.unit] * sizes[rule.upload] for rule in policy.rules)
    dollars = sum(_dollars(rule, sizes[rule.upload]) for rule in policy.rules)
    by = (
        "max_bytes" if all(rule.max_bytes for rule in policy.rules) else "the largest stored backup"
    )
    lines[0] += f", {each_day / GB:,.2f} GB (by {by})."
    lines.append(f"Each such day costs ${dollars:,.2f} a month until the objects expire.")
    return [*lines, _flood(policy, alarm)]


def _flood(policy: Policy, alarm: IncomingAlarm) -> str:
    """What unpromoted uploads cost: the only amount here without a limit."""
    days = 2 * upload_days(policy)
    each = 1024 * PRICES["STANDARD"] * days / DAYS_A_MONTH
    return (
        f"Incoming keeps uploads that are not promoted for up to {days} days, without a limit on "
        f"their number: 1,024 GB of them cost ${each:,.2f} in that time. Alarms go off at "
        f"{alarm.bytes / GB:,.2f} GB and at {alarm.versions:,} versions. Parts of unfinished "
        f"uploads are removed after {policy.accept_within.days} days; another alarm counts them "
        "once a day."
    )


def _dollars(rule: Rule, size: int) -> float:
    return SLOTS_A_DAY[rule.store_as.unit] * size / GB * PRICES[rule.storage_class]
