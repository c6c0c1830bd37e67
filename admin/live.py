"""How each kind of setting is read from an account, and written to it.

Reading answers what `Setting.want` can be compared with; None is "not there", and nothing else:
whatever AWS refuses to tell raises.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from admin.account import Account, AccountError
from admin.desired import Kind, Setting

POLICY_NAME = "uploads"
OUR_RULES = "immutable-backups-"

Read = Callable[[Account, Setting], Any]
Write = Callable[[Account, Setting], None]


@dataclass(frozen=True)
class Handler:
    """The two halves of a kind."""

    read: Read
    write: Write


def read(account: Account, setting: Setting) -> Any:
    """What the account has of this setting, in the shape of its `want`; None if it has nothing."""
    return HANDLERS[setting.kind].read(account, setting)


def write(account: Account, setting: Setting) -> None:
    """Make the account have it. Repeating it changes nothing."""
    HANDLERS[setting.kind].write(account, setting)


def foreign(account: Account, setting: Setting) -> list[str]:
    """What stands beside the setting that is not ours, by name: it is left alone."""
    if setting.kind is Kind.LIFECYCLE:
        return [str(rule.get("ID")) for rule in _rules(account, setting) if not _is_ours(rule)]
    if setting.kind is Kind.BUCKET_POLICY:
        ours = {statement["Sid"] for statement in setting.want}
        statements = _statements(account, setting)
        return [
            str(one.get("Sid", "a statement")) for one in statements if one.get("Sid") not in ours
        ]
    return []


def function_exists(account: Account, name: str) -> bool:
    """Whether `chalice deploy` has made this function."""
    found = absent_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_configuration(FunctionName=name),
    )
    return found is not None


def each_object(account: Account, bucket: str) -> Iterator[dict[str, Any]]:
    """Every current object of a bucket, as S3 lists it."""
    for page in account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from page.get("Contents", [])


def absent_if(code: str, ask: Callable[[], Any]) -> Any:
    """What `ask` answers; None if AWS answers with exactly this code."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None


def _read_bucket(account: Account, setting: Setting) -> Any:
    try:
        answer = account.client("s3").head_bucket(Bucket=setting.target)
    except ClientError as error:
        match error.response["Error"]["Code"]:
            case "404":
                return None
            case "403":
                raise AccountError(
                    f"The name {setting.target} belongs to somebody else, or you may not look at "
                    "it; choose another name in .chalice/config.json"
                ) from None
            case "301":
                raise AccountError(
                    f"{setting.target} is in another region than {account.region}; name the "
                    "bucket's region with --region"
                ) from None
        raise
    region = answer.get("BucketRegion") or account.region
    if region != account.region:
        raise AccountError(
            f"{setting.target} is in {region}, not in {account.region}; name its region with "
            "--region"
        )
    return setting.want


def _make_bucket(account: Account, setting: Setting) -> None:
    where: dict[str, Any] = {}
    if account.region != "us-east-1":  # which S3 does not let itself be told
        where = {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
    account.client("s3").create_bucket(
        Bucket=setting.target,
        ObjectLockEnabledForBucket=setting.want.get("object_lock", False),
        **where,
    )


def _read_public_access(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "NoSuchPublicAccessBlockConfiguration",
        lambda: account.client("s3").get_public_access_block(Bucket=setting.target),
    )
    return answer and answer["PublicAccessBlockConfiguration"]


def _write_public_access(account: Account, setting: Setting) -> None:
    account.client("s3").put_public_access_block(
        Bucket=setting.target, PublicAccessBlockConfiguration=setting.want
    )


def _read_ownership(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "OwnershipControlsNotFoundError",
        lambda: account.client("s3").get_bucket_ownership_controls(Bucket=setting.target),
    )
    return answer and answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"]


def _write_ownership(account: Account, setting: Setting) -> None:
    account.client("s3").put_bucket_ownership_controls(
        Bucket=setting.target, OwnershipControls={"Rules": [{"ObjectOwnership": setting.want}]}
    )


def _read_encryption(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "ServerSideEncryptionConfigurationNotFoundError",
        lambda: account.client("s3").get_bucket_encryption(Bucket=setting.target),
    )
    if answer is None:
        return None
    [rule] = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]


def _write_encryption(account: Account, setting: Setting) -> None:
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": setting.want}}
    account.client("s3").put_bucket_encryption(
        Bucket=setting.target, ServerSideEncryptionConfiguration={"Rules": [default]}
    )


def _read_versioning(account: Account, setting: Setting) -> Any:
    return account.client("s3").get_bucket_versioning(Bucket=setting.target).get("Status")


def _write_versioning(account: Account, setting: Setting) -> None:
    account.client("s3").put_bucket_versioning(
        Bucket=setting.target, VersioningConfiguration={"Status": setting.want}
    )


def _read_lock(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "ObjectLockConfigurationNotFoundError",
        lambda: account.client("s3").get_object_lock_configuration(Bucket=setting.target),
    )
    rule = answer and answer["ObjectLockConfiguration"].get("Rule")
    if not rule:
        return None
    default = rule["DefaultRetention"]
    return {"mode": default["Mode"], "days": default.get("Days") or 365 * default["Years"]}


def _write_lock(account: Account, setting: Setting) -> None:
    retention = {"Mode": setting.want["mode"], "Days": setting.want["days"]}
    account.client("s3").put_object_lock_configuration(
        Bucket=setting.target,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": retention},
        },
    )


