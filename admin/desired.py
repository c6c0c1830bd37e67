"""What an account should be like for a stage: data, made from the policy and nothing else.

`setup` brings an account there, one setting after the other; what is compared is `want`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from admin.bucket_policies import incoming_policy, vault_policy
from admin.permissions import server_policy
from admin.stage import FUNCTIONS, Stage
from chalicelib.policy import Policy
from chalicelib.record import NAMESPACE, SERVICE

# Uploads outlive the time in which they can be promoted by this much, for somebody to look at them.
DAYS_TO_LOOK = 2
# S3 counts a bucket's bytes once a day (S3 user guide, "Amazon S3 daily storage metrics").
A_DAY = 86_400
# More than this in incoming, in bytes, and somebody should look: it is emptied as it fills.
INCOMING_ALARM_BYTES = 1024**4


class Kind(StrEnum):
    """What can be set, and so read and written; `admin/live.py` knows how."""

    BUCKET = "bucket"
    PUBLIC_ACCESS = "public access"
    OWNERSHIP = "ownership"
    ENCRYPTION = "encryption"
    VERSIONING = "versioning"
    OBJECT_LOCK = "object lock"
    LIFECYCLE = "lifecycle"
    BUCKET_POLICY = "bucket policy"
    USER = "user"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    ASYNCHRONOUS = "asynchronous invocation"
    ALARM = "alarm"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One property of the account: what it is about, what it must be, and what would be lost.

    `says` is the property as a sentence, `why` what it is for. What `waits` cannot be set before
    `chalice deploy` has made the functions.
    """

    kind: Kind
    target: str
    want: Any
    says: str
    why: str
    waits: bool = False


@dataclass(frozen=True, kw_only=True)
class Lock:
    """For how many days nobody may remove what is stored: GOVERNANCE or COMPLIANCE."""

    mode: str
    days: int


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the administrator decides beyond the policy: the lock (None: none) and who is told."""

    lock: Lock | None = Lock(mode="GOVERNANCE", days=30)
    alert_email: str | None = None


def desired_settings(
    policy: Policy, stage: Stage, wishes: Wishes, *, account: str, region: str
) -> tuple[Setting, ...]:
    """Every setting of a stage in `account` (12 digits) and `region`, in the order to set them."""
    topic = f"arn:aws:sns:{region}:{account}:{stage.topic}"
    return (
        *_incoming(policy, stage, region),
        *_vault(policy, stage, wishes, account=account, region=region),
        *_servers(policy, stage),
        *_alerts(stage, wishes, topic),
        *_functions(stage, topic),
    )


def _incoming(policy: Policy, stage: Stage, region: str) -> Iterator[Setting]:
    bucket = stage.settings.incoming_bucket
    days = _days(policy)
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
            _rule("forgotten", Expiration={"Days": days + DAYS_TO_LOOK}),
            _rule("superseded", NoncurrentVersionExpiration={"NoncurrentDays": days}),
        ],
        says=f"{bucket} drops unfinished uploads after {days} days and others after "
        f"{days + DAYS_TO_LOOK}",
        why="What was never promoted would be kept, and paid for, for ever.",
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
        yield Setting(
            kind=Kind.OBJECT_LOCK,
            target=bucket,
            want={"mode": wishes.lock.mode, "days": wishes.lock.days},
            says=f"{bucket} locks what is stored for {wishes.lock.days} days "
            f"({wishes.lock.mode.lower()})",
            why="A lock binds administrators too, and S3's own lifecycle.",
        )
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


def vault_lifecycle(policy: Policy) -> list[dict[str, Any]]:
    """The vault's lifecycle rules, as S3 takes them. Without `keep_days` nothing ever expires."""
    days = _days(policy)
    rules = [_rule("unfinished", AbortIncompleteMultipartUpload={"DaysAfterInitiation": days})]
    if policy.archive:
        transition = {"Days": policy.archive.after_days, "StorageClass": policy.archive.to}
        rules.append(_rule("archive", Transitions=[transition]))
    if policy.keep_days:
        rules.append(_rule("expire", Expiration={"Days": policy.keep_days}))
        # Expiring a version of a versioned bucket lays a delete marker on it; the day after, the
        # version goes, and then the marker that covers nothing.
        rules.append(_rule("expired", NoncurrentVersionExpiration={"NoncurrentDays": 1}))
        rules.append(_rule("markers", Expiration={"ExpiredObjectDeleteMarker": True}))
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


def _alerts(stage: Stage, wishes: Wishes, topic: str) -> Iterator[Setting]:
    yield Setting(
        kind=Kind.TOPIC,
        target=topic,
        want={},
        says=f"alerts go to the topic {stage.topic}",
        why="Whatever is wrong must reach a person.",
    )
    if wishes.alert_email:
        yield Setting(
            kind=Kind.SUBSCRIPTION,
            target=topic,
            want=wishes.alert_email,
            says=f"{wishes.alert_email} gets the alerts",
            why="A topic that nobody reads tells nobody.",
        )
    for outcome, why in (
        ("Contested", "An upload for a slot that is taken: a mistake, or somebody else's."),
        ("Rejected", "An upload that can never be promoted is a backup that is missing."),
    ):
        yield _alarm(
            stage,
            topic,
            name=outcome.lower(),
            says=f"an alarm rings when uploads are {outcome.lower()}",
            why=why,
            Namespace=NAMESPACE,
            MetricName=outcome,
            Dimensions=[{"Name": "service", "Value": SERVICE}],
        )
    for function in FUNCTIONS:
        yield _alarm(
            stage,
            topic,
            name=f"{function}-errors",
            says=f"an alarm rings when {function} fails",
            why="Lambda tries three times and then forgets.",
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[{"Name": "FunctionName", "Value": stage.function_name(function)}],
        )
    yield _alarm(
        stage,
        topic,
        name="incoming-size",
        says="an alarm rings when incoming holds more than 1 TiB",
        why="What fills incoming is not promoted, or should not be there.",
        Namespace="AWS/S3",
        MetricName="BucketSizeBytes",
        Dimensions=[
            {"Name": "BucketName", "Value": stage.settings.incoming_bucket},
            {"Name": "StorageType", "Value": "StandardStorage"},
        ],
        Statistic="Maximum",
        Period=A_DAY,
        Threshold=float(INCOMING_ALARM_BYTES),
    )


def _functions(stage: Stage, topic: str) -> Iterator[Setting]:
    for function in FUNCTIONS:
        yield Setting(
            kind=Kind.ASYNCHRONOUS,
            target=stage.function_name(function),
            want={"retries": 2, "on_failure": topic},
            says=f"{function} is tried three times, and then somebody is told",
            why="An event that is given up in silence is a backup that stays behind.",
            waits=True,
        )


def _alarm(stage: Stage, topic: str, *, name: str, says: str, why: str, **metric: Any) -> Setting:
    return Setting(
        kind=Kind.ALARM,
        target=f"{stage.topic}-{name}",
        want={
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [topic],
            **metric,
        },
        says=says,
        why=why,
    )


def _rule(name: str, **action: Any) -> dict[str, Any]:
    return {
        "ID": f"immutable-backups-{name}",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        **action,
    }


def _days(policy: Policy) -> int:
    """For how long uploads are accepted, in S3's unit: whole days, and rather one more."""
    return math.ceil(policy.accept_within.total_seconds() / A_DAY)


def _keeping(policy: Policy) -> str:
    moves = (
        f"moves backups to {policy.archive.to} after {policy.archive.after_days}, "
        if policy.archive
        else ""
    )
    ends = f"expires them after {policy.keep_days} days" if policy.keep_days else "expires none"
    return moves + ends
