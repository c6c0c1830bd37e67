"""Backups in storage classes that S3 has to retrieve before they can be read."""

from collections.abc import Callable
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from admin.restore.errors import NotFoundOutError, NotRestoredError
from admin.restore.stored import Retrieval, StoredVersion, look_up
from chalicelib.s3_errors import error_code, is_transient

# How long a retrieval takes, in the tier of each class that S3 calls Standard (S3 user guide,
# "Understanding archive retrieval options").
_TAKES = {"GLACIER": "3 to 5 hours", "DEEP_ARCHIVE": "up to 12 hours"}
# For how many days S3 keeps the retrieved copy, which is billed as well.
KEPT_DAYS = 7
# Seconds between two checks of whether a retrieval is complete.
LOOK_EVERY = 300.0


def make_readable(
    version: StoredVersion, *, yes: bool, wait: bool, sleep: Callable[[float], None]
) -> None:
    """Make S3 retrieve an archived version; ask first unless `yes`.

    Raises NotFoundOutError if it cannot be read yet and the command should not wait.
    """
    takes = _TAKES.get(version.storage_class, "some hours")
    if version.retrieval is Retrieval.READABLE:
        return
    if version.retrieval is Retrieval.ARCHIVED:
        click.echo(
            f"It is archived in {version.storage_class}. S3 takes {takes} to retrieve it, and "
            f"bills the retrieval and {KEPT_DAYS} days of a readable copy.",
            err=True,
        )
        if not yes and not click.confirm("Retrieve it?", err=True):
            raise NotFoundOutError("The backup is not restored: it was not retrieved")
        _retrieve(version)
        state = "The retrieval has started"
    else:
        state = f"S3 is retrieving it from {version.storage_class}"
    if not wait:
        raise NotFoundOutError(
            f"The backup is not restored yet. {state}, which takes {takes}: run the same command "
            "again then, or now with --wait"
        )
    click.echo(f"{state}, which takes {takes}. Waiting; Ctrl-C ends only the waiting.", err=True)
    while not _is_readable(version):
        sleep(LOOK_EVERY)


def _retrieve(version: StoredVersion) -> None:
    # Intelligent-Tiering moves the object itself, and accepts no number of days.
    days = {"Days": KEPT_DAYS} if version.storage_class in _TAKES else {}
    request: Any = {**days, "GlacierJobParameters": {"Tier": "Standard"}}
    try:
        version.vault.s3.restore_object(**version.address, RestoreRequest=request)
    except ClientError as error:
        # Another command has just started it.
        if error_code(error) != "RestoreAlreadyInProgress":
            raise


def _is_readable(version: StoredVersion) -> bool:
    try:
        seen = look_up(version.vault, version.name, version.version_id)
    except (BotoCoreError, ClientError) as error:
        # In half a day, the network can be down for a while.
        if not is_transient(error):
            raise
        return False
    if seen is None:
        raise NotRestoredError(f"{version.name} was removed while S3 was retrieving it")
    return seen.retrieval is Retrieval.READABLE
