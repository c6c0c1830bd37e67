"""A lock on a stored object can be made longer, and shorter only by who may bypass it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import AccessDeniedByLock, S3ClientError
from moto.s3.models import FakeKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.common_types import TYPE_RESPONSE
    from moto.s3.responses import S3Response

_STRICTNESS = (None, "GOVERNANCE", "COMPLIANCE")


def get_retention(
    original: Callable[..., TYPE_RESPONSE], self: S3Response, query: dict[str, Any], key_name: str
) -> TYPE_RESPONSE:
    """Answers with the object's lock; moto does not know ?retention, and shows the object."""
    if "retention" not in query:
        return original(self, query, key_name)
    self._set_action("KEY", "GET", query)
    self._authenticate_and_authorize_s3_action(bucket_name=self.bucket_name, key_name=key_name)
    key, _ = self._get_key(validate_storage_class=False)
    if not self.backend.get_bucket(self.bucket_name).object_lock_enabled:
        raise S3ClientError("InvalidRequest", "Bucket is missing Object Lock Configuration")
    if key.lock_mode is None:
        raise S3ClientError(
            "NoSuchObjectLockConfiguration",
            "The specified object does not have a ObjectLock configuration",
        )
    self.data["Action"] = "GetObjectRetention"
    lock = {"Mode": key.lock_mode, "RetainUntilDate": key.lock_until}
    return self.serialized(ActionResult({"Retention": lock}))


def put_retention(
    original: Callable[[S3Response], TYPE_RESPONSE], self: S3Response
) -> TYPE_RESPONSE:
    key = self.backend.get_object(
        self.bucket_name, self.parse_key_name(), version_id=self._get_param("versionId")
    )
    bypasses = self.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
    if isinstance(key, FakeKey) and key.is_locked(governance_bypass=bypasses):
        mode, until = self._mode_until_from_body()
        is_weaker = _STRICTNESS.index(mode) < _STRICTNESS.index(key.lock_mode)
        if is_weaker or not until or _moment(until) < _moment(str(key.lock_until)):
            raise AccessDeniedByLock
    return original(self)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
