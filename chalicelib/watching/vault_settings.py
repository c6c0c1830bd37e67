"""The vault's settings, each as a digest that stays the same as long as nobody changes it.

`setup` records the digests in VAULT_SETTINGS, and the audit compares:

    policy=3f2a90c1d47be85516a90b77,versioning=0c9d51f8e2a64b7d03c1ee92,lock=...

AWS adds fields to its answers and reorders lists, so only the fields that `setup` knows count, in
one spelling. Rules and statements that others added do count: an expiry would weaken the vault.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code

Fields = dict[str, Any]

# 96 bits: nobody finds a weaker setting with the same digest.
DIGEST_LENGTH = 24


@dataclass(frozen=True)
class Setting:
    """How to read a setting: the client's method, which fields of its answer count, and the code
    of the error that says that it is not set (None: S3 always answers).
    """

    method: str
    fields: Callable[[Any], Fields]
    absent: str | None = None


def _picked(answer: Mapping[str, Any], *names: str) -> Fields:
    return {name: answer[name] for name in names if name in answer}


def _default_lock(answer: Any) -> Fields:
    default = answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})
    return _picked(default, "Mode", "Days", "Years", "DefaultEventHold")


def _lifecycle_rule(rule: Any) -> Fields:
    actions = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    moves = ("Transitions", "NoncurrentVersionTransitions")
    # Older rules have a prefix instead of a filter.
    which = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    return {"Filter": which, **_picked(rule, "Status", *actions, *moves)}


def _encryption_rule(rule: Any) -> Fields:
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return _picked(default, "SSEAlgorithm", "KMSMasterKeyID")


def _notified(answer: Any) -> Fields:
    # That EventBridge is notified has no fields of its own.
    fields: Fields = {"EventBridge": "EventBridgeConfiguration" in answer}
    for kind in ("Topic", "Queue", "LambdaFunction"):
        each = answer.get(f"{kind}Configurations", [])
        fields[kind] = [_picked(one, f"{kind}Arn", "Events", "Filter") for one in each]
    return fields


def _replicated(answer: Any) -> Fields:
    configuration = answer["ReplicationConfiguration"]
    names = ("Status", "Filter", "Prefix", "Destination")
    rules = [_picked(rule, *names) for rule in configuration["Rules"]]
    return {"Role": configuration["Role"], "Rules": rules}


SETTINGS: Mapping[str, Setting] = {
    "policy": Setting(
        "get_bucket_policy",
        lambda answer: _picked(json.loads(answer["Policy"]), "Version", "Statement"),
        "NoSuchBucketPolicy",
    ),
    "versioning": Setting("get_bucket_versioning", lambda answer: _picked(answer, "Status")),
    "lock": Setting(
        "get_object_lock_configuration", _default_lock, "ObjectLockConfigurationNotFoundError"
    ),
    "lifecycle": Setting(
        "get_bucket_lifecycle_configuration",
        lambda answer: {"Rules": [*map(_lifecycle_rule, answer["Rules"])]},
        "NoSuchLifecycleConfiguration",
    ),
    "encryption": Setting(
        "get_bucket_encryption",
        lambda answer: {
            "Rules": [*map(_encryption_rule, answer["ServerSideEncryptionConfiguration"]["Rules"])]
        },
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    "public-access": Setting(
        "get_public_access_block",
        lambda answer: _picked(
            answer["PublicAccessBlockConfiguration"],
            *("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"),
        ),
        "NoSuchPublicAccessBlockConfiguration",
    ),
    "ownership": Setting(
        "get_bucket_ownership_controls",
        lambda answer: {
            "Rules": [rule["ObjectOwnership"] for rule in answer["OwnershipControls"]["Rules"]]
        },
        "OwnershipControlsNotFoundError",
    ),
    "notification": Setting("get_bucket_notification_configuration", _notified),
    "replication": Setting(
        "get_bucket_replication", _replicated, "ReplicationConfigurationNotFoundError"
    ),
}


def read_setting(vault: Vault, name: str) -> Fields:
    """The fields of one of SETTINGS that count, as S3 has them now; none if it is not set."""
    setting = SETTINGS[name]
    try:
        return setting.fields(getattr(vault.s3, setting.method)(**vault.args))
    except ClientError as error:
        if error_code(error) != setting.absent:
            raise
        return {}


def digest(fields: Fields) -> str:
    """The digest of a setting; the order of lists and the spelling of values do not matter."""
    text = json.dumps(_normal(fields), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def _normal(value: Any) -> Any:
    """S3 reorders lists, and returns a list with one item as that item: each value is a set."""
    if not isinstance(value, Mapping):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return {
        name: sorted({json.dumps(_normal(item), sort_keys=True) for item in _items(each)})
        for name, each in value.items()
    }


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
