"""What only a HEAD shows of a stored backup: its checksum, and until when it is locked."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from admin.account import DENIAL_CODES, none_if
from chalicelib.lock import read_retention
from chalicelib.policy.decision import Checksum
from chalicelib.promotion.buckets import Vault, checksum_of
from chalicelib.s3_errors import error_code
from chalicelib.watching.slots import Backup


@dataclass(frozen=True, kw_only=True)
class Details:
    """`checksum` is None if S3 has none of the whole object, `locked_until` if there is no lock.

    `denied` names what the caller is not allowed to read.
    """

    checksum: Checksum | None = None
    locked_until: datetime | None = None
    denied: tuple[str, ...] = ()


def details_of(vault: Vault, backup: Backup) -> Details | None:
    """Look up the version that is the backup; None if it has been removed meanwhile."""
    which: dict[str, Any] = {**vault.args, "Key": backup.name}
    if backup.version_id:
        which["VersionId"] = backup.version_id
    try:
        head: Any = none_if("404", partial(vault.s3.head_object, **which, ChecksumMode="ENABLED"))
    except ClientError as error:
        if error_code(error) not in DENIAL_CODES:
            raise
        return Details(denied=("checksum", "lock"))
    if head is None:
        return None
    checksum, until = checksum_of(head), head.get("ObjectLockRetainUntilDate")
    if until is None:
        # S3 hides the lock in a HEAD from callers who are not allowed to read locks.
        try:
            retention = read_retention(vault.s3, **which)
        except ClientError as error:
            if error_code(error) not in DENIAL_CODES:
                raise
            return Details(checksum=checksum, denied=("lock",))
        until = retention.get("RetainUntilDate") if retention else None
    return Details(checksum=checksum, locked_until=until)
