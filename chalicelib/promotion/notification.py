"""S3's notification of an upload, which is only a hint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus


class ForeignEventError(ValueError):
    """An event about a bucket that this function does not promote from."""


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A record of an S3 event. Only `key` and `version_id` are ever acted upon.

    `claimed_ip` and `claimed_principal` are the uploader's, according to the event.
    """

    key: str
    version_id: str | None = None
    claimed_ip: str | None = None
    claimed_principal: str | None = None

    @classmethod
    def from_event(cls, record: Mapping[str, Any], *, bucket: str) -> "Notification":
        """Read a record from an event's `Records`, all of which can be forged.

        Raises ForeignEventError if it is not about `bucket`.
        """
        name, item = record["s3"]["bucket"]["name"], record["s3"]["object"]
        if name != bucket:
            raise ForeignEventError(
                f"an event for the bucket {name!r}; this function promotes from {bucket} only"
            )
        return cls(
            key=unquote_plus(item["key"]),
            version_id=item.get("versionId"),
            claimed_ip=(record.get("requestParameters") or {}).get("sourceIPAddress"),
            claimed_principal=(record.get("userIdentity") or {}).get("principalId"),
        )
