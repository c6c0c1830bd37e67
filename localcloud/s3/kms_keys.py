"""The KMS keys of encrypted objects, which tests can disable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.s3.exceptions import S3AccessDeniedError, S3ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from moto.s3.models import FakeKey


class KmsKeys:
    """Which keys cannot be used. A key is named by its ID, as in requests."""

    def __init__(self) -> None:
        self._disabled: set[str] = set()
        self._foreign: set[str] = set()

    def disable(self, key_id: str) -> None:
        """Make the key unusable: it neither encrypts nor decrypts."""
        self._disabled.add(key_id)

    def lend(self, key_id: str) -> None:
        """Move the key to another account, whose policy allows encrypting but not decrypting.

        A multipart upload requires both.
        """
        self._foreign.add(key_id)

    def reset(self) -> None:
        """Make every key usable again."""
        self._disabled.clear()
        self._foreign.clear()

    def refuse_to_encrypt(self, encryption: Mapping[str, Any]) -> None:
        """Raise S3's error if no object can be written with this encryption."""
        self._refuse_if_disabled(_key_of(encryption["encryption"], encryption["kms_key_id"]))

    def refuse_to_encrypt_a_part(self, encryption: Mapping[str, Any]) -> None:
        """Raise S3's error if no part can be written with this encryption."""
        self._refuse(_key_of(encryption["encryption"], encryption["kms_key_id"]))

    def refuse_to_decrypt(self, stored: FakeKey) -> None:
        """Raise S3's error if the object's bytes, or their checksum, cannot be read."""
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
