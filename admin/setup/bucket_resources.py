"""Reads and writes the settings of a bucket. Rules and statements that others added are kept."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from admin.account import Account, AccountError, none_if
from admin.desired.bucket_policies import FORMER_STATEMENTS, canonical
from admin.desired.buckets import OUR_RULES
from admin.desired.permissions import statements
from admin.desired.requirement import Requirement
from chalicelib.lock import MODES
from chalicelib.s3_errors import error_code

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A setting that is shared with others: our entries (None: none), and theirs."""

    ours: list[Entry] | None
    others: list[Entry]


def each_object(account: Account, bucket: str) -> Iterator[dict[str, Any]]:
    """Every current object of a bucket, as S3 lists it."""
    for page in _s3(account, bucket).get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from page.get("Contents", [])


def read_bucket(account: Account, requirement: Requirement) -> Any:
    owner = account.account_of(requirement.resource)
    try:
        answer = owner.client("s3").head_bucket(
            Bucket=requirement.resource, ExpectedBucketOwner=owner.id
        )
    except ClientError as error:
        match error_code(error):
            case "404":
                return None
            case "403":
                is_vault = "object_lock" in requirement.desired
                raise AccountError(
                    f"The bucket {requirement.resource} belongs to somebody else, or you are not "
                    "allowed to see it; choose another name in .chalice/config.json"
                    + (", or pass a profile of its account with --vault-profile" * is_vault)
                ) from None
            case "301":
                raise AccountError(
                    f"{requirement.resource} is in a region other than {account.region}; name the "
                    "bucket's region with --region"
                ) from None
        raise
    region = answer.get("BucketRegion") or account.region
    if region != account.region:
        raise AccountError(
            f"{requirement.resource} is in {region}, not in {account.region}; set its region with "
            "--region"
        )
    return requirement.desired


def make_bucket(account: Account, requirement: Requirement) -> None:
    location: dict[str, Any] = {}
    if account.region != "us-east-1":  # which S3 does not accept here
        location = {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
    _s3(account, requirement.resource).create_bucket(
        Bucket=requirement.resource,
        ObjectLockEnabledForBucket=requirement.desired.get("object_lock", False),
        **location,
    )


def read_public_access(account: Account, requirement: Requirement) -> Any:
    answer = none_if(
        "NoSuchPublicAccessBlockConfiguration",
        lambda: _s3(account, requirement.resource).get_public_access_block(
            Bucket=requirement.resource
        ),
    )
    return answer and answer["PublicAccessBlockConfiguration"]


def write_public_access(account: Account, requirement: Requirement) -> None:
    _s3(account, requirement.resource).put_public_access_block(
        Bucket=requirement.resource, PublicAccessBlockConfiguration=requirement.desired
    )


def read_ownership(account: Account, requirement: Requirement) -> Any:
    answer = none_if(
        "OwnershipControlsNotFoundError",
        lambda: _s3(account, requirement.resource).get_bucket_ownership_controls(
            Bucket=requirement.resource
        ),
    )
    return answer and answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"]


def write_ownership(account: Account, requirement: Requirement) -> None:
    _s3(account, requirement.resource).put_bucket_ownership_controls(
        Bucket=requirement.resource,
        OwnershipControls={"Rules": [{"ObjectOwnership": requirement.desired}]},
    )


def read_encryption(account: Account, requirement: Requirement) -> Any:
    answer = none_if(
        "ServerSideEncryptionConfigurationNotFoundError",
        lambda: _s3(account, requirement.resource).get_bucket_encryption(
            Bucket=requirement.resource
        ),
    )
    if answer is None:
        return None
    [rule] = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]


def write_encryption(account: Account, requirement: Requirement) -> None:
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": requirement.desired}}
    _s3(account, requirement.resource).put_bucket_encryption(
        Bucket=requirement.resource, ServerSideEncryptionConfiguration={"Rules": [default]}
    )


def read_versioning(account: Account, requirement: Requirement) -> Any:
    return (
        _s3(account, requirement.resource)
        .get_bucket_versioning(Bucket=requirement.resource)
        .get("Status")
    )


def write_versioning(account: Account, requirement: Requirement) -> None:
    _s3(account, requirement.resource).put_bucket_versioning(
        Bucket=requirement.resource, VersioningConfiguration={"Status": requirement.desired}
    )


