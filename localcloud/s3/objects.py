"""Objects of the local S3: put, copied, read and deleted as S3 does it."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import (
    CopyObjectMustChangeSomething,
    MissingKey,
    ObjectNotInActiveTierError,
    S3ClientError,
)
from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.notifications import S3NotificationEvent
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES

from localcloud.s3.attributes import CUSTOMER_KEY, Attributes, Checksum
from localcloud.s3.conditions import (
    copy_source,
    received_checksum,
    refuse_unless_conditions_hold,
    refuse_without_customer_key,
    restored,
)
from localcloud.s3.content import Content
from localcloud.s3.kms_keys import kms_keys
from localcloud.s3.versions import current, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.common_types import TYPE_RESPONSE
    from moto.s3.responses import S3Response

COPY_LIMIT_BYTES = 5 * 1024**3
"""The largest source that CopyObject takes. Tests make it small."""

MAKES_A_DIFFERENCE = (
    "x-amz-metadata-directive",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-website-redirect-location",
)
"""Without one of these, nothing is copied onto itself."""


def put_object(self: S3Response) -> TYPE_RESPONSE:
    key_name = self.parse_key_name()
    refuse_unless_conditions_hold(self, key_name)
    content = Content.of(self.body or b"")
    checksum = received_checksum(self, content)
    key = store(
        self,
        key_name,
        content,
        Attributes.of_request(self),
        checksum=checksum,
        event=S3NotificationEvent.OBJECT_CREATED_PUT_EVENT,
    )
    headers = {**self._get_cors_headers_other(), **key.response_dict, **shown_checksum(key)}
    # They describe a body, and this answer has none.
    for name in ("content-length", "last-modified"):
        headers.pop(name)
    return 200, headers, ""


def copy_object(self: S3Response) -> TYPE_RESPONSE:
    key_name = self.parse_key_name()
    source = copy_source(self)
    if source.storage_class in ARCHIVE_STORAGE_CLASSES and not restored(source):
        raise ObjectNotInActiveTierError(source.name)
    if source.size > COPY_LIMIT_BYTES:
        raise S3ClientError(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {COPY_LIMIT_BYTES}",
        )
    refuse_unless_conditions_hold(self, key_name)
    attributes = Attributes.of_request(self)
    if (source.bucket_name, source.name) == (self.bucket_name, key_name) and not any(
        name in self.headers for name in MAKES_A_DIFFERENCE
    ):
        raise CopyObjectMustChangeSomething
    if self.headers.get("x-amz-metadata-directive") != "REPLACE":
        attributes = replace(attributes, metadata=dict(source.metadata))
    if self.headers.get("x-amz-tagging-directive") != "REPLACE":
        tags = self.backend.tagger.get_tag_dict_for_resource(source.arn)
        attributes = replace(attributes, tags=tags)
    algorithm = self.headers.get("x-amz-checksum-algorithm") or source.checksum_algorithm
    key = store(
        self,
        key_name,
        source.content,
        attributes,
        checksum=Checksum.of(source.content, algorithm or "CRC64NVME"),
        event=S3NotificationEvent.OBJECT_CREATED_COPY_EVENT,
    )
    self.data["Action"] = "CopyObject"
    status, headers, answer = self.serialized(
        ActionResult(
            {
                "CopyObjectResult": {
                    "ETag": key.etag,
                    "LastModified": key.last_modified_ISO8601,
                    f"Checksum{key.checksum_algorithm}": key.checksum_value,
                    "ChecksumType": key.checksum_type,
                }
            }
        )
    )
    headers |= written_headers(key) | source_version_header(self, source)
    return status, headers, answer


def get_object(original: Callable[[S3Response], TYPE_RESPONSE], self: S3Response) -> TYPE_RESPONSE:
    status, headers, body = original(self)
    key = self.key_read  # type: ignore[attr-defined]
    for name in [name for name in headers if name.startswith("x-amz-checksum-")]:
        del headers[name]
    headers |= _version_header(self, key)
    # A client would compare the checksum with the body, which a 304 does not have.
    if status != HTTPStatus.NOT_MODIFIED:
        kms_keys.refuse_to_decrypt(key)
        headers |= _asked_checksum(self, key)
    return status, headers, body


def head_object(
    original: Callable[..., TYPE_RESPONSE],
    self: S3Response,
    bucket_name: str,
    query: dict[str, Any],
    key_name: str,
    headers: dict[str, Any],
) -> TYPE_RESPONSE:
    if "partNumber" in query:
        return original(self, bucket_name, query, key_name, headers)
    self._set_action("KEY", "HEAD", query)
    self._authenticate_and_authorize_s3_action(bucket_name=bucket_name, key_name=key_name)
    key, not_modified = self._get_key(validate_storage_class=False)
    shown = {
        **self._get_cors_headers_other(),
        **key.metadata,
        **key.response_dict,
        **_version_header(self, key),
        **({} if not_modified else _asked_checksum(self, key)),
        "Accept-Ranges": "bytes",
    }
    return (304 if not_modified else 200), shown, ""


def get_key(
    original: Callable[..., tuple[FakeKey, bool]],
    self: S3Response,
    validate_storage_class: bool = True,  # noqa: FBT001, FBT002 - moto's signature
) -> tuple[FakeKey, bool]:
    """What GET and HEAD read; the key stays on the request, so that what is shown was read."""
    version_id = self.querystring.get("versionId", [None])[0]
    key = current(self.backend, self.bucket_name, self.parse_key_name(), version_id)
    if isinstance(key, FakeDeleteMarker):
        raise _on_delete_marker(key, version_id)
    key, not_modified = original(self, validate_storage_class)
    refuse_without_customer_key(key, self.headers.get(CUSTOMER_KEY))
    self.key_read = key  # type: ignore[attr-defined]
    return key, not_modified


def delete_object(self: S3Response) -> TYPE_RESPONSE:
    key_name = self.parse_key_name()
    refuse_unless_conditions_hold(self, key_name)
    _, meta = self.backend.delete_object(
        self.bucket_name,
        key_name,
        version_id=self._get_param("versionId"),
        bypass=self.headers.get("X-Amz-Bypass-Governance-Retention"),
    )
    return 204, {f"x-amz-{name}": value for name, value in meta.items()}, ""


# What answers show


def written_headers(key: FakeKey) -> dict[str, Any]:
    """The headers of an answer whose body is XML: nothing that describes the object's own bytes."""
    hidden = {"content-length", "last-modified", "ETag"}
    return {name: value for name, value in key.response_dict.items() if name not in hidden}


