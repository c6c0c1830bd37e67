"""Objects that are older than the cloud."""

from __future__ import annotations

from datetime import UTC, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from moto.s3.models import s3_backends

from localcloud.s3.attributes import USER_METADATA, Checksum
from localcloud.s3.content import Content, StoredKey
from localcloud.s3.events import next_moment
from localcloud.s3.versions import new_version_id, put_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moto.s3.models import FakeBucket


def put_earlier(
    bucket_name: str,
    key_name: str,
    body: bytes,
    *,
    at: datetime,
    metadata: Mapping[str, str] = MappingProxyType({}),
    storage_class: str = "STANDARD",
) -> None:
    """Add an object as if it had been put at the time `at`, with the bucket's default lock.

    No event is sent. It becomes the current version of its key.
    """
    partition, account = s3_backends.bucket_accounts[bucket_name]
    bucket = s3_backends[account][partition].get_bucket(bucket_name)
    content = Content.of(body)
    checksum = Checksum.of(content, "CRC64NVME")
    key = StoredKey(
        name=key_name,
        bucket_name=bucket_name,
        value=content,
        account_id=account,
        region_name=bucket.region_name,
        storage=storage_class,
        etag=content.md5(),
        is_versioned=bucket.versioning_status is not None,
        version_id=new_version_id(bucket),
        checksum_value=checksum.value,
        checksum_type=checksum.type,
        encryption="AES256",
        **_default_lock(bucket, at),
    )
    key.checksum_algorithm = checksum.algorithm
    key.set_metadata({f"{USER_METADATA}{name}": value for name, value in metadata.items()})
    key.last_modified = at.astimezone(UTC).replace(tzinfo=None)
    put_version(bucket, key, next_moment())


def _default_lock(bucket: FakeBucket, at: datetime) -> dict[str, str | None]:
    if not bucket.has_default_lock:
        return {}
    days = (bucket.default_lock_days or 0) + 365 * (bucket.default_lock_years or 0)
    until = at.astimezone(UTC) + timedelta(days=days)
    return {"lock_mode": bucket.default_lock_mode, "lock_until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
