"""Aborts unfinished copies whose slot has been filled meanwhile.

Their parts would be billed until S3's lifecycle removes them. That is all the harm they do, so
errors here are logged and never fail a promotion.
"""

from collections.abc import Callable, Iterable

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.policy.policy import Slot
from chalicelib.promotion.buckets import Unfinished, Vault


def tidy_vault(
    vault: Vault,
    *,
    taken: Slot | None = None,
    found: Callable[[], Iterable[Unfinished]] | None = None,
) -> None:
    """Abort every copy that can never be completed, by this run or by runs that were killed.

    `taken` is a slot that is known to be filled; `found` gives the unfinished copies if they are
    listed already.
    """
    try:
        for copy in (found or vault.unfinished)():
            if (taken and copy.key == taken.name) or vault.head(copy.key) is not None:
                vault.abort(copy.key, copy.upload_id)
    except (ClientError, BotoCoreError) as error:
        record.write_untidy(error)
