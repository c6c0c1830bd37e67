"""Reads both buckets and removes uploads. A 404 means absent; every other error raises."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.policy.decision import (
    Checksum,
    CustomerEncrypted,
    DeleteMarker,
    Refusal,
    Stored,
    Upload,
)
from chalicelib.policy.policy import Policy, Slot
from chalicelib.s3_errors import error_code, http_status
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFLICT = "ConditionalRequestConflict"
# Another request is writing to the same key; S3's response asks for a retry.
CONFLICT_ATTEMPTS = 5
# How many older uploads of a slot get a HEAD. If more uploads are listed that cannot be copied,
# they are a flood.
MOST_LOOKS = 100
# S3 aborts unfinished uploads to incoming after `accept_within`, and can be two days late.
ABORTED_AFTER = timedelta(days=3)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket, and the account that must own it (None: not checked)."""

    s3: "S3Client"
    name: str
    owner: str | None = None

    @property
    def args(self) -> dict[str, Any]:
        """The arguments of every request. S3 refuses it if another account owns the bucket."""
        owner = {"ExpectedBucketOwner": self.owner} if self.owner else {}
        return {"Bucket": self.name, **owner}


@dataclass(frozen=True, kw_only=True)
class Incoming(Bucket):
    """The bucket that servers upload to."""

    def head(self, key: str, version_id: str | None) -> Upload | CustomerEncrypted | None:
        """Look up the upload of this version (None: the current one); None if it is absent."""
        which: dict[str, Any] = {"Key": key, **({"VersionId": version_id} if version_id else {})}
        try:
            head: Mapping[str, Any] = self.s3.head_object(
                **self.args, **which, ChecksumMode="ENABLED"
            )
        except ClientError as error:
            status = http_status(error)
            if status == HTTPStatus.NOT_FOUND or _is_delete_marker(error):
                return None
            if status == HTTPStatus.BAD_REQUEST and self._is_customer_encrypted(which):
                return CustomerEncrypted(key=key)
            if status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN}:
                raise
            # Under a KMS key that we cannot use, S3 reports everything but the checksum.
            head = self.s3.head_object(**self.args, **which)
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
            checksum=checksum_of(head),
        )

    def versions(self, key: str, *, after: str | None = None) -> Iterator[list[Upload]]:
        """List the versions of `key`, page by page, from the newest to the oldest.

        With `after`, only those that S3 lists after that version, which may be listed again. Lists
        show neither checksums nor encryption.
        """
        marker: Any = {"KeyMarker": key, "VersionIdMarker": after} if after else {}
        while True:
            page: Any = self.s3.list_object_versions(**self.args, Prefix=key, **marker)
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

    def copy_source(self, upload: Upload) -> dict[str, Any]:
        """The arguments of every request that reads the upload, so that none reads other bytes."""
        version = {"VersionId": upload.version_id} if upload.version_id else {}
        owner = {"ExpectedSourceBucketOwner": self.owner} if self.owner else {}
        return {
            "CopySource": {"Bucket": self.name, "Key": upload.key, **version},
            "CopySourceIfMatch": f'"{upload.etag}"',
            **owner,
        }

    def remove(self, upload: Upload) -> None:
        """Remove exactly this upload: other versions and a newer upload of its key stay.

        If it is gone already, that counts as success.
        """
        # While versioning is suspended, each upload replaces `null`.
        if upload.version_id == "null" and self.head(upload.key, "null") != upload:
            return
        version = {"VersionId": upload.version_id} if upload.version_id else {}
        which: dict[str, Any] = version or {"IfMatch": f'"{upload.etag}"'}
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                self.s3.delete_object(**self.args, Key=upload.key, **which)
            except ClientError as error:
                if error_code(error) in {"PreconditionFailed", "NoSuchKey", "NoSuchVersion"}:
                    return
                if error_code(error) != CONFLICT or attempt == CONFLICT_ATTEMPTS:
                    raise
            else:
                return

    def _is_customer_encrypted(self, which: Mapping[str, Any]) -> bool:
        """True if only its sender has the key (SSE-C). A 400 to a HEAD has no body to say so."""
        try:
            self.s3.get_object(**self.args, **which, Range="bytes=0-0")
        except ClientError as error:
            return error_code(error) == "InvalidRequest"
        return False


