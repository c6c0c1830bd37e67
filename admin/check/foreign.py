"""Checks what others added to the buckets, unless `setup` was told to accept it."""

import json
from collections.abc import Iterator
from typing import Any

from admin.check.report import Finding
from admin.desired.requirement import Requirement
from admin.setup.adoption.buckets import beside_our_settings
from admin.setup.adoption.denials import could_deny
from admin.setup.adoption.lifecycle import name_of_rule
from admin.setup.adoption.requests import promotions, uploads
from admin.setup.adoption.statements import name_of
from admin.setup.bucket_resources import Entry
from admin.setup.plan import through_the_door
from admin.target import Target


def check_other_rules(
    target: Target, requirement: Requirement, others: list[Entry]
) -> Iterator[Finding]:
    """Find lifecycle rules that others added and that can remove a backup early."""
    bucket, accepted = requirement.resource, target.stage.accepted
    harmless = [
        rule
        for rule in others
        if not _moves_or_expires(rule) or f"{bucket}:{name_of_rule(rule)}" in accepted
    ]
    for rule in (rule for rule in others if rule not in harmless):
        yield Finding(
            what=f"The lifecycle rule {name_of_rule(rule)} of {requirement.resource} "
            "moves or expires objects and was not created by backups setup",
            why="Such a rule can expire a backup early, or move it to a slow storage class.",
            remedy=through_the_door(
                target,
                requirement.resource,
                target.fix_aws(
                    "s3api",
                    "put-bucket-lifecycle-configuration",
                    bucket=requirement.resource,
                    lifecycle_configuration={"Rules": [*harmless, *requirement.desired]},
                ),
            ),
        )


def _moves_or_expires(rule: dict[str, Any]) -> bool:
    expiration = rule.get("Expiration", {})
    does = {"Days", "Date"} & set(expiration) or {
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransitions",
        "Transitions",
    } & set(rule)
    return rule.get("Status") == "Enabled" and bool(does)


def check_other_statements(
    target: Target, requirement: Requirement, others: list[Entry]
) -> Iterator[Finding]:
    """Find statements that others added to a bucket policy, except for a harmless Deny."""
    bucket = requirement.resource
    # A Deny added by others can lock out people who have to restore backups.
    is_vault = bucket == target.vault
    harmless = [
        entry
        for entry in others
        if entry["Effect"] == "Deny" and not is_vault and not _stops_backups(target, entry)
    ]
    harmless += [entry for entry in others if f"{bucket}:{name_of(entry)}" in target.stage.accepted]
    policy = {"Version": "2012-10-17", "Statement": [*requirement.desired, *harmless]}
    for statement in others:
        if statement not in harmless:
            yield Finding(
                what=f"The bucket policy of {bucket} has a statement that backups setup did not "
                f"write: {json.dumps(statement)}",
                why="Rights belong in identity policies; in a bucket policy they are easily missed."
                if statement["Effect"] == "Allow"
                else "It can stop backups from being stored or restored.",
                remedy=target.fix_aws("s3api", "put-bucket-policy", bucket=bucket, policy=policy),
            )


def _stops_backups(target: Target, statement: Entry) -> bool:
    """Whether a Deny could apply to an upload of a server, or its promotion, with its real key."""
    requests = (*uploads(target), *promotions(target))
    return any(could_deny(statement, request) for request in requests)


def check_beside_our_settings(target: Target, bucket: str) -> Iterator[Finding]:
    """Find what `setup` would refuse in settings that it never writes."""
    for obstacle in beside_our_settings(target, bucket):
        if obstacle.name not in target.stage.accepted:
            yield Finding(
                what=obstacle.what,
                why="Somebody has changed the bucket: backups setup refuses one like this.",
                remedy=obstacle.fix,
            )
