"""A bucket's configurations as S3 shows and takes them, if moto does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import InvalidBucketState, S3ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.common_types import TYPE_RESPONSE
    from moto.s3.models import S3Backend
    from moto.s3.responses import S3Response


def show_policy(original: Callable[..., TYPE_RESPONSE], self: S3Response) -> TYPE_RESPONSE:
    """S3 keeps what a policy means, not how it was spelled."""
    status, headers, policy = original(self)
    return status, headers, json.dumps(_respelled(json.loads(policy)))


def _respelled(value: Any) -> Any:
    """Lists sorted, and those of one string as the string; statements stay a list."""
    if isinstance(value, dict):
        return {name: _respelled(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    if any(isinstance(one, dict) for one in value):
        return [_respelled(one) for one in value]
    return value[0] if len(value) == 1 else sorted(value, key=str)


def take_lifecycle(
    original: Callable[..., None], self: S3Backend, bucket_name: str, rules: Any
) -> None:
    """Rules with a Prefix of their own are of the older kind; no configuration mixes the two."""
    given = rules if isinstance(rules, list) else [rules]
    if any("Prefix" in rule for rule in given) and any("Filter" in rule for rule in given):
        raise S3ClientError(
            "InvalidRequest",
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the "
            "Filter.",
        )
    original(self, bucket_name, rules)


def take_versioning(
    original: Callable[..., None], self: S3Backend, bucket_name: str, status: str
) -> None:
    """Whoever suspended versioning could overwrite what a lock protects."""
    if status != "Enabled" and self.get_bucket(bucket_name).object_lock_enabled:
        raise InvalidBucketState(
            "An Object Lock configuration is present on this bucket, so the versioning state "
            "cannot be changed."
        )
    original(self, bucket_name, status)
