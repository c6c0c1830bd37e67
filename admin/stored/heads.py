"""What only a HEAD shows of a stored version: its checksum, lock, encryption and source."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from admin.account import none_if
from chalicelib.lock import read_retention
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code

# What S3 calls encryption with its own key.
S3_KEY = "AES256"
CUSTOMER_KEY = "a key that only its writer has (SSE-C)"


class CustomerKeyError(Exception):
    """A backup is encrypted with a key that S3 does not have, so S3 cannot describe it."""


def address(vault: Vault, name: str, version_id: str | None = None) -> dict[str, Any]:
    """The arguments of a request about a version (None: the current one)."""
    return {**vault.args, "Key": name, **({"VersionId": version_id} if version_id else {})}


def head_of(vault: Vault, version: Mapping[str, Any], **more: str) -> Any:
    """The HEAD of the version with this address; None if it is absent.

    With `ChecksumMode`, S3 denies it to callers who cannot use the backup's KMS key. Raises
    CustomerKeyError.
    """
    s3: Any = vault.s3
    try:
        return none_if("404", partial(s3.head_object, **version, **more))
    except ClientError as error:
        # This error of a HEAD has no body. Bad credentials cause it, too: a GET distinguishes the
        # two.
        if error_code(error) == "400":
            first_byte = partial(s3.get_object, **version, Range="bytes=0-0")
            if none_if("InvalidRequest", first_byte) is None:
                raise CustomerKeyError from None
        raise


def lock_end(vault: Vault, version: Mapping[str, Any], head: Mapping[str, Any]) -> datetime | None:
    """When the lock ends (None: no lock). A HEAD hides it from callers who cannot read locks."""
    shown: datetime | None = head.get("ObjectLockRetainUntilDate")
    if shown:
        return shown
    retention = read_retention(vault.s3, **version)
    # With an event hold, a lock can have no end yet.
    return retention.get("RetainUntilDate") if retention else None


def encryption_of(head: Mapping[str, Any]) -> str:
    """The algorithm, and the key if it is not S3's own."""
    return " ".join(
        [head.get("ServerSideEncryption", "nothing"), head.get("SSEKMSKeyId", "")]
    ).strip()
