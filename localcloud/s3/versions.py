"""The versions of every key of the local S3: looked up, added and removed."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect, bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import patch

from moto.moto_api._internal import mock_random
from moto.s3 import notifications
from moto.s3.exceptions import AccessDeniedByLock
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend
from moto.s3.notifications import S3NotificationEvent

from localcloud.s3.content import StoredKey
from localcloud.s3.events import next_moment

if TYPE_CHECKING:
    from moto.s3.responses import S3Response

    from localcloud.s3.attributes import Attributes, Checksum
    from localcloud.s3.content import Content
    from localcloud.s3.uploads import MultipartUpload

Order = Literal["begun", "completed"]


@dataclass(frozen=True)
class Removal:
    """The names of S3's events for a removed version, and for a new delete marker."""

    deleted: S3NotificationEvent
    marked: S3NotificationEvent


REQUESTED = Removal(
    deleted=S3NotificationEvent.OBJECT_REMOVED_DELETE_EVENT,
    marked=S3NotificationEvent.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT,
)
EXPIRED = Removal(
    deleted=S3NotificationEvent.LIFECYCLEEXPIRATION_DELETE_EVENT,
    marked=S3NotificationEvent.LIFECYCLE_EXPIRATION_DELETE_MARKER_CREATED_EVENT,
)

_order: Order = "begun"
_places: dict[tuple[str, str, str], str] = {}
_locks: dict[tuple[str, str], threading.RLock] = {}


@contextmanager
def ordered_by(order: Order) -> Iterator[None]:
    """Keep the versions of each key in this order until the block ends.

    `begun` is S3's: a multipart upload is ordered by when it was initiated, so it does not always
    become the current version. `completed` is the order that emulators use.
    """
    try:
        with patch(f"{__name__}._order", order):
            yield
    finally:
        _places.clear()
        _locks.clear()


def key_lock(bucket_name: str, key_name: str) -> threading.RLock:
    """The lock that a request holds while it writes to the key.

    Reentrant: requests for one key and for many keys remove objects by the same function.
    """
    return _locks.setdefault((bucket_name, key_name), threading.RLock())


def index_of(
    bucket_name: str, key_name: str, version_id: str, versions: list[Any]
) -> tuple[int, bool] | None:
    """The index of the version among its key's versions, and whether it still exists.

    For a removed version, the index it would have. None if there never was such a version.
    """
    if version_id == "null":
        for index, version in enumerate(versions):
            if version.version_id == "null":
                return index, True
    place = _places.get((bucket_name, key_name, version_id))
    if place is None:
        return None
    index = bisect_left(versions, place, key=attrgetter("place"))
    return index, index < len(versions) and versions[index].version_id == version_id


def current(
    backend: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None
) -> FakeKey | FakeDeleteMarker | None:
    versions = backend.get_bucket(bucket_name).keys.getlist(key_name)
    if not versions:
        return None
    if version_id is None:
        return versions[-1]  # type: ignore[no-any-return]
    index, exists = index_of(bucket_name, key_name, version_id, versions) or (0, False)
    return versions[index] if exists else None


def store(
    request: S3Response,
    key_name: str,
    content: Content,
    attributes: Attributes,
    *,
    checksum: Checksum,
    event: S3NotificationEvent,
    etag: str | None = None,
    upload: MultipartUpload | None = None,
) -> FakeKey:
    """Add a complete object to the versions of its key, and send its event."""
    backend = request.backend
    bucket = backend.get_bucket(request.bucket_name)
    key = StoredKey(
        name=key_name,
        bucket_name=bucket.name,
        value=content,
        account_id=backend.account_id,
        region_name=backend.region_name,
        storage=attributes.storage_class,
        etag=etag or content.md5(),
        is_versioned=bucket.versioning_status is not None,
        version_id=(upload and upload.version_id) or new_version_id(bucket),
        multipart=upload,
        checksum_value=checksum.value,
        checksum_type=checksum.type,
        **attributes.encryption,
        **attributes.lock,
    )
    key.checksum_algorithm = checksum.algorithm
    key.customer_key = attributes.customer_key  # type: ignore[attr-defined]
    key.website_redirect_location = attributes.redirect
    key.set_metadata(dict(attributes.metadata))
    key.set_acl(attributes.acl)
    if upload is not None:
        key.last_modified = upload.initiated
    # Tags belong to the name and version ID, which an earlier object may have had.
    backend.tagger.delete_all_tags_for_resource(key.arn)
    if attributes.tags:
        tags = backend.tagger.convert_dict_to_tags_input(attributes.tags)
        backend.tagger.tag_resource(key.arn, tags)
    place = upload.place if upload is not None and _order == "begun" else next_moment()
    put_version(bucket, key, place)
    notifications.send_event(backend.account_id, event, bucket, key)
    return key


def remove(
    backend: S3Backend,
    bucket_name: str,
    key_name: str,
    version_id: str | None = None,
    *,
    bypass: bool = False,
    events: Removal = REQUESTED,
) -> tuple[bool, dict[str, Any]]:
    """Delete as S3 does, with or without versioning. The caller holds the key's lock.

    Returns whether something was removed or a delete marker was added, and the response's details.
    """
    bucket = backend.get_bucket(bucket_name)
    if version_id is None and bucket.versioning_status is not None:
        marker = FakeDeleteMarker(key=_NamedOnly(key_name))  # type: ignore[arg-type]
        marker._version_id = new_version_id(bucket) or "null"
        put_version(bucket, marker, next_moment())
        notifications.send_event(backend.account_id, events.marked, bucket, marker)
        return True, {"version-id": marker.version_id, "delete-marker": "true"}

    meta = {} if version_id is None else {"version-id": version_id}
    removed = current(backend, bucket_name, key_name, version_id)
    if removed is None:
        return False, meta
    if isinstance(removed, FakeDeleteMarker):
        meta["delete-marker"] = "true"
    elif removed.is_locked(governance_bypass=bypass):
        raise AccessDeniedByLock
    else:
        backend.tagger.delete_all_tags_for_resource(removed.arn)
    versions = bucket.keys.getlist(key_name)
    index = bisect_left(versions, removed.place, key=attrgetter("place"))  # type: ignore[union-attr]
    remaining = versions[:index] + versions[index + 1 :]
    if remaining:
        dict.__setitem__(bucket.keys, key_name, remaining)
    else:
        dict.pop(bucket.keys, key_name, None)  # moto's pop fails on delete markers
    notifications.send_event(backend.account_id, events.deleted, bucket, removed)
    return True, meta


@dataclass(frozen=True)
class _NamedOnly:
    """What a delete marker needs from a key, which need not exist."""

    name: str


def put_version(bucket: FakeBucket, new: FakeKey | FakeDeleteMarker, place: str) -> None:
    """Insert the version: they are kept oldest first. A new "null" version replaces the old one."""
    versions = bucket.keys.getlist(new.name, [])
    if new.version_id == "null":
        versions = [version for version in versions if version.version_id != "null"]
    new.place = place  # type: ignore[union-attr]
    _places[bucket.name, new.name, new.version_id] = place
    index = bisect(versions, place, key=attrgetter("place"))
    # A new list, because other requests may be reading this one; moto's setlist takes quadratic
    # time.
    dict.__setitem__(bucket.keys, new.name, [*versions[:index], new, *versions[index:]])


def new_version_id(bucket: FakeBucket) -> str | None:
    """The ID of a new version; None if the bucket does not keep versions, which means "null"."""
    return str(mock_random.uuid4()) if bucket.versioning_status == "Enabled" else None


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