def _rules(account: Account, setting: Setting) -> list[dict[str, Any]]:
    answer = absent_if(
        "NoSuchLifecycleConfiguration",
        lambda: account.client("s3").get_bucket_lifecycle_configuration(Bucket=setting.target),
    )
    return answer["Rules"] if answer else []


def _is_ours(rule: dict[str, Any]) -> bool:
    return str(rule.get("ID", "")).startswith(OUR_RULES)


def _read_lifecycle(account: Account, setting: Setting) -> Any:
    ours = [rule for rule in _rules(account, setting) if _is_ours(rule)]
    order = [rule["ID"] for rule in setting.want]
    return sorted(ours, key=lambda r: order.index(r["ID"]) if r["ID"] in order else -1) or None


def _write_lifecycle(account: Account, setting: Setting) -> None:
    others = [rule for rule in _rules(account, setting) if not _is_ours(rule)]
    account.client("s3").put_bucket_lifecycle_configuration(
        Bucket=setting.target, LifecycleConfiguration={"Rules": [*others, *setting.want]}
    )


def _statements(account: Account, setting: Setting) -> list[dict[str, Any]]:
    answer = absent_if(
        "NoSuchBucketPolicy",
        lambda: account.client("s3").get_bucket_policy(Bucket=setting.target),
    )
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    return statements if isinstance(statements, list) else [statements]


def _read_policy(account: Account, setting: Setting) -> Any:
    ours = [statement["Sid"] for statement in setting.want]
    live = {one.get("Sid"): one for one in _statements(account, setting)}
    return [live[sid] for sid in ours if sid in live] or None


def _write_policy(account: Account, setting: Setting) -> None:
    ours = {statement["Sid"] for statement in setting.want}
    others = [one for one in _statements(account, setting) if one.get("Sid") not in ours]
    account.client("s3").put_bucket_policy(
        Bucket=setting.target,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [*setting.want, *others]}),
    )


def _read_user(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "NoSuchEntity",
        lambda: account.client("iam").get_user_policy(
            UserName=setting.target, PolicyName=POLICY_NAME
        ),
    )
    return answer and answer["PolicyDocument"]


def _write_user(account: Account, setting: Setting) -> None:
    iam = account.client("iam")
    if absent_if("NoSuchEntity", lambda: iam.get_user(UserName=setting.target)) is None:
        iam.create_user(UserName=setting.target)
    iam.put_user_policy(
        UserName=setting.target, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(setting.want)
    )


def _read_topic(account: Account, setting: Setting) -> Any:
    found = absent_if(
        "NotFound", lambda: account.client("sns").get_topic_attributes(TopicArn=setting.target)
    )
    return None if found is None else {}


def _make_topic(account: Account, setting: Setting) -> None:
    account.client("sns").create_topic(Name=setting.target.rsplit(":", 1)[1])


def _read_subscription(account: Account, setting: Setting) -> Any:
    sns = account.client("sns")
    if _read_topic(account, setting) is None:
        return None
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=setting.target)
    subscribed = {one["Endpoint"] for page in pages for one in page["Subscriptions"]}
    return setting.want if setting.want in subscribed else None


def _subscribe(account: Account, setting: Setting) -> None:
    account.client("sns").subscribe(
        TopicArn=setting.target, Protocol="email", Endpoint=setting.want
    )


def _read_asynchronous(account: Account, setting: Setting) -> Any:
    answer = absent_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_event_invoke_config(
            FunctionName=setting.target
        ),
    )
    if answer is None:
        return None
    failure = answer.get("DestinationConfig", {}).get("OnFailure", {})
    return {
        "retries": answer.get("MaximumRetryAttempts", 2),
        "on_failure": failure.get("Destination"),
    }


def _write_asynchronous(account: Account, setting: Setting) -> None:
    account.client("lambda").put_function_event_invoke_config(
        FunctionName=setting.target,
        MaximumRetryAttempts=setting.want["retries"],
        DestinationConfig={"OnFailure": {"Destination": setting.want["on_failure"]}},
    )


def _read_alarm(account: Account, setting: Setting) -> Any:
    answer = account.client("cloudwatch").describe_alarms(AlarmNames=[setting.target])
    for alarm in answer["MetricAlarms"]:
        return {name: alarm.get(name) for name in setting.want}
    return None


def _write_alarm(account: Account, setting: Setting) -> None:
    account.client("cloudwatch").put_metric_alarm(AlarmName=setting.target, **setting.want)


HANDLERS = {
    Kind.BUCKET: Handler(_read_bucket, _make_bucket),
    Kind.PUBLIC_ACCESS: Handler(_read_public_access, _write_public_access),
    Kind.OWNERSHIP: Handler(_read_ownership, _write_ownership),
    Kind.ENCRYPTION: Handler(_read_encryption, _write_encryption),
    Kind.VERSIONING: Handler(_read_versioning, _write_versioning),
    Kind.OBJECT_LOCK: Handler(_read_lock, _write_lock),
    Kind.LIFECYCLE: Handler(_read_lifecycle, _write_lifecycle),
    Kind.BUCKET_POLICY: Handler(_read_policy, _write_policy),
    Kind.USER: Handler(_read_user, _write_user),
    Kind.TOPIC: Handler(_read_topic, _make_topic),
    Kind.SUBSCRIPTION: Handler(_read_subscription, _subscribe),
    Kind.ASYNCHRONOUS: Handler(_read_asynchronous, _write_asynchronous),
    Kind.ALARM: Handler(_read_alarm, _write_alarm),
}
