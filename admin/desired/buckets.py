"""What an account should be like for a stage: data, made from the policy and nothing else.

`setup` brings an account there, one setting after the other; what is compared is `want`.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from admin.choices import Lock, Wishes
from admin.desired.alerts import alerts, functions
from admin.desired.bucket_policies import incoming_policy, vault_policy
from admin.desired.permissions import server_policy
from admin.desired.requirement import Kind, Setting
from admin.stage import Stage
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import DRILL

# Uploads outlive the time in which they can be promoted by this much, for somebody to look at them.
DAYS_TO_LOOK = 2
# How the names of our lifecycle rules begin: all others are of somebody else.
OUR_RULES = "immutable-backups-"
EVERYTHING = {"Prefix": ""}
REHEARSALS = {"Prefix": f"{DRILL}/"}


def desired_settings(
    policy: Policy, stage: Stage, wishes: Wishes, *, account: str, region: str
) -> tuple[Setting, ...]:
    """Every setting of a stage in `account` (12 digits) and `region`, in the order to set them."""
    topic = f"arn:aws:sns:{region}:{account}:{stage.topic}"
    return (
        *_incoming(policy, stage, region),
        *_vault(policy, stage, wishes, account=account, region=region),
        *_servers(policy, stage),
        *alerts(stage, wishes, topic),
        *functions(stage),
    )


def _incoming(policy: Policy, stage: Stage, region: str) -> Iterator[Setting]:
    bucket = stage.settings.incoming_bucket
    days, looked_at = _days(policy), upload_days(policy)
    yield Setting(
        kind=Kind.BUCKET,
        target=bucket,
        want={"region": region},
        says=f"{bucket} exists",
        why="Servers upload to it.",
    )
    yield from _closed_to_the_world(bucket)
    yield Setting(
        kind=Kind.LIFECYCLE,
        target=bucket,
        want=[
            _rule("unfinished", AbortIncompleteMultipartUpload={"DaysAfterInitiation": days}),
            _rule("forgotten", Expiration={"Days": looked_at}),
            _rule("superseded", NoncurrentVersionExpiration={"NoncurrentDays": looked_at}),
            # A rule of its own: S3 takes it together with no number of days.
            _rule("markers", Expiration={"ExpiredObjectDeleteMarker": True}),
        ],
        says=f"{bucket} drops unfinished uploads after {days} days, others {looked_at} days after "
        f"their upload, and those that a later one has superseded {looked_at} days after that",
        why="What was never promoted would be kept, and paid for, for ever. So it is for "
        f"{2 * looked_at} days at most, and the day or two that S3 takes for it.",
    )
    # Behind the lifecycle: from the first one on, versions have an end.
    yield Setting(
        kind=Kind.VERSIONING,
        target=bucket,
        want="Enabled",
        says=f"{bucket} keeps every version of an upload",
        why="An upload that waits is not lost to the next one. Where a bucket never had versions, "
        "S3 may need 15 minutes to begin: let uploads wait that long. A flood of uploads is kept, "
        f"too, each for up to {2 * looked_at} days; what that costs is said below.",
    )
    yield Setting(
        kind=Kind.BUCKET_POLICY,
        target=bucket,
        want=incoming_policy(stage)["Statement"],
        says=f"{bucket} takes uploads over TLS only, and none that could not be promoted",
        why="An upload in an archive class or under a customer's key can never be copied.",
    )


def _vault(
    policy: Policy, stage: Stage, wishes: Wishes, *, account: str, region: str
) -> Iterator[Setting]:
    bucket = stage.settings.vault_bucket
    yield Setting(
        kind=Kind.BUCKET,
        target=bucket,
        want={"region": region, "object_lock": True},
        says=f"{bucket} exists, made for object lock",
        why="It keeps the backups.",
    )
    yield from _closed_to_the_world(bucket)
    yield Setting(
        kind=Kind.VERSIONING,
        target=bucket,
        want="Enabled",
        says=f"{bucket} keeps every version",
        why="Without versions a delete removes; with them it only hides.",
    )
    if wishes.lock:
        yield lock_setting(bucket, wishes.lock)
    yield Setting(
        kind=Kind.LIFECYCLE,
        target=bucket,
        want=vault_lifecycle(policy),
        says=f"{bucket} drops unfinished copies after {_days(policy)} days, {_keeping(policy)}",
        why="Expiry is S3's alone: no person and no program needs the right to delete.",
    )
    yield Setting(
        kind=Kind.BUCKET_POLICY,
        target=bucket,
        want=vault_policy(stage, account=account)["Statement"],
        says=f"{bucket} lets nobody change what is stored, and only the promoter add what is new",
        why="Identity policies are written by people in a hurry; this one binds them all.",
    )


def lock_setting(bucket: str, lock: Lock) -> Setting:
    """The default lock of whatever is stored in the bucket."""
    return Setting(
        kind=Kind.OBJECT_LOCK,
        target=bucket,
        want={"mode": lock.mode, "days": lock.days},
        says=f"{bucket} locks what is stored for {lock.days} days ({lock.mode.lower()})",
        why="A lock binds administrators too, and S3's own lifecycle.",
    )


def vault_lifecycle(policy: Policy) -> list[dict[str, Any]]:
    """The vault's lifecycle rules, as S3 takes them. Without `keep_days` no backup ever expires.

    Rehearsals do, when no upload can claim their slots any more, and as soon as their lock ends.
    """
    days = _days(policy)
    rules = [
        _rule("unfinished", AbortIncompleteMultipartUpload={"DaysAfterInitiation": days}),
        *_expiring("drill", days=upload_days(policy), which=REHEARSALS),
    ]
    if policy.archive:
        transition = {"Days": policy.archive.after_days, "StorageClass": policy.archive.to}
        rules.append(_rule("archive", Transitions=[transition]))
    if policy.keep_days:
        rules += _expiring("expire", days=policy.keep_days, which=EVERYTHING)
    return rules


def _closed_to_the_world(bucket: str) -> Iterator[Setting]:
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    yield Setting(
        kind=Kind.PUBLIC_ACCESS,
        target=bucket,
        want=dict.fromkeys(blocks, True),
        says=f"{bucket} cannot be made public",
        why="One careless policy would show every backup to everybody.",
    )
    yield Setting(
        kind=Kind.OWNERSHIP,
        target=bucket,
        want="BucketOwnerEnforced",
        says=f"{bucket} knows no access control lists",
        why="Who may do what is said in policies, and nowhere else.",
    )
    yield Setting(
        kind=Kind.ENCRYPTION,
        target=bucket,
        want="AES256",
        says=f"{bucket} is encrypted with S3's own keys",
        why="A key that can be deleted would take every backup with it.",
    )


def _servers(policy: Policy, stage: Stage) -> Iterator[Setting]:
    for server in policy.servers or (None,):
        yield Setting(
            kind=Kind.USER,
            target=stage.server_user(server),
            want=server_policy(policy, incoming=stage.settings.incoming_bucket, server=server),
            says=f"{server or 'the server'} may upload its own keys, and nothing else",
            why="What a server cannot do, whoever breaks into it cannot do either.",
        )


def _expiring(name: str, *, days: int, which: dict[str, str]) -> list[dict[str, Any]]:
    """Expiring a version of a versioned bucket lays a delete marker on it; the day after, the
    version goes, and then the marker that covers nothing.
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


def upload_days(policy: Policy) -> int:
    """For how many days an upload is kept that is not promoted: once as the newest of its key, and
    once more if another one supersedes it in the end.
    """
    return _days(policy) + DAYS_TO_LOOK


def _days(policy: Policy) -> int:
    """For how long uploads are accepted, in S3's unit: whole days, and rather one more."""
    return math.ceil(policy.accept_within / timedelta(days=1))


def _keeping(policy: Policy) -> str:
    moves = (
        f"moves backups to {policy.archive.to} after {policy.archive.after_days}, "
        if policy.archive
        else ""
    )
    ends = f"expires them after {policy.keep_days} days" if policy.keep_days else "expires none"
    return f"{moves}{ends}; rehearsals go after {upload_days(policy)} days"
