"""What only a HEAD shows of a stored backup: its checksum, encryption, and the end of its lock."""

from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from admin.account import DENIAL_CODES
from admin.stored.heads import (
    CUSTOMER_KEY,
    CustomerKeyError,
    address,
    encryption_of,
    head_of,
    lock_end,
)
from chalicelib.policy.decision import Checksum
from chalicelib.promotion.buckets import Vault, checksum_of
from chalicelib.s3_errors import error_code
from chalicelib.watching.slots import Backup


@dataclass(frozen=True, kw_only=True)
class Details:
    """`checksum` is None if S3 has none of the whole object, `locked_until` if there is no lock.

    `not_checked` lists what the caller cannot read.
    """

    checksum: Checksum | None = None
    locked_until: datetime | None = None
    encryption: str | None = None
    not_checked: tuple[str, ...] = ()


def details_of(vault: Vault, backup: Backup) -> Details | None:
    """Look up the version that is the backup; None if it has expired since it was listed."""
    version, not_checked = address(vault, backup.name, backup.version_id), []
    try:
        try:
            head = head_of(vault, version, ChecksumMode="ENABLED")
        except ClientError as error:
            _refuse_all_but_denials(error)
            head = head_of(vault, version)
            not_checked.append("checksum")
    except CustomerKeyError:
        return Details(encryption=CUSTOMER_KEY, not_checked=("checksum", "lock"))
    except ClientError as error:
        _refuse_all_but_denials(error)
        return Details(not_checked=("checksum", "lock", "encryption"))
    if head is None:
        return None
    until = None
    try:
        until = lock_end(vault, version, head)
    except ClientError as error:
        _refuse_all_but_denials(error)
        not_checked.append("lock")
    return Details(
        checksum=checksum_of(head),
        locked_until=until,
        encryption=encryption_of(head),
        not_checked=tuple(not_checked),
    )


def _refuse_all_but_denials(error: ClientError) -> None:
    if error_code(error) not in DENIAL_CODES:
        raise error
