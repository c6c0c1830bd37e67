"""What the account of a stage should contain: data, derived from the policy alone.

`setup` compares each requirement's `desired` value with the account, and sets what differs.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from admin.choices import SetupOptions
from admin.desired.alerts import alerts
from admin.desired.bucket_policies import incoming_policy, vault_policy
from admin.desired.functions import functions
from admin.desired.permissions import server_policy
from admin.desired.private_bucket import closed_to_the_world
from admin.desired.readers import reader_policies
from admin.desired.requirement import Kind, Requirement
from admin.desired.sirens import siren_rule, sirens_topic, vault_notification
from admin.desired.trail import trail
from admin.stage import Stage
from chalicelib.lock import Lock
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import DRILL

# The prefix of our lifecycle rules; all other rules belong to others.
OUR_RULES = "immutable-backups-"
EVERYTHING = {"Prefix": ""}
REHEARSALS = {"Prefix": f"{DRILL}/"}


def desired_settings(
    policy: Policy, stage: Stage, options: SetupOptions, *, account: str, region: str
) -> tuple[Requirement, ...]:
    """Every setting of a stage in `account` (12 digits) and `region`, in the order to set them."""
    topic = stage.topic_arn(account=account, region=region)
    return (
        *_incoming(policy, stage, region),
        *trail(options, account=account, region=region),
        sirens_topic(stage, account=account, region=region),
        *_vault(policy, stage, options, account=account, region=region),
        *_servers(policy, stage),
        *reader_policies(stage, account=account),
        siren_rule(stage, account=account, region=region),
        *alerts(stage, options, topic),
        *functions(stage),
    )


def _incoming(policy: Policy, stage: Stage, region: str) -> Iterator[Requirement]:
    bucket = stage.settings.incoming_bucket
    days, looked_at = _days(policy), policy.upload_days
    yield Requirement(
        kind=Kind.BUCKET,
        resource=bucket,
        desired={"region": region},
        summary=f"bucket {bucket}",
        why="Servers upload to it.",
    )
    yield from closed_to_the_world(bucket)
    yield Requirement(
        kind=Kind.LIFECYCLE,
        resource=bucket,
        desired=[
            _rule("unfinished", AbortIncompleteMultipartUpload={"DaysAfterInitiation": days}),
            _rule("forgotten", Expiration={"Days": looked_at}),
            _rule("superseded", NoncurrentVersionExpiration={"NoncurrentDays": looked_at}),
            # A separate rule, because S3 does not accept this action together with a number of
            # days.
            _rule("markers", Expiration={"ExpiredObjectDeleteMarker": True}),
        ],
        summary=f"{bucket}: expire unfinished uploads after {days} days, other uploads {looked_at} "
        "days "
        f"after they were made, and superseded ones {looked_at} days after the next upload",
        why="Otherwise uploads that are never promoted would be kept and billed forever. This way "
        f"it is {2 * looked_at} days at most, plus the day or two that S3 takes.",
    )
    # After the lifecycle, so that every version expires, including the first.
    yield Requirement(
        kind=Kind.VERSIONING,
        resource=bucket,
        desired="Enabled",
        summary=f"{bucket}: keep every version of an upload",
        why="A waiting upload is not overwritten by the next one. If the bucket never had "
        "versions, "
        "S3 may need 15 minutes to start: let servers upload after that. A flood of uploads is "
        f"kept as well, each upload for up to {2 * looked_at} days; the cost is shown below.",
    )
    yield Requirement(
        kind=Kind.BUCKET_POLICY,
        resource=bucket,
        desired=incoming_policy(stage)["Statement"],
        summary=f"{bucket}: accept uploads over TLS only, and none that could never be promoted",
        why="An upload in an archive class or encrypted with a customer's key can never be copied.",
    )


def _vault(
    policy: Policy, stage: Stage, options: SetupOptions, *, account: str, region: str
) -> Iterator[Requirement]:
    bucket = stage.settings.vault_bucket
    yield Requirement(
        kind=Kind.BUCKET,
        resource=bucket,
        desired={"region": region, "object_lock": True},
        summary=f"bucket {bucket} with Object Lock",
        why="It keeps the backups.",
    )
    yield from closed_to_the_world(bucket)
    yield Requirement(
        kind=Kind.VERSIONING,
        resource=bucket,
        desired="Enabled",
        summary=f"{bucket}: keep every version",
        why="With versions, a delete only hides an object; without, it removes it.",
    )
    if options.lock:
        yield lock_requirement(bucket, options.lock)
    yield Requirement(
        kind=Kind.LIFECYCLE,
        resource=bucket,
        desired=vault_lifecycle(policy),
        summary=f"{bucket}: abort unfinished copies after {_days(policy)} days, {_keeping(policy)}",
        why="Only S3 expires backups: no person and no program needs the right to delete.",
    )
    yield vault_notification(stage, account=account, region=region)
    yield Requirement(
        kind=Kind.BUCKET_POLICY,
        resource=bucket,
        desired=vault_policy(stage, account=account)["Statement"],
        summary=f"{bucket}: deny every change to its settings and to stored objects, and new "
        "objects to all but the promoter",
        why="Identity policies are written by people in a hurry; this bucket policy overrides "
        "them.",
    )


def lock_requirement(bucket: str, lock: Lock) -> Requirement:
    """The bucket's default lock."""
    return Requirement(
        kind=Kind.OBJECT_LOCK,
        resource=bucket,
        desired={"mode": lock.mode, "days": lock.days},
        summary=f"{bucket}: lock stored objects for {lock.days} days ({lock.mode.lower()})",
        why="A lock also binds administrators and S3's own lifecycle.",
    )


