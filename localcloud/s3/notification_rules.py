"""S3's checks of a bucket's notification configuration."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import S3ClientError

if TYPE_CHECKING:
    from moto.s3.models import Notification


def refuse_overlap(notifications: list[Notification]) -> None:
    """Raise S3's error if two of them would be sent for the same event of the same key."""
    for one, other in combinations(notifications, 2):
        if not _share_an_event(one, other):
            continue
        (prefix, suffix), (other_prefix, other_suffix) = _filter(one), _filter(other)
        if _begin_alike(prefix, other_prefix) and _begin_alike(suffix[::-1], other_suffix[::-1]):
            raise S3ClientError(
                "InvalidArgument",
                "Configurations overlap. Configurations on the same bucket cannot share a common "
                "event type."
                if "" in (prefix + suffix, other_prefix + other_suffix)
                else "Configuration is ambiguously defined. Cannot have overlapping suffixes in "
                "two rules if the prefixes are overlapping for the same event type.",
            )


def _share_an_event(one: Notification, other: Notification) -> bool:
    return any(
        _begin_alike(event.removesuffix("*"), another.removesuffix("*"))
        if event.endswith("*") or another.endswith("*")
        else event == another
        for event in one.events
        for another in other.events
    )


def _filter(notification: Notification) -> tuple[str, str]:
    """The prefix and the suffix of the keys."""
    rules: dict[str, Any] = {
        rule["Name"].lower(): rule["Value"]
        for rule in notification.filters.get("S3Key", {}).get("FilterRule", [])
    }
    return rules.get("prefix", ""), rules.get("suffix", "")


def _begin_alike(text: str, another: str) -> bool:
    return text.startswith(another) or another.startswith(text)
