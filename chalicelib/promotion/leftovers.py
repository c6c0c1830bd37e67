"""Lists unfinished copies, and aborts those that can never be completed.

Their parts would be billed until S3's lifecycle removes them. That is all the harm they do, so
errors here are logged and never fail a promotion.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A multipart upload to the vault that is neither completed nor aborted."""

    key: str
    upload_id: str
    begun: datetime


def unfinished_copies(vault: Vault) -> list[Unfinished]:
    """List every multipart upload to the vault that is not finished."""
    pages = vault.s3.get_paginator("list_multipart_uploads").paginate(**vault.args)
    return [
        Unfinished(key=item["Key"], upload_id=item["UploadId"], begun=item["Initiated"])
        for page in pages
        for item in page.get("Uploads", [])
    ]


def abort(vault: Vault, key: str, upload_id: str) -> None:
    """Abort a multipart upload. If it is finished or aborted already, that counts as success."""
    try:
        vault.s3.abort_multipart_upload(**vault.args, Key=key, UploadId=upload_id)
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise


def abort_stale_copies(
    vault: Vault,
    *,
    filled: str | None = None,
    listed: Callable[[], list[Unfinished]] | None = None,
) -> None:
    """Abort every copy whose slot is filled, whether this run or a killed run left it.

    `filled` is the name of a slot that is known to be filled. If the unfinished copies have been
    listed already, `listed` returns them, or raises S3's error.
    """
    try:
        for copy in listed() if listed else unfinished_copies(vault):
            if copy.key == filled or vault.head(copy.key) is not None:
                abort(vault, copy.key, copy.upload_id)
    except (ClientError, BotoCoreError) as error:
        cause = f"{type(error).__name__}: {error}"
        record.logger.warning("could not abort unfinished copies: %s", cause)
