"""The two ends of a copy: exactly one source, and one name that must be free."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Checksums that S3 can compute over a whole object that arrives in parts; the others it cannot.
FULL_OBJECT_IN_PARTS = frozenset({"CRC64NVME", "CRC32", "CRC32C"})


@dataclass(frozen=True, kw_only=True)
class Source:
    """Exactly one object: its key, and the ETag, version and time that it had when looked at.

    `version_id` is as for `policy.Upload`. `checksum` is (algorithm, base64 value) over the whole
    object, if S3 has one.
    """

    bucket: str
    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None = None
    checksum: tuple[str, str] | None = None
    owner: str | None = None

    @property
    def checksum_in_parts(self) -> tuple[str, str] | None:
        """The checksum that S3 can compute over a copy in parts, too; None if it cannot."""
        return self.checksum if self.checksum and self.checksum[0] in FULL_OBJECT_IN_PARTS else None

    @property
    def pinned(self) -> dict[str, Any]:
        """What every request that reads it says, so that no two read different uploads."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {
            "CopySource": {"Bucket": self.bucket, "Key": self.key, **version},
            "CopySourceIfMatch": f'"{self.etag}"',
            **expected_owner(self.owner, of="Source"),
        }


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A name that must be free, and what the object will carry besides the source's bytes."""

    bucket: str
    key: str
    metadata: Mapping[str, str]
    storage_class: str = "STANDARD"
    owner: str | None = None

    @property
    def place(self) -> dict[str, Any]:
        """What every request that writes it says."""
        return {"Bucket": self.bucket, "Key": self.key, **expected_owner(self.owner)}

    @property
    def carried(self) -> dict[str, Any]:
        """What the object will carry besides its bytes: said once, when it is created.

        The encryption is named because whoever may change a bucket's default could put all later
        copies under a key of theirs.
        """
        return {
            "Metadata": dict(self.metadata),
            "StorageClass": self.storage_class,
            "ServerSideEncryption": "AES256",
        }


def expected_owner(owner: str | None, *, of: str = "") -> dict[str, Any]:
    """Let S3 refuse a request if the bucket (`of="Source"`: the source's) is somebody else's."""
    return {f"Expected{of}BucketOwner": owner} if owner else {}
