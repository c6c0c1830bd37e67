"""S3's lifecycle rules, which remove objects and unfinished uploads at midnight UTC."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from moto.s3.models import FakeDeleteMarker, FakeKey, S3Backend, s3_backends

from localcloud.clock import Worker, clock, utcnow
from localcloud.s3.events import after_the_request
from localcloud.s3.uploads import MultipartUpload
from localcloud.s3.versions import EXPIRED, key_lock, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.s3.models import FakeBucket, LifecycleRule


def run_lifecycle() -> None:
    """Remove everything that is due, in every bucket.

    S3 does this at midnight UTC. If the clock is moved over several nights, it must run for each of
    them, as `pass_nights` does: later nights count days from what an earlier night did.
    """
    for name, (partition, account) in list(s3_backends.bucket_accounts.items()):
        backend = s3_backends[account][partition]
        bucket = backend.get_bucket(name)
        for rule in [rule for rule in bucket.rules if rule.status == "Enabled"]:
            _abort_unfinished(bucket, rule)
            for key_name in list(bucket.keys):
                # Events follow when the lock is released, as after a request.
                with after_the_request(), key_lock(name, key_name):
                    _expire(backend, bucket, rule, key_name)


def pass_nights(until: datetime) -> None:
    """Move the clock to `until`, stopping at each midnight UTC to run the lifecycle rules."""
    while (midnight := _midnight(clock.now()) + timedelta(days=1)) <= until:
        clock.stand_at(midnight)
        run_lifecycle()
    clock.stand_at(until)


@contextmanager
def lifecycle_each_night() -> Iterator[None]:
    """Run the lifecycle rules whenever the clock has passed midnight UTC, until the block ends."""
    day = clock.now().date()

    def run_if_passed() -> float | None:
        nonlocal day
        if day != (day := clock.now().date()):
            run_lifecycle()
        return clock.seconds_until(_midnight(clock.now()) + timedelta(days=1))

    with Worker("lifecycle", run_if_passed).running():
        yield


def _abort_unfinished(bucket: FakeBucket, rule: LifecycleRule) -> None:
    for upload_id, upload in list(bucket.multiparts.items()):
        if (
            isinstance(upload, MultipartUpload)
            and upload.key_name.startswith(_prefix(rule))
            and _is_due(upload.initiated, rule.aimu_days)
        ):
            bucket.multiparts.pop(upload_id, None)


def _expire(backend: S3Backend, bucket: FakeBucket, rule: LifecycleRule, key_name: str) -> None:
    """Expire noncurrent versions first: without them, a delete marker covers nothing."""
    versions = bucket.keys.getlist(key_name, [])
    for version, successor in pairwise(versions):
        # In the order of emulators, the next version in the list can have been initiated earlier.
        superseded = max(version.last_modified, successor.last_modified)
        if _is_for(backend, rule, version) and _is_due(superseded, rule.nve_noncurrent_days):
            _remove(backend, bucket, version)
    versions = bucket.keys.getlist(key_name, [])
    if not versions or not _is_for(backend, rule, versions[-1]):
        return
    newest = versions[-1]
    is_old = _is_due(newest.last_modified, rule.expiration_days)
    if isinstance(newest, FakeDeleteMarker):
        covers_nothing = len(versions) == 1
        if covers_nothing and (is_old or rule.expired_object_delete_marker == "true"):
            _remove(backend, bucket, newest)
    elif is_old:
        # Expiry puts a delete marker on top of the version, even if the version is locked.
        remove(backend, bucket.name, key_name, events=EXPIRED)


def _remove(backend: S3Backend, bucket: FakeBucket, version: FakeKey | FakeDeleteMarker) -> None:
    if isinstance(version, FakeDeleteMarker) or not version.is_locked(governance_bypass=False):
        remove(backend, bucket.name, version.name, version.version_id, events=EXPIRED)


def _is_due(since: datetime, days: Any) -> bool:
    """Whether this many days have passed, rounded up to midnight UTC; moto keeps a string."""
    if days is None:
        return False
    passed = since + timedelta(days=int(days))
    midnight = _midnight(passed)
    return utcnow() >= (midnight if midnight == passed else midnight + timedelta(days=1))


def _midnight(moment: datetime) -> datetime:
    """The last midnight UTC that is not after the moment."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _is_for(backend: S3Backend, rule: LifecycleRule, version: FakeKey | FakeDeleteMarker) -> bool:
    if not version.name.startswith(_prefix(rule)):
        return False
    required = _tags(rule)
    if not required or isinstance(version, FakeDeleteMarker):
        return not required
    tags = backend.tagger.get_tag_dict_for_resource(version.arn)
    return required.items() <= tags.items()


def _prefix(rule: LifecycleRule) -> str:
    """The prefix of the rule's filter or, in the older kind of rule, of the rule itself."""
    if rule.filter is None:
        return rule.prefix or ""
    if rule.filter.and_filter is not None:
        return rule.filter.and_filter.prefix or ""
    return rule.filter.prefix or ""


def _tags(rule: LifecycleRule) -> dict[str, str]:
    if rule.filter is None:
        return {}
    if rule.filter.and_filter is not None:
        return rule.filter.and_filter.tags
    return {rule.filter.tag_key: rule.filter.tag_value or ""} if rule.filter.tag_key else {}
