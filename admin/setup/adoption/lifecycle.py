"""Lifecycle rules that others added and that move or expire uploads or backups too early."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from admin.desired.requirement import Requirement
from admin.setup.adoption.expiry import LifecycleRule, StoredVersion, applies, prefix_of
from admin.setup.adoption.obstacle import Obstacle
from admin.target import Target
from chalicelib.policy.policy import Policy

# S3 user guide, "Setting an S3 Lifecycle configuration on a bucket".
MOST_RULES = 1_000


def foreign_rules(
    target: Target, lifecycle: Requirement, others: list[LifecycleRule]
) -> Iterator[Obstacle]:
    """Obstacles in `others`, the lifecycle rules of a bucket that are not ours."""
    bucket = lifecycle.resource
    if (count := len(others) + len(lifecycle.desired)) > MOST_RULES:
        yield Obstacle(
            what=f"{bucket} would have {count:,} lifecycle rules, but S3 accepts {MOST_RULES:,}",
            fix="remove some of those that others have added",
        )
    policy = target.policy
    is_vault = bucket == target.vault
    kept = (policy.keep_days or math.inf) if is_vault else policy.upload_days
    for rule in others:
        which = _among_backups(rule) if is_vault else _among_uploads(rule, policy)
        if which and (actions := [*_too_early(rule, kept)]):
            name = name_of_rule(rule)
            yield Obstacle(
                what=f"The lifecycle rule {name} of {bucket} {' and '.join(actions)}: it applies "
                f"to {which}",
                fix="remove it" if is_vault else "remove it, or limit it to another prefix",
                name=f"{bucket}:{name}",
            )


def name_of_rule(rule: LifecycleRule) -> str:
    """The rule's ID, which S3 gives to every rule, but some stores do not."""
    return str(rule.get("ID", "without a name"))


def _among_uploads(rule: LifecycleRule, policy: Policy) -> str | None:
    """The first upload to which the rule applies; None if it applies to none."""
    return next((key for key in policy.server_keys if _applies_to(rule, key)), None)


def _among_backups(rule: LifecycleRule) -> str | None:
    """Describe the objects of the vault to which the rule applies; None if it applies to none.

    Everything in the vault is kept: names of other years, and older archives, are unknown here.
    """
    prefix = prefix_of(rule)
    if not _applies_to(rule, prefix):
        return None
    return f"objects whose names begin with {prefix}" if prefix else "every object"


def _applies_to(rule: LifecycleRule, name: str) -> bool:
    return applies(rule, StoredVersion(key=name, made=datetime.now(UTC)))


def _too_early(rule: LifecycleRule, kept: float) -> Iterator[str]:
    """Describe how the rule moves or expires objects earlier than after `kept` days."""
    expiration: dict[str, Any] = rule.get("Expiration", {})
    if expiration.get("Days", math.inf) < kept:
        yield f"expires objects after {_days(expiration['Days'])}"
    if "Date" in expiration:
        yield f"expires everything on {expiration['Date']:%Y-%m-%d}"
    noncurrent = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", math.inf)
    if noncurrent < kept:
        yield f"expires noncurrent versions after {_days(noncurrent)}"
    for transition in (
        *rule.get("Transitions", []),
        *rule.get("NoncurrentVersionTransitions", []),
    ):
        days = transition.get("Days", transition.get("NoncurrentDays", 0))
        if days < kept:
            yield f"moves objects to {transition['StorageClass']} after {_days(days)}"


def _days(days: int) -> str:
    return f"{days} day{'s' * (days != 1)}"
