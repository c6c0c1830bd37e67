"""The conditions and checksums of a request to the local S3, and S3's errors if they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.core.utils import str_to_rfc_1123_datetime
from moto.s3.exceptions import (
    InvalidObjectState,
    MissingKey,
    MissingVersion,
    PreconditionFailed,
    S3AccessDeniedError,
    S3ClientError,
)
from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES

from localcloud.s3.attributes import Checksum
from localcloud.s3.checksums import ALGORITHMS, encoded
from localcloud.s3.content import Content, StoredKey
from localcloud.s3.kms_keys import kms_keys
from localcloud.s3.versions import current

if TYPE_CHECKING:
    from moto.s3.responses import S3Response

SOURCE_CUSTOMER_KEY = "x-amz-copy-source-server-side-encryption-customer-key-md5"


def refuse_unless_conditions_hold(request: S3Response, key_name: str) -> None:
    """Compare If-Match and If-None-Match with the current version; a delete marker does not count.

    It is not known what S3 does if If-None-Match has no value. Here it is refused, like any value
    except *.
    """
    if_match = request.headers.get("If-Match")
    if_none_match = request.headers.get("If-None-Match")
    if not if_match and if_none_match is None:
        return
    key = current(request.backend, request.bucket_name, key_name)
    if if_none_match not in (None, "*"):
        raise S3ClientError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
        )
    if if_none_match and isinstance(key, FakeKey):
        raise PreconditionFailed("If-None-Match")
    refuse_unless_it_matches(key, key_name, etag=if_match)


def refuse_unless_it_matches(
    key: FakeKey | FakeDeleteMarker | None, key_name: str, *, etag: str | None
) -> None:
    """Raise S3's error if an ETag is required and the current version has a different one."""
    if not etag:
        return
    if not isinstance(key, FakeKey):
        raise MissingKey(key=key_name)
    if not _same_etag(etag, key):
        raise PreconditionFailed("If-Match")


def copy_source(request: S3Response) -> StoredKey:
    """The object that x-amz-copy-source names. Raises S3's error unless its conditions hold."""
    path, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    bucket_name, _, key_name = unquote(path).lstrip("/").partition("/")
    version_id = unquote(version) or None
    refuse_foreign_owner(request, bucket_name, "x-amz-source-expected-bucket-owner")
    key = current(request.backend, bucket_name, key_name, version_id)
    if isinstance(key, FakeDeleteMarker) and version_id:
        raise S3ClientError(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by "
            "version id.",
        )
    if not isinstance(key, StoredKey):
        raise MissingVersion if version_id else MissingKey(key=key_name)
    key.advance()
    refuse_without_customer_key(key, request.headers.get(SOURCE_CUSTOMER_KEY))
    kms_keys.refuse_to_decrypt(key)
    _refuse_unless_source_conditions_hold(request.headers, key)
    return key


def _refuse_unless_source_conditions_hold(headers: Any, key: FakeKey) -> None:
    modified = key.last_modified.replace(microsecond=0)
    if_match = headers.get("x-amz-copy-source-if-match")
    unmodified_since = headers.get("x-amz-copy-source-if-unmodified-since")
    none_match = headers.get("x-amz-copy-source-if-none-match")
    modified_since = headers.get("x-amz-copy-source-if-modified-since")
    if if_match:
        # A match takes precedence over the date.
        if not _same_etag(if_match, key):
            raise PreconditionFailed("x-amz-copy-source-If-Match")
    elif unmodified_since and modified > str_to_rfc_1123_datetime(unmodified_since):
        raise PreconditionFailed("x-amz-copy-source-If-Unmodified-Since")
    if none_match and _same_etag(none_match, key):
        raise PreconditionFailed("x-amz-copy-source-If-None-Match")
    if modified_since and modified <= str_to_rfc_1123_datetime(modified_since):
        raise PreconditionFailed("x-amz-copy-source-If-Modified-Since")


def refuse_foreign_owner(request: S3Response, bucket_name: str, header: str) -> None:
    expected = request.headers.get(header)
    if expected and expected != request.backend.get_bucket(bucket_name).account_id:
        raise S3AccessDeniedError


def refuse_without_customer_key(key: FakeKey, offered: str | None) -> None:
    required = getattr(key, "customer_key", None)
    if required is None:
        return
    if offered is None:
        raise S3ClientError(
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. The correct "
            "parameters must be provided to retrieve the object.",
        )
    if offered != required:
        raise S3AccessDeniedError


def refuse_archived_part_source(source: FakeKey) -> None:
    if source.storage_class in ARCHIVE_STORAGE_CLASSES and not restored(source):
        raise InvalidObjectState(storage_class=source.storage_class)


def restored(key: FakeKey) -> bool:
    return 'ongoing-request="false"' in key.response_dict.get("x-amz-restore", "")


def received_checksum(request: S3Response, content: Content) -> Checksum:
    """The checksum that the request claims for its body, verified; CRC64NVME if it claims none."""
    content_md5 = request.headers.get("Content-MD5")
    if content_md5 and content_md5 != encoded(bytes.fromhex(content.md5())):
        raise S3ClientError(
            "BadDigest", "The Content-MD5 you specified did not match what we received."
        )
    claimed = claimed_checksum(request)
    algorithm = request.headers.get("x-amz-sdk-checksum-algorithm", "").upper()
    if claimed is None:
        return Checksum.of(content, algorithm if algorithm in ALGORITHMS else "CRC64NVME")
    if Checksum.of(content, claimed.algorithm).value != claimed.value:
        raise bad_digest(claimed.algorithm)
    return claimed


def claimed_checksum(request: S3Response) -> Checksum | None:
    """The checksum in a header or, if the body came in chunks, in its trailer."""
    trailer = request.headers.get("x-amz-trailer", "").lower()
    for algorithm in ALGORITHMS:
        header = f"x-amz-checksum-{algorithm.lower()}"
        value = request.headers.get(header)
        if value:
            return Checksum(algorithm, value)
        if trailer == header:
            name = header.encode("ascii") + b":"
            line = request.raw_body[request.raw_body.rindex(name) + len(name) :]
            return Checksum(algorithm, line.split(b"\r\n")[0].strip().decode("ascii"))
    return None


def bad_digest(algorithm: str) -> S3ClientError:
    return S3ClientError(
        "BadDigest", f"The {algorithm} you specified did not match the calculated checksum."
    )


def _same_etag(etag: str, key: FakeKey) -> bool:
    return etag == "*" or etag.strip('"') == key.etag.strip('"')
