"""moto's S3, corrected where it is not S3."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3 import models, urls
from moto.s3.exceptions import InvalidBucketState, S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import _VersionedKeyStore

from localcloud.clock import clock, utcnow
from localcloud.s3 import (
    conditions,
    configurations,
    listings,
    multipart,
    objects,
    retention,
    versions,
)
from localcloud.s3.content import StoredKey
from localcloud.s3.events import Deliver, Requester, after_the_request, delivered_to, requester
from localcloud.s3.kms_keys import kms_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moto.core.common_types import TYPE_RESPONSE

__all__ = ["Requester", "corrected", "requester"]

STATUSES = {"InvalidBucketState": 409, "NoSuchObjectLockConfiguration": 404, "NotImplemented": 501}
"""Of errors that moto's model does not know, which it answers with 400."""

READING = ("GET", "HEAD", "OPTIONS")

_locks: dict[tuple[str, str], threading.RLock] = {}


@contextmanager
def corrected(*, deliver: Deliver | None = None, order: versions.Order = "begun") -> Iterator[None]:
    """Give moto's S3 the semantics of S3, for as long as the block runs.

    In process with mock_aws(), or under moto's server. `deliver(function_arn, event)` is called
    for every notification whose target is a Lambda function, when the request that caused it is
    done, in the thread that answered it; None delivers nothing. `order` is that of the versions of
    a key: S3's, by when each was begun, or that of emulators. Time is told by localcloud.clock,
    which runs with this machine's again after the block. Blocks do not nest.
    """
    with ExitStack() as stack:
        stack.enter_context(delivered_to(deliver))
        stack.enter_context(versions.ordered_by(order))
        stack.enter_context(patch.object(models, "utcnow", utcnow))
        stack.callback(clock.reset)
        stack.callback(kms_keys.reset)
        for owner, corrections in CORRECTIONS.items():
            for name, correction in corrections.items():
                stack.enter_context(patch.object(owner, name, correction))
        for owner, name, around in WRAPPED:
            stack.enter_context(patch.object(owner, name, _wrapped(getattr(owner, name), around)))
        stack.callback(_locks.clear)
        yield


# Around every request


def answer_key_request(
    original: Callable[..., TYPE_RESPONSE], self: S3Response, request: Any, full_url: str
) -> TYPE_RESPONSE:
    """One writer per key at a time: nobody comes between the look at a condition and the write."""
    try:
        conditions.refuse_foreign_owner(self, self.bucket_name, "x-amz-expected-bucket-owner")
        if request.method in READING:
            return original(self, request, full_url)
        with after_the_request(), key_lock(self.bucket_name, self.parse_key_name()):
            return original(self, request, full_url)
    except S3ClientError as error:
        return _refusal(self, error)


def answer_bucket_request(
    original: Callable[..., TYPE_RESPONSE], self: S3Response, request: Any, full_url: str
) -> TYPE_RESPONSE:
    try:
        if self.bucket_name:
            conditions.refuse_foreign_owner(self, self.bucket_name, "x-amz-expected-bucket-owner")
        with after_the_request():
            return original(self, request, full_url)
    except S3ClientError as error:
        return _refusal(self, error)


def _refusal(self: S3Response, error: S3ClientError) -> TYPE_RESPONSE:
    status, headers, body = self.serialized(ActionResult(error))
    headers.update(getattr(error, "headers", {}))
    # An answer to HEAD has no body, not even in process: its error's code is the bare status.
    method = self.request.method
    return STATUSES.get(error.code, status), headers, b"" if method == "HEAD" else body


def answer_put(
    original: Callable[..., TYPE_RESPONSE], self: S3Response, query: dict[str, Any], key_name: str
) -> TYPE_RESPONSE:
    """A copy has no Content-MD5, which moto asks of every write into a bucket with a lock."""
    if "x-amz-copy-source" not in self.headers or query.get("uploadId"):
        return original(self, query, key_name)
    self._set_action("KEY", "PUT", query)
    self._authenticate_and_authorize_s3_action(bucket_name=self.bucket_name, key_name=key_name)
    return self.copy_object()


