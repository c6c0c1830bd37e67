"""What the local S3's responses contain about an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult

from localcloud.s3.kms_keys import kms_keys

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE
    from moto.s3.models import FakeKey
    from moto.s3.responses import S3Response


def answered(request: S3Response, action: str, result: dict[str, Any]) -> TYPE_RESPONSE:
    """The result of an operation as XML, with the headers that every response has."""
    request.data["Action"] = action
    status, headers, text = request.serialized(ActionResult(result))
    headers.update(request._get_cors_headers_other())
    return status, headers, text


def written_headers(key: FakeKey) -> dict[str, Any]:
    """The headers of an XML response: nothing that describes the object's own bytes."""
    hidden = {"content-length", "last-modified", "ETag"}
    return {name: value for name, value in key.response_dict.items() if name not in hidden}


def checksum_result(key: FakeKey) -> dict[str, Any]:
    """The elements of a response that show the checksum of the object just written."""
    return {
        f"Checksum{key.checksum_algorithm}": key.checksum_value,
        "ChecksumType": key.checksum_type,
    }


def checksum_headers(key: FakeKey) -> dict[str, Any]:
    if key.checksum_algorithm is None:
        return {}
    return {
        f"x-amz-checksum-{key.checksum_algorithm.lower()}": key.checksum_value,
        "x-amz-checksum-type": key.checksum_type,
    }


def requested_checksum_headers(request: S3Response, key: FakeKey) -> dict[str, Any]:
    """The checksum if the request has ChecksumMode, for which the object must be decrypted."""
    if request.headers.get("x-amz-checksum-mode", "").upper() != "ENABLED":
        return {}
    kms_keys.refuse_to_decrypt(key)
    return checksum_headers(key)


def version_header(request: S3Response, key: FakeKey) -> dict[str, Any]:
    bucket = request.backend.get_bucket(request.bucket_name)
    return {} if bucket.versioning_status is None else {"x-amz-version-id": key.version_id}


def source_version_header(request: S3Response, source: FakeKey) -> dict[str, Any]:
    bucket = request.backend.get_bucket(source.bucket_name)  # type: ignore[arg-type]
    if bucket.versioning_status is None:
        return {}
    return {"x-amz-copy-source-version-id": source.version_id}
