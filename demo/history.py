"""Three months of backups, as a plan: the same for the same policy and time. Pure.

A server has been down three times. Within the last day, one of its backups was late and one is
small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from random import Random

from chalicelib.policy.policy import Policy, Slot
from chalicelib.watching.slots import slots_before

DAYS = 90
# The limit for each server and rule: for a rule with a slot per minute, storing all backups would
# take minutes.
MOST = DAYS * 24
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
# How long ago each outage ended, and how long it lasted.
OUTAGES = ((50 * HOUR, 3 * HOUR), (11 * DAY, 2 * DAY), (47 * DAY, 26 * HOUR))
# The times are counted in backups from the newest.
LATE, SMALL = 3, 6


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A backup, uploaded under `key` and then stored in its slot; `size` is that of its data."""

    key: str
    slot: Slot
    uploaded: datetime
    stored: datetime
    size: int


def plan(policy: Policy, now: datetime) -> list[Planned]:
    """The backups of each server and rule, the newest first."""
    backups: list[Planned] = []
    troubled = _fastest(policy, now)
    for key in policy.server_keys:
        planned = [*_plan(policy, key, now)]
        if key == troubled and len(planned) > SMALL:
            late, small = planned[LATE], planned[SMALL]
            stored = late.slot.due + _length(late.slot) / 4
            planned[LATE] = replace(late, stored=min(stored, now))
            planned[SMALL] = replace(small, size=small.size // 20)
        backups += planned
    return backups


def _fastest(policy: Policy, now: datetime) -> str:
    """The first server's upload key with the shortest slots."""
    servers = policy.servers[:1] or (None,)
    keys = [key for key, (_, server) in policy.server_keys.items() if server in servers]
    return min(keys, key=lambda key: _length(policy.slot_of(key, now)))


def _plan(policy: Policy, key: str, now: datetime) -> Iterator[Planned]:
    random = Random(key)
    since = now - timedelta(days=min(DAYS, policy.keep_days or DAYS))
    slots = takewhile(lambda slot: slot.start > since, slots_before(policy, key, now))
    for slot in islice(slots, MOST):
        uploaded = slot.start + _length(slot) * random.uniform(0.08, 0.1)
        stored = uploaded + random.uniform(2, 50) * timedelta(seconds=1)
        size = int(random.uniform(0.9, 1.1) * (100_000 if _length(slot) >= DAY else 8_000))
        was_down = any(ago < now - uploaded < ago + length for ago, length in OUTAGES)
        if stored <= now and not was_down:
            yield Planned(key=key, slot=slot, uploaded=uploaded, stored=stored, size=size)


def _length(slot: Slot) -> timedelta:
    return slot.end - slot.start
