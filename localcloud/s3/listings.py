"""What the local S3 lists: uploads, parts and versions, in S3's order, page by page."""

from __future__ import annotations

from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.s3.exceptions import S3ClientError
from moto.s3.models import OWNER, FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response

from localcloud.s3.answers import answered
from localcloud.s3.uploads import MultipartUpload, find_upload
from localcloud.s3.versions import index_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.core.common_types import TYPE_RESPONSE

PAGE = 1000
"""The most that S3 lists in one response."""


class MultipartListing(S3Response):
    """ListParts and ListMultipartUploads."""

    def list_parts(self) -> TYPE_RESPONSE:
        key_name = self.parse_key_name()
        upload = find_upload(self, key_name, self._get_param("uploadId"))
        marker = self._get_int_param("part-number-marker", 0)
        limit = min(self._get_int_param("max-parts", PAGE), PAGE)
        numbers = sorted(number for number in upload.parts if number > marker)
        page = numbers[:limit]
        result = {
            "Bucket": self.bucket_name,
            "Key": key_name,
            **_described(upload),
            "PartNumberMarker": marker,
            "NextPartNumberMarker": page[-1] if page else 0,
            "MaxParts": limit,
            "IsTruncated": bool(page) and len(numbers) > len(page),
            "Parts": [
                {
                    "PartNumber": number,
                    "LastModified": upload.parts[number].last_modified_ISO8601,
                    "ETag": upload.parts[number].etag,
                    "Size": upload.parts[number].size,
                }
                for number in page
            ],
        }
        return answered(self, "ListParts", result)

    def list_multipart_uploads(self) -> TYPE_RESPONSE:
        query = {name: values[0] for name, values in self.querystring.items() if values}
        prefix = query.get("prefix", "")
        key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
        limit = min(int(query.get("max-uploads", PAGE)), PAGE)
        uploads = sorted(
            (
                upload
                for upload in list(self.backend.get_bucket(self.bucket_name).multiparts.values())
                if isinstance(upload, MultipartUpload)
                and upload.key_name.startswith(prefix)
                and (
                    upload.key_name > key_marker
                    or (id_marker and upload.key_name == key_marker and upload.id > id_marker)
                )
            ),
            key=attrgetter("key_name", "id"),
        )
        page = uploads[:limit]
        result: dict[str, Any] = {
            "Bucket": self.bucket_name,
            "Prefix": prefix,
            "KeyMarker": key_marker,
            "UploadIdMarker": id_marker,
            "MaxUploads": limit,
            "IsTruncated": bool(page) and len(uploads) > len(page),
            "Uploads": [
                {
                    "Key": upload.key_name,
                    **_described(upload),
                    "Initiated": iso_8601_datetime_with_milliseconds(upload.initiated),
                }
                for upload in page
            ],
        }
        if result["IsTruncated"]:
            result |= {"NextKeyMarker": page[-1].key_name, "NextUploadIdMarker": page[-1].id}
        return answered(self, "ListMultipartUploads", result)


def _described(upload: MultipartUpload) -> dict[str, Any]:
    return {
        "UploadId": upload.id,
        "StorageClass": upload.attributes.storage_class,
        "Initiator": {"ID": OWNER},
        "Owner": {"ID": OWNER},
        "ChecksumAlgorithm": upload.chosen_algorithm,
        "ChecksumType": upload.checksum_type if upload.chosen_algorithm else None,
    }


class VersionListing(S3Backend):
    """ListObjectVersions."""

    def list_object_versions(
        self,
        bucket_name: str,
        delimiter: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = 1000,
        prefix: str = "",
        version_id_marker: str | None = None,
    ) -> tuple[list[Any], list[str], list[Any], str | None, str | None]:
        """List versions in S3's order; moto sorts by LastModified."""
        limit = min(PAGE if max_keys is None else max_keys, PAGE)
        page: list[Any] = []
        prefixes: set[str] = set()
        last: tuple[str | None, str | None] = (None, None)
        bucket = self.get_bucket(bucket_name)
        for version in _versions(bucket, prefix, key_marker or "", version_id_marker):
            head, cut, _ = version.name[len(prefix) :].partition(delimiter or "\0")
            common = prefix + head + cut if cut else None
            if common is not None and (common in prefixes or common == key_marker):
                continue
            if len(page) + len(prefixes) >= limit:
                return (*_by_kind(page, prefixes), *last)
            if common is None:
                page.append(version)
                last = (version.name, version.version_id)
            else:
                prefixes.add(common)
                last = (common, None)
        return (*_by_kind(page, prefixes), None, None)


def _versions(
    bucket: FakeBucket, prefix: str, key_marker: str, version_id_marker: str | None
) -> Iterator[Any]:
    """Every version and delete marker that follows the markers, as it is now."""
    for name in sorted(
        name for name in list(bucket.keys) if name.startswith(prefix) and name >= key_marker
    ):
        versions = bucket.keys.getlist(name, [])
        end = len(versions)
        if key_marker and name == key_marker:
            if not version_id_marker:
                continue
            # The rest of the list follows even if the marker's object was removed after it was
            # listed.
            marker = index_of(bucket.name, name, version_id_marker, versions)
            if marker is None:
                raise S3ClientError("InvalidArgument", "Invalid version id specified")
            end, _ = marker
        for index in range(end - 1, -1, -1):
            yield _shown(versions[index], is_latest=index == len(versions) - 1)


def _shown(version: Any, *, is_latest: bool) -> SimpleNamespace:
    shown = {
        "name": version.name,
        "version_id": version.version_id,
        "is_latest": is_latest,
        "last_modified_ISO8601": version.last_modified_ISO8601,
    }
    if isinstance(version, FakeKey):
        shown |= {
            "etag": version.etag,
            "size": version.size,
            "storage_class": version.storage_class,
        }
    return SimpleNamespace(**shown)


def _by_kind(page: list[Any], prefixes: set[str]) -> tuple[list[Any], list[str], list[Any]]:
    objects = [version for version in page if hasattr(version, "etag")]
    markers = [version for version in page if not hasattr(version, "etag")]
    return objects, sorted(prefixes), markers
