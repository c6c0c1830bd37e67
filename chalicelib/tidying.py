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

    def tidy_slot(self, slot: Slot) -> None:
        """Abort all that was begun for a slot that is taken, here or by a run that was killed."""
        self.abort_all(lambda: self._unfinished(slot.name))

    def tidy_vault(self) -> None:
        """Abort all that was begun for slots that are taken by now, whichever those are."""
        self.abort_all(lambda: filter(self._is_too_late, self._unfinished()))

    def abort(self, copy: Unfinished) -> None:
        """Abort this one."""
        self.abort_all(lambda: [copy])

    def abort_all(self, these: Callable[[], Iterable[Unfinished]]) -> None:
        """Abort what the call of `these` finds."""
        vault, owner = self.settings.vault_bucket, self.settings.vault_owner
        try:
            for one in these():
                abort(self.s3, one, bucket=vault, owner=owner)
        except (ClientError, BotoCoreError) as error:
            record.write_untidy(error)

    def _unfinished(self, key: str | None = None) -> list[Unfinished]:
        vault, owner = self.settings.vault_bucket, self.settings.vault_owner
        return unfinished(self.s3, bucket=vault, owner=owner, key=key)

    def _is_too_late(self, copy: Unfinished) -> bool:
        slot = self.policy.slot_named(copy.key)
        return slot is not None and look_at_slot(self.s3, self.settings, slot) is not None
