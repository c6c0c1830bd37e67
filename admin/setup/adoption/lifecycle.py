"""Lifecycle rules that others added, and that move or expire uploads or backups too early."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from admin.desired.buckets import upload_days
from admin.desired.requirement import Requirement
from admin.setup.adoption.expiry import LifecycleRule, StoredVersion, applies
from admin.setup.adoption.obstacle import Obstacle
from admin.target import Target

# S3 user guide, "Setting an S3 Lifecycle configuration on a bucket".
MOST_RULES = 1_000


def foreign_rules(
    target: Target, lifecycle: Requirement, others: list[LifecycleRule]
) -> Iterator[Obstacle]:
    """Obstacles in `others`, the lifecycle rules of a bucket beside ours."""
    bucket = lifecycle.resource
    if (count := len(others) + len(lifecycle.desired)) > MOST_RULES:
        yield Obstacle(
            what=f"{bucket} would have {count:,} lifecycle rules, but S3 accepts {MOST_RULES:,}",
            fix="remove some of those that others have added",
        )
    names, days = _kept(target, bucket)
    for rule in others:
        name = next((name for name in names if applies(rule, _any_version(name))), None)
        if name and (actions := [*_too_early(rule, days)]):
            yield Obstacle(
                what=f"The lifecycle rule {rule['ID']} of {bucket} {' and '.join(actions)}: it "
                f"applies to {name}",
                fix="remove it, or limit it to a prefix that is not in use here",
                name=f"{bucket}:{rule['ID']}",
            )


def _kept(target: Target, bucket: str) -> tuple[Iterable[str], float]:
    """Real names in the bucket, and how many days their objects are kept."""
    policy = target.policy
    if bucket == target.incoming:
        return policy.server_keys, upload_days(policy)
    now = datetime.now(UTC)
    names = [policy.slot_of(key, now).name for key in policy.server_keys]
    return names, policy.keep_days or math.inf


def _any_version(name: str) -> StoredVersion:
    return StoredVersion(key=name, made=datetime.now(UTC))


def _too_early(rule: LifecycleRule, kept: float) -> Iterator[str]:
    """What the rule does to objects that should be kept for so many days, in words."""
    expiration: dict[str, Any] = rule.get("Expiration", {})
    if expiration.get("Days", math.inf) < kept:
        yield f"expires objects after {_days(expiration['Days'])}"
    if "Date" in expiration:
        yield f"expires everything on {expiration['Date']:%Y-%m-%d}"
    noncurrent = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", math.inf)
    if noncurrent < kept:
        yield f"expires versions {_days(noncurrent)} after the next one"
    for transition in (
        *rule.get("Transitions", []),
        *rule.get("NoncurrentVersionTransitions", []),
    ):
        days = transition.get("Days", transition.get("NoncurrentDays", 0))
        if days < kept:
            yield f"moves objects to {transition['StorageClass']} after {_days(days)}"


def _days(days: int) -> str:
    return f"{days} day{'s' * (days != 1)}"