def key_lock(bucket_name: str, key_name: str) -> threading.RLock:
    """Reentrant: a request for one key and a request for many keys remove in the same way."""
    return _locks.setdefault((bucket_name, key_name), threading.RLock())


def remove(
    self: S3Backend,
    bucket_name: str,
    key_name: str,
    version_id: str | None = None,
    bypass: bool = False,  # noqa: FBT001, FBT002 - moto's signature
) -> tuple[bool, dict[str, Any]]:
    with key_lock(bucket_name, key_name):
        return versions.remove(self, bucket_name, key_name, version_id, bypass)


# Small corrections


def allow_all(_bucket: FakeBucket, _action: str, _resource: str) -> PermissionResult:
    """Bucket policies are enforced in front of moto, which ignores their conditions."""
    return PermissionResult.NEUTRAL


def lock_bucket(
    self: S3Backend,
    bucket_name: str,
    lock_enabled: bool,  # noqa: FBT001 - moto's signature
    mode: str | None = None,
    days: int | None = None,
    years: int | None = None,
) -> None:
    """Object Lock can be switched on for a bucket that has objects; it locks those that follow."""
    bucket = self.get_bucket(bucket_name)
    if not bucket.is_versioned:
        raise InvalidBucketState("Versioning must be 'Enabled' to apply Object Lock")
    bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
    bucket.default_lock_mode = mode
    bucket.default_lock_days = days
    bucket.default_lock_years = years


def make_bucket(original: Callable[..., None], self: FakeBucket, *args: Any, **kwargs: Any) -> None:
    original(self, *args, **kwargs)
    self.creation_date = clock.now()


def keep_open(_key: FakeKey, garbage: bool = False) -> None:  # noqa: FBT001, FBT002 - moto's signature
    """Somebody may still read the bytes of an object that was just overwritten."""


def _wrapped(original: Callable[..., Any], around: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return around(original, self, *args, **kwargs)

    return method


WRAPPED: list[tuple[type, str, Callable[..., Any]]] = [
    (S3Response, "_key_response", answer_key_request),
    (S3Response, "_bucket_response", answer_bucket_request),
    (S3Response, "_key_response_get", retention.get_retention),
    (S3Response, "_key_response_put", answer_put),
    (S3Response, "_key_response_post", multipart.create_or_complete),
    (S3Response, "_get_key", objects.get_key),
    (S3Response, "get_object", objects.get_object),
    (S3Response, "head_object", objects.head_object),
    (S3Response, "put_object_retention", retention.put_retention),
    (S3Response, "get_bucket_policy", configurations.show_policy),
    (S3Backend, "put_bucket_lifecycle", configurations.take_lifecycle),
    (S3Backend, "put_bucket_versioning", configurations.take_versioning),
    (FakeBucket, "__init__", make_bucket),
]
"""These call what they correct."""

CORRECTIONS: dict[type, dict[str, Any]] = {
    S3Response: {
        "put_object": objects.put_object,
        "copy_object": objects.copy_object,
        "delete_object": objects.delete_object,
        "upload_part": multipart.upload_part,
        "upload_part_copy": multipart.upload_part_copy,
        "list_parts": listings.list_parts,
        "list_multipart_uploads": listings.list_uploads,
    },
    S3Backend: {
        "get_object": versions.stored_object,
        "delete_object": remove,
        "put_object_lock_configuration": lock_bucket,
        "list_object_versions": listings.list_versions,
        # moto loads this module from disk anew for every request, a fifth of a promotion's time.
        "_url_module": urls,
    },
    FakeBucket: {"get_permission": allow_all},
    # What is removed is gone: moto keeps every key that there ever was, to close its file at last.
    FakeKey: {"dispose": keep_open},
    StoredKey: {"instances_tracked": deque(maxlen=0)},
    _VersionedKeyStore: {"items": listings.list_keys, "values": listings.list_current},
}
"""These take the place of what they correct."""
