"""Settings of existing buckets that stop uploads or promotions, or that AWS will not change."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from admin.account import Account, none_if
from admin.desired.requirement import Kind
from admin.desired.sirens import DONE_TO_BACKUPS
from admin.setup.adoption.expiry import Amount, stored_versions
from admin.setup.adoption.obstacle import Obstacle
from admin.setup.plan import Plan, through_the_door
from admin.target import Target


def obstacles_of_bucket(target: Target, plan: Plan, bucket: str) -> Iterator[Obstacle]:
    """Obstacles in the settings of an existing bucket."""
    s3 = target.account.account_of(bucket).client("s3")
    planned = {
        change.requirement.kind for change in plan.changes if change.requirement.resource == bucket
    }
    yield from beside_our_settings(target, bucket)
    if Kind.OWNERSHIP in planned:
        yield from _grants(target, bucket, s3)
    yield from _notifications(target, bucket, s3)
    # If a vault loses its default lock later, setup restores it, whatever was stored meanwhile.
    if bucket == target.vault and Kind.OBJECT_LOCK in planned and plan.door is None:
        yield from _not_locked(target, s3)


def beside_our_settings(target: Target, bucket: str) -> Iterator[Obstacle]:
    """Obstacles in settings that `setup` never writes; `check` reports these, too."""
    s3 = target.account.account_of(bucket).client("s3")
    for obstacle in (*_requester_pays(target, bucket, s3), *_replication(target, bucket, s3)):
        yield replace(obstacle, fix=through_the_door(target, bucket, obstacle.fix))
    if s3.get_bucket_versioning(Bucket=bucket).get("MFADelete") == "Enabled":
        yield Obstacle(
            what=f"{bucket} has MFA delete enabled, so S3 rejects lifecycle rules and lets no "
            "program remove versions",
            fix="disable it; only the root user of the account can",
        )
    if bucket == target.incoming:
        yield from _locked_uploads(target, bucket, s3)


def name_of_unlocked(vault: str) -> str:
    """The name of the obstacle that stored objects have no lock."""
    return f"{vault}:not-locked"


def _requester_pays(target: Target, bucket: str, s3: Any) -> Iterator[Obstacle]:
    if s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester":
        yield Obstacle(
            what=f"{bucket} has Requester Pays enabled: S3 denies requests from other accounts "
            "that do not agree to pay, and neither backup programs nor the functions do",
            fix=target.fix_aws(
                "s3api",
                "put-bucket-request-payment",
                bucket=bucket,
                request_payment_configuration={"Payer": "BucketOwner"},
            ),
            name=f"{bucket}:requester-pays",
        )


def _replication(target: Target, bucket: str, s3: Any) -> Iterator[Obstacle]:
    answer = none_if(
        "ReplicationConfigurationNotFoundError",
        lambda: s3.get_bucket_replication(Bucket=bucket),
    )
    rules = answer["ReplicationConfiguration"]["Rules"] if answer else []
    to = {rule["Destination"]["Bucket"] for rule in rules if rule["Status"] == "Enabled"}
    if to:
        yield Obstacle(
            what=f"{bucket} is replicated to {', '.join(sorted(to))}, where nothing protects "
            "the copies",
            fix=target.fix_aws("s3api", "delete-bucket-replication", bucket=bucket),
            name=f"{bucket}:replication",
        )


def _grants(target: Target, bucket: str, s3: Any) -> Iterator[Obstacle]:
    """S3 disables access control lists only if a bucket's own list grants nothing to others."""
    acl = s3.get_bucket_acl(Bucket=bucket)
    others = {
        grantee.get("URI") or grantee.get("ID") or grantee.get("EmailAddress")
        for grantee in (grant["Grantee"] for grant in acl["Grants"])
        if grantee.get("ID") != acl["Owner"]["ID"]
    }
    if others:
        yield Obstacle(
            what=f"The access control list of {bucket} grants rights to "
            f"{', '.join(sorted(others))}, so S3 does not disable access control lists",
            fix=target.fix_aws("s3api", "put-bucket-acl", bucket=bucket, acl="private"),
        )


def _locked_uploads(target: Target, bucket: str, s3: Any) -> Iterator[Obstacle]:
    answer = _object_lock(s3, bucket)
    if answer and answer.get("Rule"):
        yield Obstacle(
            what=f"{bucket} locks every upload, so no promoted upload could be removed",
            fix=target.fix_aws(
                "s3api",
                "put-object-lock-configuration",
                bucket=bucket,
                object_lock_configuration={"ObjectLockEnabled": "Enabled"},
            ),
            name=f"{bucket}:locked-uploads",
        )


def _not_locked(target: Target, s3: Any) -> Iterator[Obstacle]:
    """A default lock does not protect objects that were stored before it."""
    lock = _object_lock(s3, target.vault)
    if lock and lock.get("Rule"):
        return
    amount = Amount()
    for version in stored_versions(target.account, target.vault):
        amount.add(version)
    if amount.versions:
        yield Obstacle(
            what=f"{amount} in {target.vault} were stored without a default lock, and a new one "
            "protects only later objects",
            fix="run backups setup with --lock-existing, which also locks them",
            name=name_of_unlocked(target.vault),
        )


def _object_lock(s3: Any, bucket: str) -> dict[str, Any] | None:
    answer = none_if(
        "ObjectLockConfigurationNotFoundError",
        lambda: s3.get_object_lock_configuration(Bucket=bucket),
    )
    return answer["ObjectLockConfiguration"] if answer else None


def _notifications(target: Target, bucket: str, s3: Any) -> Iterator[Obstacle]:
    """S3 accepts no second target for the same event, and no target that does not exist."""
    own, our_events = (
        (f":function:{target.stage.function_name('promote')}", ("s3:ObjectCreated:",))
        if bucket == target.incoming
        else (f":{target.stage.sirens}", tuple(event.rstrip("*") for event in DONE_TO_BACKUPS))
    )
    answer = s3.get_bucket_notification_configuration(Bucket=bucket)
    for kind in ("Topic", "Queue", "LambdaFunction"):
        for notified in answer.get(f"{kind}Configurations", []):
            arn: str = notified[f"{kind}Arn"]
            if arn.endswith(own):
                continue
            events = [each for each in notified["Events"] if each.startswith(our_events)]
            if not _exists(target.account.account_of(bucket), arn):
                yield Obstacle(
                    what=f"{bucket} notifies {arn}, which does not exist, and S3 then accepts no "
                    "other notification",
                    fix="remove this notification",
                )
            elif events:
                yield Obstacle(
                    what=f"{bucket} already sends {', '.join(events)} to {arn}, and S3 accepts no "
                    "second target for the same event",
                    fix="remove this notification; S3 can also notify EventBridge, which can "
                    "forward the events",
                )


def _exists(account: Account, arn: str) -> bool:
    """Whether the target of a notification exists; True if it is in another account."""
    service, owner, name = (arn.split(":")[index] for index in (2, 4, -1))
    if owner != account.id:
        return True
    client = account.client(service)
    found = {
        "sns": lambda: none_if("NotFound", lambda: client.get_topic_attributes(TopicArn=arn)),
        "sqs": lambda: none_if(
            "AWS.SimpleQueueService.NonExistentQueue", lambda: client.get_queue_url(QueueName=name)
        ),
        "lambda": lambda: none_if(
            "ResourceNotFoundException",
            lambda: client.get_function_configuration(FunctionName=arn),
        ),
    }
    return found[service]() is not None
