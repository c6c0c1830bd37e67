"""Backups in storage classes that S3 has to retrieve before they can be read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from admin.restore.ranges import StoredVersion
from chalicelib.policy.decision import ARCHIVED

# How long a retrieval takes, in the tier of each class that S3 calls Standard (S3 user guide,
# "Understanding archive retrieval options").
TAKES = {"GLACIER": "3 to 5 hours", "DEEP_ARCHIVE": "up to 12 hours"}
# Days that S3 keeps the retrieved copy, which is billed as well.
KEPT_DAYS = 7
# Seconds between two looks at a retrieval.
LOOK_EVERY = 300.0


class Retrieval(Enum):
    """Whether a stored version can be read."""

    READABLE = auto()
    ARCHIVED = auto()
    ON_ITS_WAY = auto()


@dataclass(frozen=True, kw_only=True)
class Archived:
    """The archive state of a version, from its HEAD."""

    storage_class: str
    state: Retrieval

    @property
    def takes(self) -> str:
        """How long a retrieval takes."""
        return TAKES.get(self.storage_class, "some hours")


def archived(head: Any) -> Archived:
    """The archive state in a HEAD: `ongoing-request="true"` is a retrieval that is on its way."""
    storage_class = head.get("ArchiveStatus") or head.get("StorageClass") or "STANDARD"
    state = Retrieval.READABLE
    if storage_class in ARCHIVED:
        ongoing = re.search('ongoing-request="(true|false)"', head.get("Restore", ""))
        match ongoing and ongoing[1]:
            case "true":
                state = Retrieval.ON_ITS_WAY
            case "false":
                state = Retrieval.READABLE
            case _:
                state = Retrieval.ARCHIVED
    return Archived(storage_class=storage_class, state=state)


def start_retrieval(version: StoredVersion) -> None:
    """Ask S3 to retrieve the version. Needs s3:RestoreObject."""
    version.s3.restore_object(
        **version.address,
        RestoreRequest={"Days": KEPT_DAYS, "GlacierJobParameters": {"Tier": "Standard"}},
    )


def wait_until_readable(
    look: Callable[[], Archived], *, sleep: Callable[[float], None], tell: Callable[[str], None]
) -> None:
    """Return when the version can be read."""
    while (seen := look()).state is not Retrieval.READABLE:
        tell(
            f"{datetime.now().astimezone():%H:%M}: S3 is still retrieving it ({seen.takes} in all)"
        )
        sleep(LOOK_EVERY)
