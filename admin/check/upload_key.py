"""An upload key of the policy, as the parts of `backups check` about backups use it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from admin.setup.exposure import stored_names
from admin.target import Target
from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Incoming, Vault

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class UploadKey:
    """The upload key of a rule and server, and the names that its uploads are stored under."""

    target: Target
    upload: str

    @property
    def policy(self) -> Policy:
        """The target's policy."""
        return self.target.policy

    @property
    def incoming(self) -> Incoming:
        """Incoming, as its account sees it."""
        settings = self.target.stage.settings
        return Incoming(
            s3=self.target.account.client("s3"),
            name=settings.incoming_bucket,
            owner=settings.incoming_owner,
        )

    @property
    def vault(self) -> Vault:
        """The vault, as its account sees it."""
        settings = self.target.stage.settings
        return Vault(
            s3=self.target.vault_account.client("s3"),
            name=settings.vault_bucket,
            owner=settings.vault_owner,
        )

    @cached_property
    def prefix(self) -> str:
        """What all names of its backups start with."""
        rule, server = self.policy.server_keys[self.upload]
        literal, _, _ = rule.store_as.text.partition("%")
        return f"{server}/{literal}" if server else literal

    @cached_property
    def names(self) -> re.Pattern[str]:
        """Matches the names of its backups."""
        return stored_names(*self.policy.server_keys[self.upload])

    def slots_before(self, moment: datetime) -> Iterator[Slot]:
        """The slot of `moment`, the slot before it, and so on."""
        while True:
            slot = self.policy.slot_of(self.upload, moment)
            yield slot
            moment = slot.start - _INSTANT

    def slots_after(self, moment: datetime) -> Iterator[Slot]:
        """The slot of `moment`, the slot after it, and so on."""
        while True:
            slot = self.policy.slot_of(self.upload, moment)
            yield slot
            moment = slot.end