@dataclass(frozen=True, kw_only=True)
class Vault(Bucket):
    """The bucket that backups are stored in."""

    def head(self, name: str) -> Stored | DeleteMarker | None:
        """Look up what this name holds (None: nothing)."""
        try:
            head = self.s3.head_object(**self.args, Key=name, ChecksumMode="ENABLED")
        except ClientError as error:
            if http_status(error) != HTTPStatus.NOT_FOUND:
                raise
            return DeleteMarker() if _is_delete_marker(error) else None
        return Stored(
            size=head["ContentLength"],
            last_modified=head["LastModified"],
            etag=head["ETag"].strip('"'),
            source_key=head["Metadata"].get("source-key"),
            source_etag=head["Metadata"].get("source-etag"),
            source_version_id=head["Metadata"].get("source-version-id"),
            source_last_modified=head["Metadata"].get("source-last-modified"),
            checksum=checksum_of(head),
        )


def open_buckets(s3: "S3Client", settings: Settings) -> tuple[Incoming, Vault]:
    """Both buckets of a stage."""
    return (
        Incoming(s3=s3, name=settings.incoming_bucket, owner=settings.incoming_owner),
        Vault(s3=s3, name=settings.vault_bucket, owner=settings.vault_owner),
    )


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Both sides of a promotion: the upload (None: gone) and what its slot holds (None: free).

    `older` is the time of an upload that is eligible for the same slot and came first.
    """

    upload: Upload | CustomerEncrypted | None = None
    stored: Stored | DeleteMarker | None = None
    older: datetime | None = None


def look_up(
    incoming: Incoming,
    vault: Vault,
    policy: Policy,
    refusal: Refusal,
    *,
    key: str,
    version_id: str | None,
) -> Situation:
    """Look up both sides for this version (None: the current one), if a rule names its key."""
    if key not in policy.promotable_keys:
        return Situation()
    upload = incoming.head(key, version_id)
    if not isinstance(upload, Upload):
        return Situation(upload=upload)
    slot = policy.slot_of(key, upload.last_modified)
    stored = vault.head(slot.name)
    if stored is not None or refusal(upload):
        return Situation(upload=upload, stored=stored)
    # Uploads that were initiated earlier are complete by now, or S3 has aborted them.
    horizon = slot.start - policy.accept_within - ABORTED_AFTER
    return Situation(upload=upload, older=_older(incoming, slot, upload, refusal, horizon))


def _older(
    incoming: Incoming, slot: Slot, upload: Upload, refusal: Refusal, horizon: datetime
) -> datetime | None:
    """Find the upload time of an eligible upload of the slot that S3 lists as older.

    S3 lists uploads from new to old, by when they were initiated or by when they were complete. So
    after an upload that was complete before the slot began, all others are older than the slot. An
    upload in one request is complete at once. A multipart upload is complete by then if it was
    initiated before the `horizon`.
    """
    if upload.version_id is None:
        return None
    looks = 0
    pages = incoming.versions(upload.key, after=upload.version_id)
    for other in (version for page in pages for version in page):
        if other.version_id == upload.version_id:
            continue
        if other.last_modified < (horizon if other.came_in_parts else slot.start):
            break
        if slot.start <= other.last_modified < slot.end and not refusal(other):
            if looks == MOST_LOOKS:
                return other.last_modified
            looks += 1
            # A list does not show every reason why an upload can never be promoted.
            older = incoming.head(other.key, other.version_id)
            if isinstance(older, Upload) and not refusal(older):
                return other.last_modified
    return None


def _is_delete_marker(error: ClientError) -> bool:
    """True for a delete marker: a 404 for its key, or a 405 for its own version."""
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    return headers.get("x-amz-delete-marker") == "true"


def checksum_of(head: Mapping[str, Any]) -> Checksum | None:
    """Read the checksum of the whole object. (One over its parts, `...-N`, proves nothing.)"""
    if head.get("ChecksumType") == "COMPOSITE":
        return None
    # The sender chooses the algorithm, so every algorithm that S3 supports counts.
    for name, value in head.items():
        if name.startswith("Checksum") and name != "ChecksumType" and value:
            return Checksum(algorithm=name.removeprefix("Checksum"), value=value)
    return None
