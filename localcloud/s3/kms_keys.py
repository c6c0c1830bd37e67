"""The KMS keys of encrypted objects: which of them can no longer be used, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.s3.exceptions import S3AccessDeniedError, S3ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from moto.s3.models import FakeKey


class KmsKeys:
    """Every key can be used, by its id as requests name it, until a test says otherwise."""

    def __init__(self) -> None:
        self._disabled: set[str] = set()
        self._foreign: set[str] = set()

    def disable(self, key_id: str) -> None:
        """Let the key neither encrypt nor decrypt."""
        self._disabled.add(key_id)

    def lend(self, key_id: str) -> None:
        """Let the key be somebody else's, who lets everybody encrypt with it, and nobody decrypt.

        An upload in parts needs both.
        """
        self._foreign.add(key_id)

    def reset(self) -> None:
        """Let every key be used again."""
        self._disabled.clear()
        self._foreign.clear()

    def refuse_to_encrypt(self, encryption: Mapping[str, Any]) -> None:
        """Raise what S3 answers if nothing can be written under this encryption."""
        self._refuse_if_disabled(_key_of(encryption["encryption"], encryption["kms_key_id"]))

    def refuse_to_encrypt_a_part(self, encryption: Mapping[str, Any]) -> None:
        """Raise what S3 answers if no part can be written under this encryption."""
        self._refuse(_key_of(encryption["encryption"], encryption["kms_key_id"]))

    def refuse_to_decrypt(self, stored: FakeKey) -> None:
        """Raise what S3 answers if the object's bytes, or a checksum of them, cannot be read."""
        self._refuse(_key_of(stored.encryption, stored.kms_key_id))

    def _refuse(self, key_id: str | None) -> None:
        self._refuse_if_disabled(key_id)
        if key_id in self._foreign:
            raise S3AccessDeniedError

    def _refuse_if_disabled(self, key_id: str | None) -> None:
        if key_id in self._disabled:
            raise S3ClientError("KMS.DisabledException", f"{key_id} is disabled.")


def _key_of(algorithm: str | None, key_id: str | None) -> str | None:
    return key_id if (algorithm or "").startswith("aws:kms") else None


kms_keys = KmsKeys()
