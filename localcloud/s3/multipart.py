"""Multipart uploads of the local S3: begun, listed, filled and completed as S3 does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import (
    NoSuchUpload,
    PreconditionFailed,
    S3ClientError,
)
from moto.s3.models import FakeKey, FakeMultipart
from moto.s3.notifications import S3NotificationEvent

from localcloud.clock import utcnow
from localcloud.s3.attributes import Attributes, Checksum
from localcloud.s3.checksums import ALGORITHMS, digest, encoded
from localcloud.s3.conditions import (
    copy_source,
    received_checksum,
    refuse_archived_part_source,
    refuse_unless_conditions_hold,
)
from localcloud.s3.content import Content, StoredKey
from localcloud.s3.events import next_moment
from localcloud.s3.kms_keys import kms_keys
from localcloud.s3.objects import source_version_header, written_headers
from localcloud.s3.parts import chosen_parts, refuse_wrong_checksum, source_range
from localcloud.s3.versions import md5, new_version_id, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.common_types import TYPE_RESPONSE
    from moto.s3.responses import S3Response

LARGEST_PART_NUMBER = 10_000
FULL_OBJECT_ONLY = {"CRC64NVME"}
COMPOSITE_ONLY = {"SHA1", "SHA256"}


class Upload(FakeMultipart):
    """An unfinished upload: it knows when it was begun and what it will become.

    Lock and encryption are those of the bucket at that moment, whatever changes before the upload
    is completed; so are `place` among the versions and, if the bucket keeps versions, `version_id`.
    """

    parts: dict[int, StoredKey]  # type: ignore[assignment]

    def __init__(self, response: S3Response, key_name: str) -> None:
        super().__init__(
            key_name,
            {},  # type: ignore[arg-type]
            account_id=response.backend.account_id,
            region_name=response.backend.region_name,
        )
        # Listings go by key and id, and S3 shows a key's uploads as they were initiated.
        self.place = next_moment()
        self.id = self.place + self.id
        bucket = response.backend.get_bucket(response.bucket_name)
        self.version_id = new_version_id(bucket)
        self.initiated = utcnow()
        self.attributes = Attributes.of_request(response)
        self.chosen_algorithm: str | None = response.headers.get("x-amz-checksum-algorithm")
        self.chosen_type: str | None = response.headers.get("x-amz-checksum-type")
        self.checksum_algorithm = self.chosen_algorithm or "CRC64NVME"
        self.checksum_type = self.chosen_type or (
            "FULL_OBJECT" if self.checksum_algorithm in FULL_OBJECT_ONLY else "COMPOSITE"
        )
        if self.checksum_algorithm not in ALGORITHMS:
            raise S3ClientError("InvalidRequest", "Checksum algorithm provided is unsupported.")
        impossible = FULL_OBJECT_ONLY if self.checksum_type == "COMPOSITE" else COMPOSITE_ONLY
        if self.checksum_algorithm in impossible:
            raise S3ClientError(
                "InvalidRequest",
                f"The {self.checksum_type} checksum type cannot be used with the "
                f"{self.checksum_algorithm.lower()} checksum algorithm.",
            )

    def put_part(self, number: int, content: Content) -> StoredKey:
        kms_keys.refuse_to_encrypt_a_part(self.attributes.encryption)
        part = StoredKey(
            str(number),
            content,  # type: ignore[arg-type]
            account_id=self.account_id,
            region_name=self.region_name,
            etag=content.md5(),
            **self.attributes.encryption,
        )
        self.parts[number] = part
        return part

    def checksum(self, parts: list[StoredKey], content: Content) -> Checksum:
        if self.checksum_type == "FULL_OBJECT":
            return Checksum.of(content, self.checksum_algorithm)
        digests = b"".join(part.content.digest(self.checksum_algorithm) for part in parts)
        value = encoded(digest(digests, self.checksum_algorithm))
        return Checksum(self.checksum_algorithm, f"{value}-{len(parts)}", "COMPOSITE")


# Requests


def create_or_complete(
    original: Callable[..., TYPE_RESPONSE],
    self: S3Response,
    request: Any,
    body: bytes,
    bucket_name: str,
    query: dict[str, Any],
    key_name: str,
) -> TYPE_RESPONSE:
    if "uploads" not in query and "uploadId" not in query:
        return original(self, request, body, bucket_name, query, key_name)
    self._set_action("KEY", "POST", query)
    self._authenticate_and_authorize_s3_action(bucket_name=bucket_name, key_name=key_name)
    if "uploads" in query:
        return _create(self, key_name)
    return _complete(self, body, key_name, query["uploadId"][0])


def _create(self: S3Response, key_name: str) -> TYPE_RESPONSE:
    upload = Upload(self, key_name)
    self.backend.get_bucket(self.bucket_name).multiparts[upload.id] = upload
    answer = {
        "Bucket": self.bucket_name,
        "Key": key_name,
        "UploadId": upload.id,
        "VersionId": upload.version_id,
        "ChecksumAlgorithm": upload.chosen_algorithm,
        "ChecksumType": upload.checksum_type if upload.chosen_algorithm else None,
    }
    return answered(self, "CreateMultipartUpload", answer)


def upload_part(self: S3Response) -> TYPE_RESPONSE:
    upload, number = _open_part(self)
    content = Content.of(self.body or b"")
    checksum = received_checksum(self, content)
    part = upload.put_part(number, content)
    headers = {**self._get_cors_headers_other(), **written_headers(part), "ETag": part.etag}
    return 200, headers | {checksum.header: checksum.value}, ""


def upload_part_copy(self: S3Response) -> TYPE_RESPONSE:
    source = copy_source(self)
    refuse_archived_part_source(source)
    upload, number = _open_part(self)
    range_ = self.headers.get("x-amz-copy-source-range")
    content = source.content.cut(*source_range(range_, source.size)) if range_ else source.content
    part = upload.put_part(number, content)
    answer = {"CopyPartResult": {"ETag": part.etag, "LastModified": part.last_modified_ISO8601}}
    status, headers, text = answered(self, "UploadPartCopy", answer)
    return status, headers | written_headers(part) | source_version_header(self, source), text


def _complete(self: S3Response, body: bytes, key_name: str, upload_id: str) -> TYPE_RESPONSE:
    key = _completed(self, key_name, upload_id)
    if key is not None:
        # The reply was lost and the request is sent again: a condition now meets its own object.
        if self.headers.get("If-None-Match") is not None:
            raise PreconditionFailed("If-None-Match")
    else:
        upload = find_upload(self, key_name, upload_id)
        refuse_unless_conditions_hold(self, key_name)
        parts = chosen_parts(upload, list(self._complete_multipart_body(body)))
        key = _assemble(self, upload, parts)
        del self.backend.get_bucket(self.bucket_name).multiparts[upload_id]
    answer = {
        "Location": f"http://{self.bucket_name}.s3.amazonaws.com/{key_name}",
        "Bucket": self.bucket_name,
        "Key": key_name,
        "ETag": key.etag,
        f"Checksum{key.checksum_algorithm}": key.checksum_value,
        "ChecksumType": key.checksum_type,
    }
    status, headers, text = answered(self, "CompleteMultipartUpload", answer)
    return status, headers | written_headers(key), text


def _completed(self: S3Response, key_name: str, upload_id: str) -> FakeKey | None:
    """The object that this upload has become, which need not be the current version."""
    versions = self.backend.get_bucket(self.bucket_name).keys.getlist(key_name, [])
    return next(
        (
            version
            for version in versions
            if isinstance(version, FakeKey) and getattr(version.multipart, "id", "") == upload_id
        ),
        None,
    )


def _assemble(self: S3Response, upload: Upload, parts: list[StoredKey]) -> FakeKey:
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


# What requests say, and what they are refused for


def find_upload(response: S3Response, key_name: str, upload_id: str) -> Upload:
    upload = response.backend.get_bucket(response.bucket_name).multiparts.get(upload_id)
    if not isinstance(upload, Upload) or upload.key_name != key_name:
        raise NoSuchUpload(upload_id=upload_id)
    return upload


def _open_part(response: S3Response) -> tuple[Upload, int]:
    upload = find_upload(response, response.parse_key_name(), response._get_param("uploadId"))
    number = response._get_int_param("partNumber")
    if not 1 <= number <= LARGEST_PART_NUMBER:
        raise S3ClientError(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {LARGEST_PART_NUMBER}, inclusive",
        )
    return upload, number


# What answers show


def answered(response: S3Response, action: str, answer: dict[str, Any]) -> TYPE_RESPONSE:
    response.data["Action"] = action
    status, headers, text = response.serialized(ActionResult(answer))
    headers.update(response._get_cors_headers_other())
    return status, headers, text
