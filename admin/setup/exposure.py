"""The most that an intruder on a server can add: objects, bytes, dollars, concurrent executions."""

from botocore.exceptions import ClientError

from admin.account import DENIAL_CODES
from admin.choices import IncomingAlarm
from admin.config.reading import CONFIG
from admin.periods import PERIODS
from admin.setup.bucket_resources import each_object
from admin.stage import as_chalice_reads
from admin.storage_classes import STORAGE_CLASSES
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import Rule, names_of
from chalicelib.s3_errors import error_code

GB = 1024**3
DAYS_A_MONTH = 30
# Plenty of concurrent promotions for servers that upload once an hour.
RESERVED = 10
# Lambda refuses a reservation that leaves less than this to all other functions (API reference,
# PutFunctionConcurrency).
LEAST_UNRESERVED = 100


def largest_stored(target: Target) -> dict[str, int]:
    """The largest backup of each rule in the vault, in bytes, by the rule's upload."""
    largest: dict[str, int] = {}
    for item in each_object(target.account, target.vault):
        if rule := rule_of(target.policy, item["Key"]):
            largest[rule.upload] = max(largest.get(rule.upload, 0), item["Size"])
    return largest


def rule_of(policy: Policy, name: str) -> Rule | None:
    """The rule that stores backups under names such as `name`; None if no rule does."""
    for rule, server in policy.server_keys.values():
        if names_of(rule, server).fullmatch(name):
            return rule
    return None


def worst_case(policy: Policy, alarm: IncomingAlarm, stored: dict[str, int]) -> list[str]:
    """What one server can add at most, as sentences.

    `stored` has the size in bytes of the largest backup in the vault, by the rule's upload. It is
    used for rules without max_bytes.
    """
    objects = sum(_slots_a_day(rule) for rule in policy.rules)
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
    each_day = sum(_slots_a_day(rule) * sizes[rule.upload] for rule in policy.rules)
    dollars = sum(_dollars(rule, sizes[rule.upload]) for rule in policy.rules)
    by = (
        "max_bytes" if all(rule.max_bytes for rule in policy.rules) else "the largest stored backup"
    )
    lines[0] += f", {each_day / GB:,.2f} GB (by {by})."
    lines.append(f"Storing one day of them costs ${dollars:,.2f} a month until they expire.")
    return [*lines, _flood(policy, alarm)]


def _flood(policy: Policy, alarm: IncomingAlarm) -> str:
    """What unpromoted uploads cost: the only amount here without a limit."""
    days = 2 * policy.upload_days
    each = 1024 * STORAGE_CLASSES["STANDARD"].price * days / DAYS_A_MONTH
    return (
        f"Incoming keeps uploads that are not promoted for up to {days} days, without a limit on "
        f"their number: 1,024 GB of them cost ${each:,.2f} in that time. Alarms go off at "
        f"{alarm.bytes / GB:,.2f} GB and at {alarm.versions:,} versions. Parts of unfinished "
        f"uploads are removed after {policy.accept_within.days} days; another alarm counts them "
        "once a day."
    )


def _dollars(rule: Rule, size: int) -> float:
    return _slots_a_day(rule) * size / GB * STORAGE_CLASSES[rule.storage_class].price


def _slots_a_day(rule: Rule) -> int:
    return PERIODS[rule.store_as.unit].slots_a_day


def suggestion(target: Target) -> str | None:
    """A line for config.json that reserves concurrency, so that a flood cannot use all of it.

    None if it is there already, or if the account's concurrency is too low. It is only a suggestion
    because Chalice removes a reservation that is not in its configuration.
    """
    if as_chalice_reads(target.stage, "promote").reserved_concurrency is not None:
        return None
    try:
        limit = target.account.client("lambda").get_account_settings()["AccountLimit"]
    except ClientError as error:
        if error_code(error) not in DENIAL_CODES:
            raise
        return None
    if limit["UnreservedConcurrentExecutions"] - RESERVED < LEAST_UNRESERVED:
        return None
    return (
        f'Suggested: "reserved_concurrency": {RESERVED} under lambda_functions.promote of stage '
        f"{target.stage.name} in {CONFIG}. A flood of events then uses {RESERVED} of this "
        f"account's {limit['ConcurrentExecutions']:,} concurrent executions, not all."
    )
