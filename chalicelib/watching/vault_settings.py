"""The vault's settings, each as a digest that stays the same as long as nobody changes it.

`setup` records the digests in VAULT_SETTINGS, and the audit compares:

    policy=3f2a90c1d47be85516a90b77,versioning=0c9d51f8e2a64b7d03c1ee92,lock=...

AWS adds fields to its responses and reorders lists, so only the fields that `setup` sets count, in
one spelling. Rules and statements that others added do count: an expiry would weaken the vault.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code

Fields = dict[str, Any]

# 96 bits are enough that nobody finds a weaker setting with the same digest.
DIGEST_LENGTH = 24


@dataclass(frozen=True)
class Setting:
    """How to read a setting: the client's method, and which fields of its response count.

    `absent` is the code of the error if it is not set (None: S3 always returns a value).

    A field counts with everything in it, or its own fields are listed; the same holds for the items
    of a list.
    """

    method: str
    fields: Fields
    absent: str | None = None


def _whole(*names: str) -> Fields:
    return dict.fromkeys(names)


_LOCK = _whole("Mode", "Days", "Years", "DefaultEventHold")
_BLOCKS = _whole(
    "BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"
)
_EXPIRING = _whole("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
_MOVING = _whole("Transitions", "NoncurrentVersionTransitions")
_REPLICATION = _whole("Status", "Filter", "Prefix", "Destination")
_DEFAULT, _KEY = "ApplyServerSideEncryptionByDefault", _whole("SSEAlgorithm", "KMSMasterKeyID")

SETTINGS: Mapping[str, Setting] = {
    "policy": Setting("get_bucket_policy", _whole("Version", "Statement"), "NoSuchBucketPolicy"),
    "versioning": Setting("get_bucket_versioning", _whole("Status")),
    "lock": Setting(
        "get_object_lock_configuration",
        {"ObjectLockConfiguration": {"Rule": {"DefaultRetention": _LOCK}}},
        "ObjectLockConfigurationNotFoundError",
    ),
    "lifecycle": Setting(
        "get_bucket_lifecycle_configuration",
        {"Rules": _whole("Status", "Filter", "Prefix") | _EXPIRING | _MOVING},
        "NoSuchLifecycleConfiguration",
    ),
    "encryption": Setting(
        "get_bucket_encryption",
        {"ServerSideEncryptionConfiguration": {"Rules": {_DEFAULT: _KEY}}},
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    "public-access": Setting(
        "get_public_access_block",
        {"PublicAccessBlockConfiguration": _BLOCKS},
        "NoSuchPublicAccessBlockConfiguration",
    ),
    "ownership": Setting(
        "get_bucket_ownership_controls",
        {"OwnershipControls": {"Rules": _whole("ObjectOwnership")}},
        "OwnershipControlsNotFoundError",
    ),
    "notification": Setting(
        "get_bucket_notification_configuration",
        {
            "TopicConfigurations": _whole("TopicArn", "Events", "Filter"),
            "QueueConfigurations": _whole("QueueArn", "Events", "Filter"),
            "LambdaFunctionConfigurations": _whole("LambdaFunctionArn", "Events", "Filter"),
            "EventBridgeConfiguration": None,
        },
    ),
    "replication": Setting(
        "get_bucket_replication",
        {"ReplicationConfiguration": {"Role": None, "Rules": _REPLICATION}},
        "ReplicationConfigurationNotFoundError",
    ),
}


def read_setting(vault: Vault, name: str) -> Fields:
    """The relevant fields of one of SETTINGS, as S3 has them now; none if it is not set."""
    setting = SETTINGS[name]
    try:
        answer = getattr(vault.s3, setting.method)(**vault.args)
    except ClientError as error:
        if error_code(error) != setting.absent:
            raise
        return {}
    known: Fields = _known(json.loads(answer.get("Policy", "null")) or answer, setting.fields)
    return known


def _known(value: Any, fields: Fields) -> Any:
    if isinstance(value, list):
        return [_known(item, fields) for item in value]
    return {
        name: _known(value[name], inner) if inner else value[name]
        for name, inner in fields.items()
        if name in value
    }


def digest(fields: Fields) -> str:
    """The digest of a setting; the order of lists and the spelling of values do not matter."""
    text = json.dumps(_normal(fields), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def _normal(value: Any) -> Any:
    """Turn values into sets: S3 reorders lists, and returns a list with one item as that item."""
    if not isinstance(value, Mapping):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return {
        name: sorted({json.dumps(_normal(item), sort_keys=True) for item in items})
        for name, each in value.items()
        if (items := each if isinstance(each, list) else [each])
    }
