"""Aborts unfinished copies whose slot has been filled meanwhile.

Their parts would be billed until S3's lifecycle removes them. That is all the harm they do, so
errors here are logged and never fail a promotion.
"""

from collections.abc import Callable, Iterable
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.copying_in_parts import Unfinished, abort, unfinished
from chalicelib.gathering import Gathering
from chalicelib.policy import Slot


def tidy_vault(
    look: Gathering,
    *,
    taken: Slot | None = None,
    found: Callable[[], Iterable[Unfinished]] | None = None,
) -> None:
    """Abort every copy that can never be completed, by this run or by runs that were killed.

    `taken` is a slot that nobody has to look at; `found` gives the unfinished copies if they are
    listed already.
    """
    vault, owner = look.settings.vault_bucket, look.settings.vault_owner
    these = found or partial(unfinished, look.s3, bucket=vault, owner=owner)
    try:
        for copy in these():
            if (taken and copy.key == taken.name) or look.look_at_slot(copy.key) is not None:
                abort(look.s3, key=copy.key, upload_id=copy.upload_id, bucket=vault, owner=owner)
    except (ClientError, BotoCoreError) as error:
        record.write_untidy(error)
