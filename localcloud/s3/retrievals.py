"""RestoreObject: a temporary copy of an archived version can be read after hours, for days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from moto.s3.exceptions import InvalidObjectState, S3ClientError
from moto.s3.responses import S3Response
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES

from localcloud.clock import clock
from localcloud.s3.content import StoredKey

if TYPE_CHECKING:
    from datetime import datetime

    from moto.core.common_types import TYPE_RESPONSE

# The longest that the Standard tier takes (S3 user guide, "Understanding archive retrieval
# options").
TAKES = {"GLACIER": timedelta(hours=5), "DEEP_ARCHIVE": timedelta(hours=12)}


@dataclass(frozen=True)
class Retrieval:
    """A temporary copy: when it becomes readable, and when it expires."""

    ready: datetime
    expires: datetime

    @property
    def header(self) -> str | None:
        """`x-amz-restore`, as HEAD and GET show it (None: not at all)."""
        if clock.now() < self.ready:
            return 'ongoing-request="true"'
        if clock.now() < self.expires:
            expiry = f"{self.expires:%a, %d %b %Y %H:%M:%S GMT}"
            return f'ongoing-request="false", expiry-date="{expiry}"'
        return None


class RetrievalRequests(S3Response):
    """RestoreObject. In moto, the copy is ready at once, and always of the current version."""

    def _key_response_post(
        self, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
    ) -> TYPE_RESPONSE:
        if "restore" not in query:
            return super()._key_response_post(request, body, bucket_name, query, key_name)
        self._set_action("KEY", "POST", query)
        self._authenticate_and_authorize_s3_action(bucket_name=bucket_name, key_name=key_name)
        key, _ = self._get_key(validate_storage_class=False)
        if key.storage_class not in ARCHIVE_STORAGE_CLASSES or not isinstance(key, StoredKey):
            raise InvalidObjectState(storage_class=key.storage_class)
        shown = key.retrieval.header if key.retrieval else None
        if shown == 'ongoing-request="true"':
            raise S3ClientError("RestoreAlreadyInProgress", "Object restore is already in progress")
        days = timedelta(days=int(ET.fromstring(body).findtext("{*}Days") or 0))
        # A copy that can already be read stays, and expires later.
        ready = clock.now() if shown else clock.now() + TAKES[key.storage_class]
        key.retrieval = Retrieval(ready=ready, expires=ready + days)
        return (HTTPStatus.OK if shown else HTTPStatus.ACCEPTED), {}, ""