def vault_lifecycle(policy: Policy) -> list[dict[str, Any]]:
    """The vault's lifecycle rules, in S3's format. Without `keep_days` no backup ever expires.

    A drill's objects expire once no upload can still be promoted to their slots, and their lock has
    ended.
    """
    days = _days(policy)
    rules = [
        _rule("unfinished", AbortIncompleteMultipartUpload={"DaysAfterInitiation": days}),
        *_expiring("drill", days=policy.upload_days, which=REHEARSALS),
    ]
    if policy.archive:
        transition = {"Days": policy.archive.after_days, "StorageClass": policy.archive.to}
        rules.append(_rule("archive", Transitions=[transition]))
    if policy.keep_days:
        rules += _expiring("expire", days=policy.keep_days, which=EVERYTHING)
    return rules


def _servers(policy: Policy, stage: Stage) -> Iterator[Requirement]:
    for server in policy.servers or (None,):
        yield Requirement(
            kind=Kind.USER,
            resource=stage.server_user(server),
            desired=server_policy(policy, incoming=stage.settings.incoming_bucket, server=server),
            summary=f"user {stage.server_user(server)}: upload its own keys and do nothing else",
            why="An intruder on a server can do only what the server can do.",
        )


def _expiring(name: str, *, days: int, which: dict[str, str]) -> list[dict[str, Any]]:
    """Lifecycle rules that expire objects of a versioned bucket.

    S3 first adds a delete marker, removes the version a day later, and then the marker.
    """
    noncurrent = {"NoncurrentDays": 1}
    return [
        _rule(name, which, Expiration={"Days": days}),
        _rule(f"{name}-versions", which, NoncurrentVersionExpiration=noncurrent),
        _rule(f"{name}-markers", which, Expiration={"ExpiredObjectDeleteMarker": True}),
    ]


def _rule(name: str, which: dict[str, str] = EVERYTHING, **action: Any) -> dict[str, Any]:
    return {
        "ID": f"{OUR_RULES}{name}",
        "Status": "Enabled",
        "Filter": which,
        **action,
    }


def _days(policy: Policy) -> int:
    """How long uploads are accepted, in whole days, rounded up."""
    return math.ceil(policy.accept_within / timedelta(days=1))


def _keeping(policy: Policy) -> str:
    moves = (
        f"move backups to {policy.archive.to} after {policy.archive.after_days} days, "
        if policy.archive
        else ""
    )
    ends = (
        f"expire backups after {policy.keep_days} days" if policy.keep_days else "expire no backups"
    )
    return f"{moves}{ends}, and expire drill objects after {policy.upload_days} days"
