"""Looks at both sides of a promotion: the upload, and what its slot holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.copy_ends import expected_owner
from chalicelib.policy import (
    Checksum,
    DeleteMarker,
    Policy,
    Sealed,
    Slot,
    Stored,
    Upload,
    objection,
)
from chalicelib.s3_errors import error_code, http_status
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Every checksum that S3 knows: the sender chooses one, and must not choose one that we overlook.
CHECKSUMS = (
    "CRC64NVME",
    "CRC32",
    "CRC32C",
    "SHA256",
    "SHA1",
    "SHA512",
    "MD5",
    "XXHASH64",
    "XXHASH3",
    "XXHASH128",
)


# Older uploads of a slot that are looked at: more of them can only be a flood of what S3 cannot
# copy.
MOST_LOOKS = 100


@dataclass(frozen=True, kw_only=True)
class Found:
    """Both sides of a promotion: the upload (None: gone) and what is in its slot (None: free).

    `older` is when an upload was made that is eligible for the same slot and came first.
    """

    upload: Upload | Sealed | None = None
    stored: Stored | DeleteMarker | None = None
    older: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """Looks at both buckets, by HEAD and list: 404 is absence, and every other error raises."""

    s3: "S3Client"
    settings: Settings
    policy: Policy

    def gather(
        self, *, key: str, version_id: str | None, now: datetime, largest: int | None = None
    ) -> Found:
        """What is there now. `largest` is as for `decide`. A key that no rule names is not looked
        at.
        """
        if key not in self.policy.claims:
            return Found()
        upload = self.look_at_upload(key=key, version_id=version_id)
        if not isinstance(upload, Upload):
            return Found(upload=upload)
        slot = self.policy.slot_of(key, upload.last_modified)
        stored = self.look_at_slot(slot.name)
        older = None
        if stored is None and not objection(self.policy, upload, now=now, largest=largest):
            older = self._older(slot, upload, now=now, largest=largest)
        return Found(upload=upload, stored=stored, older=older)

    def look_at_slot(self, name: str) -> Stored | DeleteMarker | None:
        """What the vault has under this name (None: nothing)."""
        try:
            head = self.s3.head_object(
                Bucket=self.settings.vault_bucket,
                Key=name,
                ChecksumMode="ENABLED",
                **expected_owner(self.settings.vault_owner),
            )
        except ClientError as error:
            if http_status(error) != HTTPStatus.NOT_FOUND:
                raise
            headers = error.response["ResponseMetadata"]["HTTPHeaders"]
            return DeleteMarker() if headers.get("x-amz-delete-marker") == "true" else None
        return Stored(
            size=head["ContentLength"],
            last_modified=head["LastModified"],
            etag=head["ETag"].strip('"'),
            source_key=head["Metadata"].get("source-key"),
            source_etag=head["Metadata"].get("source-etag"),
            source_version_id=head["Metadata"].get("source-version-id"),
            source_last_modified=head["Metadata"].get("source-last-modified"),
            checksum=_checksum(head),
        )

    def look_at_upload(self, *, key: str, version_id: str | None) -> Upload | Sealed | None:
        """The upload of this version (None: the current one), or None if there is none."""
        request: dict[str, Any] = {
            "Bucket": self.settings.incoming_bucket,
            "Key": key,
            **({"VersionId": version_id} if version_id else {}),
            **expected_owner(self.settings.incoming_owner),
        }
        try:
            head: Mapping[str, Any] = self.s3.head_object(**request, ChecksumMode="ENABLED")
        except ClientError as error:
            if http_status(error) == HTTPStatus.NOT_FOUND:
                return None
            if http_status(error) == HTTPStatus.BAD_REQUEST and _is_sealed(self.s3, request):
                return Sealed(key=key)
            if http_status(error) != HTTPStatus.FORBIDDEN:
                raise
            # Under a KMS key that is not ours even asking for a checksum is forbidden.
            head = self.s3.head_object(**request)
            if not head.get("ServerSideEncryption", "").startswith("aws:kms"):
                raise
        return Upload(
            key=key,
            etag=head["ETag"].strip('"'),
            size=head["ContentLength"],
            last_modified=head["LastModified"],
            version_id=head.get("VersionId"),
            storage_class=head.get("ArchiveStatus") or head.get("StorageClass") or "STANDARD",
            encryption=head.get("ServerSideEncryption"),
            checksum=_checksum(head),
        )

    def versions(self, key: str, *, after: str | None = None) -> Iterator[list[Upload]]:
        """The versions of `key` in incoming, page by page, from the newest to the oldest.

        With `after`, those that S3 lists behind that version, which may come once more itself. A
        list knows neither checksums nor encryption.
        """
        marker = {"KeyMarker": key, "VersionIdMarker": after} if after else {}
        while True:
            page = self._list_versions(Prefix=key, **marker)
            yield [
                Upload(
                    key=key,
                    etag=version["ETag"].strip('"'),
                    size=version["Size"],
                    last_modified=version["LastModified"],
                    version_id=version["VersionId"],
                    storage_class=version.get("StorageClass", "STANDARD"),
                )
                for version in page.get("Versions", [])
                if version["Key"] == key
            ]
            if not page["IsTruncated"] or page["NextKeyMarker"] != key:
                return
            marker = {"KeyMarker": key, "VersionIdMarker": page["NextVersionIdMarker"]}

    def sizes_of_unknown_keys(self) -> Iterator[list[int]]:
        """The bytes of each version in incoming whose key no rule names, page by page."""
        known = self.policy.claims
        marker: dict[str, str] = {}
        while True:
            page = self._list_versions(**marker)
            yield [one["Size"] for one in page.get("Versions", []) if one["Key"] not in known]
            if not page["IsTruncated"]:
                return
            marker = {"KeyMarker": page["NextKeyMarker"]}
            # Without this marker S3 goes on behind the key, whose other versions are not asked for.
            if page["NextKeyMarker"] not in known:
                marker["VersionIdMarker"] = page["NextVersionIdMarker"]

    def _list_versions(self, **where: Any) -> Mapping[str, Any]:
        return self.s3.list_object_versions(
            Bucket=self.settings.incoming_bucket,
            **where,
            **expected_owner(self.settings.incoming_owner),
        )

    def _older(
        self, slot: Slot, upload: Upload, *, now: datetime, largest: int | None
    ) -> datetime | None:
        """When an upload was made that is eligible for the slot and that S3 lists as older.

        Behind an upload that came at once, before the slot began, nothing belongs to the slot: S3
        lists uploads either by when they were begun or by when they were complete.
        """
        if upload.version_id is None:
            return None
        looks = 0
        pages = self.versions(upload.key, after=upload.version_id)
        for other in (version for page in pages for version in page):
            if other.version_id == upload.version_id:
                continue
            if other.last_modified < slot.start and not other.came_in_parts:
                break
            if not slot.start <= other.last_modified < slot.end:
                continue
            if objection(self.policy, other, now=now, largest=largest):
                continue
            looks += 1
            if looks > MOST_LOOKS or self.is_eligible(other, now=now, largest=largest):
                return other.last_modified
        return None

    def is_eligible(self, listed: Upload, *, now: datetime, largest: int | None = None) -> bool:
        """Whether this version is there and nothing, seen or unseen in a list, refuses it."""
        upload = self.look_at_upload(key=listed.key, version_id=listed.version_id)
        return isinstance(upload, Upload) and not objection(
            self.policy, upload, now=now, largest=largest
        )


def _is_sealed(s3: "S3Client", request: Mapping[str, Any]) -> bool:
    """Whether the upload is under its sender's own key: a HEAD's 400 has no body to say so."""
    try:
        s3.get_object(**request, Range="bytes=0-0")
    except ClientError as error:
        return error_code(error) == "InvalidRequest"
    return False


def _checksum(head: Mapping[str, Any]) -> Checksum | None:
    """The checksum over the whole object. (One over its parts, `...-N`, compares with nothing.)"""
    for algorithm in CHECKSUMS:
        value = head.get(f"Checksum{algorithm}")
        if value and head.get("ChecksumType") != "COMPOSITE":
            return Checksum(algorithm=algorithm, value=value)
    return None
