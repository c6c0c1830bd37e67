"""Objects of the local S3: put, copied, read and deleted as in S3."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from moto.s3.exceptions import (
    CopyObjectMustChangeSomething,
    MalformedXML,
    MissingKey,
    ObjectNotInActiveTierError,
    S3ClientError,
)
from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.notifications import S3NotificationEvent
from moto.s3.responses import S3Response
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES

from localcloud.s3.answers import (
    answered,
    checksum_headers,
    checksum_result,
    requested_checksum_headers,
    source_version_header,
    version_header,
    written_headers,
)
from localcloud.s3.attributes import CUSTOMER_KEY, Attributes, Checksum
from localcloud.s3.conditions import (
    copy_source,
    received_checksum,
    refuse_unless_conditions_hold,
    refuse_unless_it_matches,
    refuse_without_customer_key,
    restored,
)
from localcloud.s3.content import Content, StoredKey
from localcloud.s3.kms_keys import kms_keys
from localcloud.s3.retention import bypasses_governance
from localcloud.s3.versions import current, key_lock, store

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE

COPY_LIMIT_BYTES = 5 * 1024**3
"""The largest source that CopyObject takes. Tests lower it."""

# A copy of an object onto itself must have one of these.
CHANGES = (
    "x-amz-metadata-directive",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-website-redirect-location",
)


class ObjectRequests(S3Response):
    """PutObject, CopyObject, GetObject, HeadObject, DeleteObject and DeleteObjects."""

    key_read: FakeKey
    """What GET or HEAD reads: looked up once, so that the headers match the bytes."""

    def put_object(self) -> TYPE_RESPONSE:
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
        headers = {**self._get_cors_headers_other(), **key.response_dict, **checksum_headers(key)}
        # These headers describe a body, and this response has none.
        for name in ("content-length", "last-modified"):
            headers.pop(name)
        return 200, headers, ""

    def copy_object(self) -> TYPE_RESPONSE:
        key_name = self.parse_key_name()
        source = copy_source(self)
        _refuse_to_copy(source)
        refuse_unless_conditions_hold(self, key_name)
        attributes = self._attributes_of_copy(source, key_name)
        algorithm = self.headers.get("x-amz-checksum-algorithm") or source.checksum_algorithm
        key = store(
            self,
            key_name,
            source.content,
            attributes,
            checksum=Checksum.of(source.content, algorithm or "CRC64NVME"),
            event=S3NotificationEvent.OBJECT_CREATED_COPY_EVENT,
        )
        result = {
            "ETag": key.etag,
            "LastModified": key.last_modified_ISO8601,
            **checksum_result(key),
        }
        status, headers, text = answered(self, "CopyObject", {"CopyObjectResult": result})
        return status, headers | written_headers(key) | source_version_header(self, source), text

    def get_object(self) -> TYPE_RESPONSE:
        status, headers, body = super().get_object()
        key = self.key_read
        for name in [name for name in headers if name.startswith("x-amz-checksum-")]:
            del headers[name]
        headers |= version_header(self, key)
        # A client would compare the checksum with the body, which a 304 does not have. (moto then
        # removes it from the response to a range.)
        if status != HTTPStatus.NOT_MODIFIED:
            kms_keys.refuse_to_decrypt(key)
            headers |= requested_checksum_headers(self, key)
        return status, headers, body

    def head_object(
        self, bucket_name: str, query: dict[str, Any], key_name: str, headers: dict[str, Any]
    ) -> TYPE_RESPONSE:
        if "partNumber" in query:
            return super().head_object(bucket_name, query, key_name, headers)
        self._set_action("KEY", "HEAD", query)
        self._authenticate_and_authorize_s3_action(bucket_name=bucket_name, key_name=key_name)
        key, not_modified = self._get_key(validate_storage_class=False)
        shown = {
            **self._get_cors_headers_other(),
            **key.metadata,
            **key.response_dict,
            **version_header(self, key),
            **({} if not_modified else requested_checksum_headers(self, key)),
            "Accept-Ranges": "bytes",
        }
        return (304 if not_modified else 200), shown, ""

    def delete_object(self) -> TYPE_RESPONSE:
        key_name = self.parse_key_name()
        refuse_unless_conditions_hold(self, key_name)
        _, meta = self.backend.delete_object(
            self.bucket_name,
            key_name,
            version_id=self._get_param("versionId"),
            bypass=bypasses_governance(self),
        )
        return 204, {f"x-amz-{name}": value for name, value in meta.items()}, ""

    def _bucket_response_delete_keys(
        self,
        bucket_name: str,
        authenticated: bool = True,  # noqa: FBT001, FBT002, ARG002 - moto's signature
    ) -> TYPE_RESPONSE:
        """Delete each key on its own: an error for one of them does not stop the others."""
        try:
            items = ET.fromstring(self.body).findall("{*}Object")
        except ET.ParseError:
            items = []
        if not items:
            raise MalformedXML
        deleted, errors = [], []
        for item in items:
            key_name = item.findtext("{*}Key") or ""
            version = item.findtext("{*}VersionId")
            named: dict[str, Any] = {"Key": key_name, "VersionId": version}
            try:
                with key_lock(bucket_name, key_name):
                    refuse_unless_it_matches(
                        current(self.backend, bucket_name, key_name),
                        key_name,
                        etag=item.findtext("{*}ETag"),
                    )
                    _, meta = self.backend.delete_object(
                        bucket_name, key_name, version, bypass=bypasses_governance(self)
                    )
            except S3ClientError as error:
                errors.append({**named, "Code": error.code, "Message": error.message})
                continue
            if "delete-marker" in meta:
                named |= {"DeleteMarker": True, "DeleteMarkerVersionId": meta["version-id"]}
            deleted.append(named)
        return answered(self, "DeleteObjects", {"Deleted": deleted, "Errors": errors})

    def _get_key(
        self,
        validate_storage_class: bool = True,  # noqa: FBT001, FBT002 - moto's signature
    ) -> tuple[FakeKey, bool]:
        """The version to read, and whether the client has it already."""
        version_id = self.querystring.get("versionId", [None])[0]
        key = current(self.backend, self.bucket_name, self.parse_key_name(), version_id)
        if isinstance(key, FakeDeleteMarker):
            raise _on_delete_marker(key, version_id)
        key, not_modified = super()._get_key(validate_storage_class)
        refuse_without_customer_key(key, self.headers.get(CUSTOMER_KEY))
        self.key_read = key
        if self.method == "GET" and self.headers.get("range"):
            return _Unread(key), not_modified  # type: ignore[return-value]
        return key, not_modified

    def _handle_range_header(self, request: Any, headers: Any, body: Any) -> TYPE_RESPONSE:
        """Read only the range, or everything if the header is not a range."""
        status, headers, body = super()._handle_range_header(request, headers, body)
        return status, headers, body.read() if isinstance(body, Content) else body

    def _key_response_put(self, query: dict[str, Any], key_name: str) -> TYPE_RESPONSE:
        """A copy has no Content-MD5, which moto requires for every write into a locked bucket."""
        if "x-amz-copy-source" not in self.headers or query.get("uploadId"):
            return super()._key_response_put(query, key_name)
        self._set_action("KEY", "PUT", query)
        self._authenticate_and_authorize_s3_action(bucket_name=self.bucket_name, key_name=key_name)
        return self.copy_object()

    def _attributes_of_copy(self, source: StoredKey, key_name: str) -> Attributes:
        """The request's attributes; metadata and tags are the source's unless replaced."""
        attributes = Attributes.of_request(self)
        onto_itself = (source.bucket_name, source.name) == (self.bucket_name, key_name)
        if onto_itself and not any(name in self.headers for name in CHANGES):
            raise CopyObjectMustChangeSomething
        if self.headers.get("x-amz-metadata-directive") != "REPLACE":
            attributes = replace(attributes, metadata=dict(source.metadata))
        if self.headers.get("x-amz-tagging-directive") != "REPLACE":
            tags = self.backend.tagger.get_tag_dict_for_resource(source.arn)
            attributes = replace(attributes, tags=tags)
        return attributes


class _Unread:
    """A key whose bytes are read only after the range is known: moto would read all of them."""

    def __init__(self, key: FakeKey) -> None:
        self._key = key

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)

    @property
    def value(self) -> Any:
        return self._key.content if isinstance(self._key, StoredKey) else self._key.value


def _refuse_to_copy(source: StoredKey) -> None:
    if source.storage_class in ARCHIVE_STORAGE_CLASSES and not restored(source):
        raise ObjectNotInActiveTierError(source.name)
    if source.size > COPY_LIMIT_BYTES:
        raise S3ClientError(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {COPY_LIMIT_BYTES}",
        )


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
