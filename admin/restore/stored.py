"""One version of a stored object, as S3 describes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from admin.restore.checksums import ALGORITHMS
from admin.restore.errors import NotFoundOutError, NotRestoredError
from chalicelib.policy.decision import ARCHIVED, Checksum
from chalicelib.promotion.buckets import Vault, checksum_of
from chalicelib.s3_errors import http_status

# The version ID of an object stored without versioning: another object can get it.
NULL = "null"


class Retrieval(Enum):
    """Whether a version can be read, or S3 has to retrieve it from an archive first."""

    READABLE = auto()
    ARCHIVED = auto()
    RUNNING = auto()


@dataclass(frozen=True, kw_only=True)
class StoredVersion:
    """A version of a stored object.

    `checksum` is over the whole object (None: S3 has none that can be verified here).
    """

    vault: Vault
    name: str
    version_id: str
    etag: str
    size: int
    stored: datetime
    checksum: Checksum | None = None
    storage_class: str = "STANDARD"
    retrieval: Retrieval = Retrieval.READABLE

    @property
    def address(self) -> dict[str, Any]:
        """The arguments of every request about this version."""
        return {**self.vault.args, "Key": self.name, "VersionId": self.version_id}


def look_up(vault: Vault, name: str, version_id: str) -> StoredVersion | None:
    """Look up a version; None if it does not exist.

    Raises NotRestoredError for a delete marker, NotFoundOutError if reading it is denied.
    """
    which: Any = {"Key": name, "VersionId": version_id}
    try:
        head: Mapping[str, Any] = vault.s3.head_object(
            **vault.args, **which, ChecksumMode="ENABLED"
        )
    except ClientError as error:
        # The response to a HEAD has no body that could explain the error.
        match http_status(error):
            case HTTPStatus.NOT_FOUND:
                return None
            case HTTPStatus.METHOD_NOT_ALLOWED:
                raise NotRestoredError(
                    f"Version {version_id} of {name} is a delete marker, which has no bytes"
                ) from None
            case HTTPStatus.FORBIDDEN:
                raise NotFoundOutError(
                    f"Reading {name} is denied; it needs s3:GetObjectVersion on the vault, and "
                    "kms:Decrypt if the backup is encrypted with a KMS key"
                ) from None
            case HTTPStatus.BAD_REQUEST:
                # A wrong version ID, a disabled KMS key, or a key that only its writer has (SSE-C).
                vault.s3.get_object(**vault.args, **which, Range="bytes=0-0")
        raise
    checksum = checksum_of(head)
    # Intelligent-Tiering has its own archives.
    storage_class = head.get("ArchiveStatus") or head.get("StorageClass") or "STANDARD"
    return StoredVersion(
        vault=vault,
        name=name,
        version_id=version_id,
        etag=head["ETag"].strip('"'),
        size=head["ContentLength"],
        stored=head["LastModified"],
        checksum=checksum if checksum and checksum.algorithm in ALGORITHMS else None,
        storage_class=storage_class,
        retrieval=_retrieval(storage_class, head),
    )


def _retrieval(storage_class: str, head: Mapping[str, Any]) -> Retrieval:
    """Parse a header such as `ongoing-request="false", expiry-date="Fri, 27 Nov 2026 ..."`."""
    if storage_class not in ARCHIVED:
        return Retrieval.READABLE
    ongoing = re.search('ongoing-request="(true|false)"', head.get("Restore", ""))
    if not ongoing:
        return Retrieval.ARCHIVED
    return Retrieval.RUNNING if ongoing[1] == "true" else Retrieval.READABLE
