"""Checks that the stored object is locked, if the vault has a default lock."""

from typing import TYPE_CHECKING

from admin.account import none_if
from admin.drill.attacks import NotAsPromisedError, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# S3's version id for objects in a bucket without versions.
UNVERSIONED = "null"


def lock_holds(vault_client: "S3Client", stored: StoredObject) -> str:
    """Until when the object is locked, as a sentence. `vault_client` is an administrator's.

    A vault without a default lock is the owner's choice, and the sentence says so. Raises
    NotAsPromisedError if the vault keeps no versions, or if its default lock does not lock.
    """
    if stored.version_id == UNVERSIONED:
        raise NotAsPromisedError(
            "the vault keeps every version of an object",
            happened="it has no versions",
            why="No object can be locked there, and an overwritten object is lost",
        )
    if stored.lock_mode:
        until = f"{stored.locked_until:%Y-%m-%d %H:%M}"
        return f"the stored object is locked until {until} ({stored.lock_mode.lower()})"
    configuration = none_if(
        "ObjectLockConfigurationNotFoundError",
        lambda: vault_client.get_object_lock_configuration(Bucket=stored.vault),
    )
    if configuration is None or "Rule" not in configuration["ObjectLockConfiguration"]:
        return "the stored object is not locked: the vault has no default lock"
    default = configuration["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    raise NotAsPromisedError(
        "the stored object is locked",
        happened=f"it is not, though the vault's default lock is {default['Mode'].lower()}",
        why="Without a lock only the vault's bucket policy protects it. (S3 shows locks only to "
        "those "
        "with s3:GetObjectRetention; make sure that you have it)",
    )
