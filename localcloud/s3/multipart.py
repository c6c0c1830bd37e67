"""Multipart uploads of the local S3: initiated, filled with parts and completed as in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import PreconditionFailed, S3ClientError
from moto.s3.models import FakeKey
from moto.s3.notifications import S3NotificationEvent
from moto.s3.responses import S3Response

from localcloud.s3.answers import (
    answered,
    checksum_result,
    source_version_header,
    written_headers,
)
from localcloud.s3.conditions import (
    copy_source,
    received_checksum,
    refuse_archived_part_source,
    refuse_unless_conditions_hold,
)
from localcloud.s3.content import Content, StoredKey
from localcloud.s3.parts import chosen_parts, listed_parts, refuse_wrong_checksum, source_range
from localcloud.s3.uploads import MultipartUpload, find_upload, find_upload_of_part
from localcloud.s3.versions import md5, store

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE


class MultipartRequests(S3Response):
    """CreateMultipartUpload, UploadPart, UploadPartCopy and CompleteMultipartUpload."""

    def _key_response_post(
        self, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
    ) -> TYPE_RESPONSE:
        if "uploads" not in query and "uploadId" not in query:
            return super()._key_response_post(request, body, bucket_name, query, key_name)
        self._set_action("KEY", "POST", query)
        self._authenticate_and_authorize_s3_action(bucket_name=bucket_name, key_name=key_name)
        if "uploads" in query:
            return self._create_upload(key_name)
        return self._complete_upload(body, key_name, query["uploadId"][0])

    def _create_upload(self, key_name: str) -> TYPE_RESPONSE:
        upload = MultipartUpload(self, key_name)
        self.backend.get_bucket(self.bucket_name).multiparts[upload.id] = upload
        result = {
            "Bucket": self.bucket_name,
            "Key": key_name,
            "UploadId": upload.id,
            "VersionId": upload.version_id,
            "ChecksumAlgorithm": upload.chosen_algorithm,
            "ChecksumType": upload.checksum_type if upload.chosen_algorithm else None,
        }
        return answered(self, "CreateMultipartUpload", result)

    def upload_part(self) -> TYPE_RESPONSE:
        upload, number = find_upload_of_part(self)
        content = Content.of(self.body or b"")
        checksum = received_checksum(self, content)
        part = upload.put_part(number, content)
        headers = {**self._get_cors_headers_other(), **written_headers(part), "ETag": part.etag}
        return 200, headers | {checksum.header: checksum.value}, ""

    def upload_part_copy(self) -> TYPE_RESPONSE:
        source = copy_source(self)
        refuse_archived_part_source(source)
        upload, number = find_upload_of_part(self)
        content = source.content
        if range_ := self.headers.get("x-amz-copy-source-range"):
            content = content.cut(*source_range(range_, source.size))
        part = upload.put_part(number, content)
        result = {"CopyPartResult": {"ETag": part.etag, "LastModified": part.last_modified_ISO8601}}
        status, headers, text = answered(self, "UploadPartCopy", result)
        return status, headers | written_headers(part) | source_version_header(self, source), text

    def _complete_upload(self, body: bytes, key_name: str, upload_id: str) -> TYPE_RESPONSE:
        key = self._completed(key_name, upload_id)
        if key is not None:
            # A retry after a lost response: the condition now fails because of the object that it
            # created itself.
            if self.headers.get("If-None-Match") is not None:
                raise PreconditionFailed("If-None-Match")
        else:
            upload = find_upload(self, key_name, upload_id)
            refuse_unless_conditions_hold(self, key_name)
            parts = chosen_parts(upload, listed_parts(body))
            key = self._assemble(upload, parts)
            del self.backend.get_bucket(self.bucket_name).multiparts[upload_id]
        result = {
            "Location": f"http://{self.bucket_name}.s3.amazonaws.com/{key_name}",
            "Bucket": self.bucket_name,
            "Key": key_name,
            "ETag": key.etag,
            **checksum_result(key),
        }
        status, headers, text = answered(self, "CompleteMultipartUpload", result)
        return status, headers | written_headers(key), text

    def _completed(self, key_name: str, upload_id: str) -> FakeKey | None:
        """The object that this upload has become, which is not always the current version."""
        versions = self.backend.get_bucket(self.bucket_name).keys.getlist(key_name, [])
        return next(
            (
                version
                for version in versions
                if isinstance(version, FakeKey)
                and getattr(version.multipart, "id", "") == upload_id
            ),
            None,
        )

    def _assemble(self, upload: MultipartUpload, parts: list[StoredKey]) -> FakeKey:
        content = Content.joined(part.content for part in parts)
        announced = self.headers.get("x-amz-mp-object-size")
        if announced and int(announced) != content.size:
            raise S3ClientError(
                "InvalidRequest",
                f"The provided 'x-amz-mp-object-size' header value {announced} does not match what "
                f"was computed: {content.size}",
            )
        checksum = upload.checksum(parts, content)
        refuse_wrong_checksum(self, checksum)
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        return store(
            self,
            upload.key_name,
            content,
            upload.attributes,
            checksum=checksum,
            event=S3NotificationEvent.OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT,
            etag=f"{md5(digests)}-{len(parts)}",
            upload=upload,
        )
