"""What S3's lifecycle rules remove from a bucket.

A rule counts the days of a current version from when it was stored, and the days of a noncurrent
version from when another version or a delete marker superseded it. A delete marker hides the
object; a rule that expires a current version also adds one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from admin.account import Account
from chalicelib.policy.rules import DRILL

LifecycleRule = dict[str, Any]
_KB = 1024


@dataclass(frozen=True, kw_only=True)
class StoredVersion:
    """A version of an object. Times are S3's; `size` is in bytes (None: any).

    `superseded` is None for a current version. `newer` counts the noncurrent versions of the same
    object that are newer.
    """

    key: str
    made: datetime
    size: int | None = None
    superseded: datetime | None = None
    newer: int = 0


@dataclass(kw_only=True)
class Amount:
    """A number of versions, and their bytes."""

    versions: int = 0
    size: int = 0

    def add(self, version: StoredVersion) -> None:
        self.versions += 1
        self.size += version.size or 0

    def __str__(self) -> str:
        """For example "52 versions (1.4 GB)"."""
        plural = "s" * (self.versions != 1)
        return f"{self.versions:,} version{plural} ({size_in_words(self.size)})"


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """What new lifecycle rules would expire sooner than the current ones: at once, and later."""

    at_once: Amount = field(default_factory=Amount)
    later: Amount = field(default_factory=Amount)

    def __bool__(self) -> bool:
        """Whether anything would expire sooner."""
        return bool(self.at_once.versions or self.later.versions)


def stored_versions(account: Account, bucket: str) -> Iterator[StoredVersion]:
    """Every version in a bucket, except a drill's, read page by page to save memory.

    Objects of a bucket that never had versions count as current versions.
    """
    s3 = account.account_of(bucket).client("s3")
    # A page has two lists, of versions and of delete markers; the pages are in the order of keys.
    entries = (
        entry
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        for entry in sorted(
            [*page.get("Versions", []), *page.get("DeleteMarkers", [])],
            key=lambda entry: entry["Key"],
        )
    )
    for key, group in groupby(entries, key=lambda entry: entry["Key"]):
        if not key.startswith(f"{DRILL}/"):
            yield from _versions_of_key(key, group)


def _versions_of_key(key: str, entries: Iterable[Any]) -> Iterator[StoredVersion]:
    newest_first = sorted(
        entries, key=lambda entry: (entry["IsLatest"], entry["LastModified"]), reverse=True
    )
    superseded, newer = None, 0
    for entry in newest_first:
        if "Size" in entry:  # a delete marker has none
            yield StoredVersion(
                key=key,
                made=entry["LastModified"],
                size=entry["Size"],
                superseded=superseded,
                newer=newer,
            )
            newer += superseded is not None
        superseded = entry["LastModified"]


def compare(
    versions: Iterable[StoredVersion],
    *,
    before: Iterable[LifecycleRule],
    after: Iterable[LifecycleRule],
    now: datetime,
) -> Expiry:
    """What the rules `after` would expire sooner than the rules `before`."""
    before, after = [*before], [*after]
    expiry = Expiry()
    for version in versions:
        moment, earlier = expires_at(version, after), expires_at(version, before)
        if moment is None or (earlier is not None and earlier <= moment):
            continue
        (expiry.at_once if moment <= now else expiry.later).add(version)
    return expiry


def expires_at(version: StoredVersion, rules: Iterable[LifecycleRule]) -> datetime | None:
    """When the first of these rules removes or hides the version; None: never."""
    moments = [_expires_at(version, rule) for rule in rules if applies(rule, version)]
    return min((moment for moment in moments if moment), default=None)


def _expires_at(version: StoredVersion, rule: LifecycleRule) -> datetime | None:
    if version.superseded is None:
        match rule.get("Expiration"):
            case {"Days": int(days)}:
                return version.made + timedelta(days=days)
            case {"Date": datetime() as date}:
                return date.replace(tzinfo=date.tzinfo or UTC)
    else:
        noncurrent = rule.get("NoncurrentVersionExpiration")
        if noncurrent and version.newer >= noncurrent.get("NewerNoncurrentVersions", 0):
            return version.superseded + timedelta(days=noncurrent["NoncurrentDays"])
    return None


def applies(rule: LifecycleRule, version: StoredVersion) -> bool:
    """Whether the rule is enabled and applies to untagged versions, like backups and uploads."""
    criteria = _criteria(rule)
    return (
        rule["Status"] == "Enabled"
        and not criteria.get("Tag")
        and not criteria.get("Tags")
        and version.key.startswith(prefix_of(rule))
        and (
            version.size is None
            or criteria.get("ObjectSizeGreaterThan", -1)
            < version.size
            < criteria.get("ObjectSizeLessThan", version.size + 1)
        )
    )


def prefix_of(rule: LifecycleRule) -> str:
    """The prefix of the rule's objects; empty: it applies to all names."""
    return str(_criteria(rule).get("Prefix", ""))


def _criteria(rule: LifecycleRule) -> dict[str, Any]:
    criteria: dict[str, Any] = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    return dict(criteria.get("And", criteria))


def size_in_words(size: float) -> str:
    """For example "1.4 GB"; 1 KB is 1,024 bytes."""
    units = ("bytes", "KB", "MB", "GB", "TB", "PB")
    unit = 0
    while size >= _KB and unit < len(units) - 1:
        size, unit = size / _KB, unit + 1
    return f"{size:,.1f} {units[unit]}" if unit else f"{size:,.0f} byte{'s' * (size != 1)}"
