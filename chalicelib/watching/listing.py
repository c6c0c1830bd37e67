"""Lists the recent backups of an upload key: one request for 1,000 names, however old the vault is.

Names sort by time, so a list can begin at the first slot of interest.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.policy.policy import Policy, Slot
from chalicelib.promotion.buckets import Vault
from chalicelib.promotion.leftovers import Unfinished
from chalicelib.watching.slots import Backup, History, recent_slots
from chalicelib.watching.sweep import LONGEST_RUN


def list_history(
    vault: Vault, policy: Policy, key: str, now: datetime, *, copies: Sequence[Unfinished] = ()
) -> History:
    """The recent slots of an upload key and the backups in them, as S3 lists them now.

    `copies` are the unfinished ones, listed before: what is being copied is not missing, and is
    dated the same when it is complete.
    """
    slots = recent_slots(policy, key, now)
    by_name = {slot.name: slot for slot in slots}
    backups: dict[str, Backup] = {}
    markers: dict[str, datetime] = {}
    # S3 lists the versions of a name from the newest to the oldest, which is the backup.
    for page in _pages(vault, _prefix(slots[0]), sorted(by_name)):
        for version in page.get("Versions", []):
            if slot := by_name.get(version["Key"]):
                backups[slot.name] = _backup(slot, version, backups.get(slot.name))
        markers |= {
            marker["Key"]: marker["LastModified"]
            for marker in page.get("DeleteMarkers", [])
            if marker["Key"] in by_name
        }
    for copy in copies:
        if copy.key in by_name and now - copy.begun < LONGEST_RUN:
            slot, complete = by_name[copy.key], copy.begun + LONGEST_RUN
            running = Backup(slot=slot, begun=copy.begun, complete=complete, size=None, versions=0)
            backups.setdefault(copy.key, running)
    keep_for = None if policy.keep_days is None else timedelta(days=policy.keep_days)
    for name, made in markers.items():
        slot = by_name[name]
        backup = backups.get(name) or Backup(
            slot=slot, begun=slot.start, complete=slot.start, size=None, versions=0
        )
        # S3 puts a marker on a backup that expires.
        is_expired = keep_for is not None and made >= backup.begun + keep_for
        backups[name] = backup if is_expired else replace(backup, hidden=made)
    stored = [backup.begun for backup in backups.values()]
    if slots[-1].name not in backups and (first := _first(vault, slots[-1])):
        stored.append(first)
    return History(key=key, slots=slots, backups=backups, first=min(stored, default=None))


def _pages(vault: Vault, prefix: str, names: Sequence[str]) -> Iterator[Any]:
    """List from the first of these names to the last, and jump over the names of other rules."""
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


def _backup(slot: Slot, version: Any, newer: Backup | None) -> Backup:
    begun = version["LastModified"]
    return Backup(
        slot=slot,
        begun=begun,
        complete=begun + LONGEST_RUN if "-" in version["ETag"] else begun,
        size=version["Size"],
        versions=newer.versions + 1 if newer else 1,
        overwritten=newer.complete if newer else None,
    )


def _first(vault: Vault, slot: Slot) -> datetime | None:
    """When the first backup of the slot's rule and server was stored; None if there is none.

    That takes more than one request only if a thousand names of other rules sort before it.
    """
    templates = "|".join(map(re.escape, slot.rule.store_as.templates)).replace("%", "[0-9]")
    own = re.compile((re.escape(f"{slot.server}/") if slot.server else "") + f"({templates})")
    pages = vault.s3.get_paginator("list_object_versions")
    for page in pages.paginate(**vault.args, Prefix=_prefix(slot)):
        entries: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        found = [entry for entry in entries if own.fullmatch(entry["Key"])]
        if found:
            first: datetime = min((entry["Key"], entry["LastModified"]) for entry in found)[1]
            return first
    return None


def _prefix(slot: Slot) -> str:
    """What all names of the slot's rule and server start with."""
    literal, _, _ = slot.rule.store_as.text.partition("%")
    return f"{slot.server}/{literal}" if slot.server else literal
