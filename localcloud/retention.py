"""A lock on a stored object can be made longer, and shorter only by who may bypass it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from moto.s3.exceptions import AccessDeniedByLock
from moto.s3.models import FakeKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.common_types import TYPE_RESPONSE
    from moto.s3.responses import S3Response

_STRICTNESS = (None, "GOVERNANCE", "COMPLIANCE")


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