def read_lock(account: Account, requirement: Requirement) -> Any:
    answer = none_if(
        "ObjectLockConfigurationNotFoundError",
        lambda: _s3(account, requirement.resource).get_object_lock_configuration(
            Bucket=requirement.resource
        ),
    )
    rule = answer and answer["ObjectLockConfiguration"].get("Rule")
    if not rule:
        return None
    default = rule["DefaultRetention"]
    lock = {
        # With an event hold, which locks until it is released, mode and time can be missing.
        "mode": default.get("Mode", MODES[0]),
        "days": default.get("Days") or 365 * default.get("Years", 0),
    }
    hold = default.get("DefaultEventHold")
    return {**lock, "event_hold": hold} if hold else lock


def write_lock(account: Account, requirement: Requirement) -> None:
    retention = {"Mode": requirement.desired["mode"], "Days": requirement.desired["days"]}
    _s3(account, requirement.resource).put_object_lock_configuration(
        Bucket=requirement.resource,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": retention},
        },
    )


def read_lifecycle(account: Account, requirement: Requirement) -> Shared:
    """The lifecycle rules, in a format that S3 accepts together with ours."""
    order = [rule["ID"] for rule in requirement.desired]
    return _shared(
        _rules(account, requirement),
        is_ours=lambda rule: str(rule.get("ID", "")).startswith(OUR_RULES),
        order=lambda rule: order.index(rule["ID"]) if rule["ID"] in order else -1,
    )


def write_lifecycle(account: Account, requirement: Requirement) -> None:
    others = read_lifecycle(account, requirement).others
    _s3(account, requirement.resource).put_bucket_lifecycle_configuration(
        Bucket=requirement.resource,
        LifecycleConfiguration={"Rules": [*others, *requirement.desired]},
    )


def _rules(account: Account, requirement: Requirement) -> list[Entry]:
    answer = none_if(
        "NoSuchLifecycleConfiguration",
        lambda: _s3(account, requirement.resource).get_bucket_lifecycle_configuration(
            Bucket=requirement.resource
        ),
    )
    return [_with_filter(rule) for rule in answer["Rules"]] if answer else []


def _with_filter(rule: Entry) -> Entry:
    """The rule with a Filter instead of a Prefix: S3 does not accept both kinds together."""
    others = {name: value for name, value in rule.items() if name not in {"Prefix", "Filter"}}
    return {**others, "Filter": rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}}


def read_policy(account: Account, requirement: Requirement) -> Shared:
    """The statements of the bucket policy; those equivalent to ours are in our spelling."""
    order = [statement["Sid"] for statement in requirement.desired]
    ours = {statement["Sid"]: statement for statement in requirement.desired}
    return _shared(
        [
            _in_our_spelling(statement, ours.get(statement.get("Sid", "")))
            for statement in _statements(account, requirement)
        ],
        is_ours=lambda statement: statement.get("Sid") in {*ours, *FORMER_STATEMENTS},
        order=lambda statement: order.index(statement["Sid"]) if statement["Sid"] in ours else -1,
    )


def write_policy(account: Account, requirement: Requirement) -> None:
    others = read_policy(account, requirement).others
    _s3(account, requirement.resource).put_bucket_policy(
        Bucket=requirement.resource,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [*requirement.desired, *others]}),
    )


def _statements(account: Account, requirement: Requirement) -> list[Entry]:
    answer = none_if(
        "NoSuchBucketPolicy",
        lambda: _s3(account, requirement.resource).get_bucket_policy(Bucket=requirement.resource),
    )
    return statements(json.loads(answer["Policy"])) if answer else []


def _in_our_spelling(actual: Entry, ours: Entry | None) -> Entry:
    return ours if ours and canonical(actual) == canonical(ours) else actual


def _shared(
    entries: list[Entry], *, is_ours: Callable[[Entry], bool], order: Callable[[Entry], int]
) -> Shared:
    ours = sorted(filter(is_ours, entries), key=order)
    return Shared(ours=ours or None, others=[entry for entry in entries if not is_ours(entry)])


def _s3(account: Account, bucket: str) -> Any:
    """An S3 client of the account that the bucket is in."""
    return account.account_of(bucket).client("s3")
