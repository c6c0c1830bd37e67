"""Whether what a drill has stored is locked, and where nothing is: whether that is meant so."""

from typing import TYPE_CHECKING

from admin.account import absent_if
from admin.drill.attacks import NotAsPromisedError, Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What S3 calls the one version of an object in a bucket that keeps none.
UNVERSIONED = "null"


def lock_holds(keeper: "S3Client", place: Place) -> str:
    """Until when the object is locked, as a sentence. `keeper` administers the vault.

    A vault may have no default lock: that is its owner's choice, and is said.
    Raises NotAsPromisedError for one that keeps no versions, or a default lock that does not lock.
    """
    if place.version_id == UNVERSIONED:
        raise NotAsPromisedError(
            "the vault keeps every version of what is stored",
            happened="it has no versions",
            why="Nothing can be locked there, and what is overwritten once is lost",
        )
    if place.lock_mode:
        return f"it is locked until {place.locked_until:%Y-%m-%d %H:%M} ({place.lock_mode.lower()})"
    found = absent_if(
        "ObjectLockConfigurationNotFoundError",
        lambda: keeper.get_object_lock_configuration(Bucket=place.vault),
    )
    if found is None or "Rule" not in found["ObjectLockConfiguration"]:
        return "nothing is locked: the vault has no default lock"
    default = found["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    raise NotAsPromisedError(
        "what is stored is locked",
        happened=f"it is not, though the vault's default lock is {default['Mode'].lower()}",
        why="Without a lock only the vault's policy protects it. (S3 shows no lock to whoever may "
        "not s3:GetObjectRetention; make sure that you may)",
    )
