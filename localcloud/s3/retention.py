"""The lock of a stored version: anyone can extend it; any other change requires a bypass."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import AccessDeniedByLock, S3ClientError
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from localcloud.clock import clock
from localcloud.s3.answers import answered

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE


class RetentionRequests(S3Response):
    """GetObjectRetention and PutObjectRetention."""

    def _key_response_get(self, query: dict[str, Any], key_name: str) -> TYPE_RESPONSE:
        """Handle ?retention, which moto ignores: it would return the object."""
        if "retention" not in query:
            return super()._key_response_get(query, key_name)
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
        lock = {"Mode": key.lock_mode, "RetainUntilDate": key.lock_until}
        return answered(self, "GetObjectRetention", {"Retention": lock})

    def put_object_retention(self) -> TYPE_RESPONSE:
        key, _ = self._get_key(validate_storage_class=False)
        if _is_retained(key, bypass=bypasses_governance(self)):
            mode, until = self._mode_until_from_body()
            # AWS does not document whether a stricter mode also requires a bypass; users of S3
            # report that it does. Source: pull request 42505 of Ceph.
            has_changed = mode != key.lock_mode
            if has_changed or not until or _moment(until) < _moment(str(key.lock_until)):
                raise AccessDeniedByLock
        return super().put_object_retention()


def bypasses_governance(request: S3Response) -> bool:
    """Whether the request asks to bypass a lock in governance mode."""
    header: str = request.headers.get("x-amz-bypass-governance-retention", "")
    return header.lower() == "true"


def _is_retained(key: FakeKey, *, bypass: bool) -> bool:
    """Whether the version is within its retention period; a legal hold does not count."""
    if key.lock_mode is None or (bypass and key.lock_mode == "GOVERNANCE"):
        return False
    return _moment(str(key.lock_until)) > clock.now()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
