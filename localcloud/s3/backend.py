"""moto's S3, corrected by subclasses where it differs from S3."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto import backend_index
from moto.s3 import models, urls
from moto.s3.models import FakeDeleteMarker, S3Backend, s3_backends

from localcloud.clock import clock, utcnow
from localcloud.s3 import versions
from localcloud.s3.buckets import StrictBucket
from localcloud.s3.configurations import StrictConfigurations
from localcloud.s3.events import Deliver, Denial, Publish, delivered_to
from localcloud.s3.kms_keys import kms_keys
from localcloud.s3.listings import VersionListing
from localcloud.s3.responses import StrictS3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moto.s3.models import FakeKey

_STRICT_URLS = SimpleNamespace(
    url_bases=urls.url_bases,
    url_paths={
        path: getattr(StrictS3, dispatch.__name__) for path, dispatch in urls.url_paths.items()
    },
)


@contextmanager
def corrected(
    *,
    deliver: Deliver | None = None,
    publish: Publish | None = None,
    denial: Denial | None = None,
    order: versions.Order = "begun",
) -> Iterator[None]:
    """Give moto's S3 the semantics of S3 until the block ends. It is empty when the block begins.

    It works in process with mock_aws(), and under moto's server. `deliver(function_arn, event)` is
    called for every notification whose target is a Lambda function, after the request that caused
    it, in the same thread; None delivers nothing. `publish(topic_arn, message, bucket_arn,
    account)` does the same for SNS topics. `denial` returns why a function or topic cannot be a
    target; without it, anything can. `order` is the order of a key's versions: S3's, by when each
    was started, or the one that emulators use. Time comes from localcloud.clock, which follows this
    machine's clock again after the block. Blocks do not nest.
    """
    with ExitStack() as stack:
        # A backend has its own URLs, and so its own responses.
        stack.enter_context(patch.object(s3_backends, "backend", StrictBackend))
        # moto uses these names of its module directly, so that no subclass can replace them.
        stack.enter_context(
            patch.multiple(
                models,
                FakeBucket=StrictBucket,
                utcnow=utcnow,
                # moto would invoke functions that do not allow it.
                events_send_notification=_send_nothing,
            )
        )
        # With every request, moto tries the URLs of 140 other services before those of S3.
        s3_first = sorted(backend_index.backend_url_patterns, key=lambda entry: entry[0] != "s3")
        stack.enter_context(patch.object(backend_index, "backend_url_patterns", s3_first))
        stack.enter_context(delivered_to(deliver, publish=publish, denial=denial))
        stack.enter_context(versions.ordered_by(order))
        stack.callback(clock.reset)
        stack.callback(kms_keys.reset)
        # Backends that exist already keep their class.
        for forget in (s3_backends.clear, s3_backends.bucket_accounts.clear):
            forget()
            stack.callback(forget)
        yield


def _send_nothing(**_event: Any) -> None:
    """Send EventBridge no event of a new bucket."""


class StrictBackend(StrictConfigurations, VersionListing, S3Backend):
    """moto's S3, with versions that behave as S3's do."""

    def get_object(  # type: ignore[override]
        self,
        bucket_name: str,
        key_name: str,
        version_id: str | None = None,
        part_number: int | None = None,
        return_delete_marker: bool = False,  # noqa: FBT001, FBT002 - moto's signature
    ) -> FakeKey | FakeDeleteMarker | None:
        """Look the version up once: moto looks twice, and fails if it is deleted in between."""
        key = versions.current(self, bucket_name, key_name, version_id)
        if isinstance(key, FakeDeleteMarker):
            return key if return_delete_marker else None
        if key is not None:
            if part_number and key.multipart:
                key = key.multipart.parts.get(part_number)
            if key is not None:
                key.advance()
        return key

    def delete_object(
        self,
        bucket_name: str,
        key_name: str,
        version_id: str | None = None,
        bypass: bool = False,  # noqa: FBT001, FBT002 - moto's signature
    ) -> tuple[bool, dict[str, Any]]:
        with versions.key_lock(bucket_name, key_name):
            return versions.remove(self, bucket_name, key_name, version_id, bypass=bypass)

    @property
    def _url_module(self) -> Any:
        """The URLs of S3, handled by StrictS3; moto would import its own for every request."""
        return _STRICT_URLS

    @cached_property
    def urls(self) -> dict[str, Callable[..., Any]]:
        """Computed once: moto needs them for every request."""
        return super().urls