def shown_checksum(key: FakeKey) -> dict[str, Any]:
    if key.checksum_algorithm is None:
        return {}
    return {
        f"x-amz-checksum-{key.checksum_algorithm.lower()}": key.checksum_value,
        "x-amz-checksum-type": key.checksum_type,
    }


def source_version_header(response: S3Response, source: FakeKey) -> dict[str, Any]:
    bucket = response.backend.get_bucket(source.bucket_name)  # type: ignore[arg-type]
    if bucket.versioning_status is None:
        return {}
    return {"x-amz-copy-source-version-id": source.version_id}


def _asked_checksum(response: S3Response, key: FakeKey) -> dict[str, Any]:
    if response.headers.get("x-amz-checksum-mode", "").upper() != "ENABLED":
        return {}
    kms_keys.refuse_to_decrypt(key)
    return shown_checksum(key)


def _version_header(response: S3Response, key: FakeKey) -> dict[str, Any]:
    bucket = response.backend.get_bucket(response.bucket_name)
    return {} if bucket.versioning_status is None else {"x-amz-version-id": key.version_id}


def _on_delete_marker(marker: FakeDeleteMarker, version_id: str | None) -> S3ClientError:
    shown = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
    error: S3ClientError = MissingKey(key=marker.name)
    if version_id is not None:
        shown["Allow"] = "DELETE"
        error = S3ClientError(
            "MethodNotAllowed", "The specified method is not allowed against this resource."
        )
    error.headers = shown  # type: ignore[attr-defined]
    return error
