"""Removes copies that were begun and can never be finished: their slot is taken.

Nobody else would before S3's lifecycle does, and until then their parts are billed. That is all
they harm: so whatever goes wrong here is written down and fails nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.copying_in_parts import Unfinished, abort, unfinished
from chalicelib.gathering import look_at_slot
from chalicelib.policy import Policy, Slot
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True)
class Tidying:
    """Removes unfinished copies from the vault."""

    s3: "S3Client"
    settings: Settings
    policy: Policy

    def tidy_vault(
        self,
        *,
        taken: Slot | None = None,
        unfinished: Callable[[], Iterable[Unfinished]] | None = None,
    ) -> None:
        """Abort all that was begun for slots that are taken, here or by runs that were killed.

        `taken` is one that nobody has to look at; `unfinished` tells what was found already.
        """
        these = unfinished or self._unfinished
        self._abort_all(lambda: (one for one in these() if self._is_too_late(one, taken=taken)))

    def abort(self, copy: Unfinished) -> None:
        """Abort this one."""
        self._abort_all(lambda: [copy])

    def _abort_all(self, these: Callable[[], Iterable[Unfinished]]) -> None:
        vault, owner = self.settings.vault_bucket, self.settings.vault_owner
        try:
            for one in these():
                abort(self.s3, one, bucket=vault, owner=owner)
        except (ClientError, BotoCoreError) as error:
            record.write_untidy(error)

    def _unfinished(self) -> list[Unfinished]:
        vault, owner = self.settings.vault_bucket, self.settings.vault_owner
        return unfinished(self.s3, bucket=vault, owner=owner)

    def _is_too_late(self, copy: Unfinished, *, taken: Slot | None) -> bool:
        if taken and copy.key == taken.name:
            return True
        slot = self.policy.slot_named(copy.key)
        return slot is not None and look_at_slot(self.s3, self.settings, slot) is not None
