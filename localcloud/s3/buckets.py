"""A bucket of the local S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, FakeKey
from moto.s3.utils import _VersionedKeyStore

from localcloud.clock import clock

if TYPE_CHECKING:
    from collections.abc import Iterator


class StrictBucket(FakeBucket):
    """A bucket that is dated by the cloud's clock and enforces no policy."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.creation_date = clock.now()
        self.keys = _Keys()

    def get_permission(self, action: str, resource: str) -> PermissionResult:  # noqa: ARG002
        """Bucket policies are enforced in front of moto, which ignores their conditions."""
        return PermissionResult.NEUTRAL


class _Keys(_VersionedKeyStore):
    """The versions of each key, oldest first.

    `items` and `values` return the current versions as they are now. moto looks each of them up
    later, when its key may have been removed.
    """

    def items(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]
        return iter([(name, versions[-1]) for name, versions in list(dict.items(self))])

    def values(self) -> Iterator[Any]:  # type: ignore[override]
        return (version for _, version in self.items())

    def item_size(self) -> int:
        """The bytes of all versions, for CloudWatch. moto uses the size of its Python objects."""
        versions = (version for versions in list(dict.values(self)) for version in versions)
        return sum(version.size for version in versions if isinstance(version, FakeKey))
