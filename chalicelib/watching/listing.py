"""Lists the recent backups of an upload key: one request for 1,000 names, however old the vault is.

Names sort by time, so a list can begin at the first relevant slot.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from chalicelib.policy.policy import Policy, Slot
from chalicelib.policy.rules import Rule, names_of
from chalicelib.promotion.buckets import Vault
from chalicelib.promotion.leftovers import Unfinished
from chalicelib.watching.slots import Backup, History, recent_slots
from chalicelib.watching.sweep import LONGEST_RUN, completed_at

_BEFORE = datetime.min.replace(tzinfo=UTC)


def list_history(
    vault: Vault, policy: Policy, key: str, now: datetime, *, copies: Sequence[Unfinished] = ()
) -> History:
    """The recent slots of an upload key and the backups in them, as S3 lists them now.

    `copies` are the unfinished ones, which were listed first: a backup that is being copied is not
    missing, and keeps its date when the copy is complete.
    """
    slots = recent_slots(policy, key, now)
    starts_by_name = {slot.name: slot.start for slot in slots}
    backups = list_slots(vault, slots, keep_days=policy.keep_days)
    for copy in copies:
        if copy.key in starts_by_name and now - copy.begun < LONGEST_RUN:
            complete = copy.begun + LONGEST_RUN
            running = Backup(name=copy.key, begun=copy.begun, complete=complete)
            backups.setdefault(copy.key, running)
    starts = [starts_by_name[name] for name, backup in backups.items() if backup.begun <= now]
    if slots[-1].name not in backups and has_older(vault, slots[-1]):
        starts.append(_BEFORE)
    return History(key=key, slots=slots, backups=backups, first=min(starts, default=None))


def list_slots(vault: Vault, slots: Sequence[Slot], *, keep_days: int | None) -> dict[str, Backup]:
    """The backups in these slots of one upload key, by name."""
    starts = {slot.name: slot.start for slot in slots}
    pages = _pages(vault, _prefix(slots[0].rule, slots[0].server), sorted(starts))
    return {
        name: backup_of(name, entries, start=starts[name], keep_days=keep_days)
        for name, entries in _by_names(pages)
        if name in starts
    }


def _pages(vault: Vault, prefix: str, names: Sequence[str]) -> Iterator[Any]:
    """List from the first of these names to the last, and skip the names of other rules."""
    marker: dict[str, Any] = {"KeyMarker": names[0][:-1]}
    while True:
        page: Any = vault.s3.list_object_versions(**vault.args, Prefix=prefix, **marker)
        yield page
        if not page["IsTruncated"]:
            return
        last = page["NextKeyMarker"]
        following = bisect_left(names, last)
        if following == len(names):
            return
        marker = {"KeyMarker": names[following][:-1]}
        if marker["KeyMarker"] <= last:
            marker = {"KeyMarker": last, "VersionIdMarker": page["NextVersionIdMarker"]}


def backup_of(
    name: str, entries: Iterable[Any], *, start: datetime, keep_days: int | None
) -> Backup:
    """The backup that these versions and delete markers belong to: the first version.

    S3 lists versions from the newest to the oldest. If only markers are left, `start` is when the
    slot began.
    """
    versions: list[Any] = []
    markers: list[Any] = []
    for entry in entries:
        (versions if "Size" in entry else markers).append(entry)
    first: Any = versions[-1] if versions else {"LastModified": start}
    begun = first["LastModified"]
    complete = [completed_at(each["LastModified"], each["ETag"]) for each in versions] or [start]
    hidden = markers[-1]["LastModified"] if markers else None
    # S3 puts a marker on a backup that expires.
    if hidden and keep_days is not None and hidden >= begun + timedelta(days=keep_days):
        hidden = None
    return Backup(
        name=name,
        begun=begun,
        complete=complete[-1],
        size=first.get("Size"),
        version_id=first.get("VersionId"),
        storage_class=first.get("StorageClass", "STANDARD"),
        versions=len(versions),
        overwritten=complete[-2] if len(complete) > 1 else None,
        hidden=hidden,
    )


def has_older(vault: Vault, slot: Slot) -> bool:
    """Whether there is a backup older than the slot.

    This takes more than one request only if a thousand names of other rules sort before it.
    """
    first, _ = next(list_names(vault, slot.rule, slot.server), (slot.name, None))
    return first < slot.name


def list_names(
    vault: Vault, rule: Rule, server: str | None, *, start: str = ""
) -> Iterator[tuple[str, Iterator[Any]]]:
    """The names of a rule and server from `start` on, with the entries that `backup_of` needs."""
    names, prefix = names_of(rule, server), _prefix(rule, server)
    marker: Any = {"KeyMarker": start[:-1]} if start else {}
    pages = vault.s3.get_paginator("list_object_versions").paginate(
        **vault.args, Prefix=prefix, **marker
    )
    return (item for item in _by_names(pages) if names.fullmatch(item[0]))


def _by_names(pages: Iterable[Any]) -> Iterator[tuple[str, Iterator[Any]]]:
    """The versions and delete markers of each name; pages sort by name."""
    name = itemgetter("Key")
    entries = (
        entry
        for page in pages
        for entry in sorted([*page.get("Versions", []), *page.get("DeleteMarkers", [])], key=name)
    )
    return groupby(entries, key=name)


def _prefix(rule: Rule, server: str | None) -> str:
    """The common prefix of the names of all backups of a rule and server."""
    literal, _, _ = rule.store_as.text.partition("%")
    return f"{server}/{literal}" if server else literal
