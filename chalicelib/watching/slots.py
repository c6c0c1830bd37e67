"""Which slots of a rule and server are filled, and which backups are missing. Pure.

    09:00 filled, 10:00 missing, 11:00 filled, 12:00 missing, 13:00 and 14:00 filled
    -> one gap, from 10:00 to 12:00

A gap ends only with two filled slots in a row: a job that fails every other hour has one gap.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from chalicelib.policy.policy import Policy, Slot

_INSTANT = timedelta(microseconds=1)
# S3 can take a day longer than `keep_days` to expire a backup.
_EXPIRY_DELAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A filled slot as S3 lists it: the first version, and when a marker or later version hid it.

    S3 dates a multipart copy from its start; by `complete` it is certainly complete. While the copy
    is running, or if only a delete marker is left, `size` is None.
    """

    name: str
    begun: datetime
    complete: datetime
    size: int | None = None
    version_id: str | None = None
    storage_class: str = "STANDARD"
    versions: int = 0
    overwritten: datetime | None = None
    hidden: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Missing backups: when the first was due (`since`), and their `slots`, oldest first.

    There are no slots if only the age of the newest backup counts. `is_older`: the gap began before
    the slots that the audit covers.
    """

    since: datetime
    slots: tuple[Slot, ...] = ()
    is_older: bool = False

    def is_same(self, other: "Gap | None") -> bool:
        """Whether another audit found the same gap: some of its slots are still missing."""
        if other is None or not self.slots:
            return other is not None
        return not {slot.name for slot in self.slots}.isdisjoint(slot.name for slot in other.slots)


@dataclass(frozen=True, kw_only=True)
class History:
    """The recent slots of an upload key, newest first, and the backups in them, by name.

    `first` is when the first slot that was ever filled began; no earlier slot is expected.
    """

    key: str
    slots: Sequence[Slot]
    backups: Mapping[str, Backup]
    first: datetime | None

    def backup(self, slot: Slot, now: datetime) -> Backup | None:
        """The backup in this slot, if its copy was started by `now`."""
        backup = self.backups.get(slot.name)
        return backup if backup and backup.begun <= now else None

    def newest(self, now: datetime) -> Backup | None:
        """The newest stored backup that no delete marker hides."""
        for slot in self.slots:
            backup = self.backup(slot, now)
            if backup and backup.size is not None and not backup.hidden:
                return backup
        return None

    def expects(self, slot: Slot) -> bool:
        """Whether this particular slot should be filled in time."""
        return self.first is not None and slot.start > self.first and slot.is_expected

    def is_late(self, slot: Slot) -> bool:
        """Whether this slot was filled only after its backup was due."""
        backup = self.backups.get(slot.name)
        return backup is not None and self.expects(slot) and backup.begun > slot.due

    def gap(self, now: datetime) -> Gap | None:
        """The gap that is open at `now`."""
        expect = self.slots[0].rule.expect
        if not isinstance(expect, timedelta):
            return self._missing(now)
        if self.first is None:
            return None
        for slot in self.slots:
            if backup := self.backup(slot, now):
                # After an outage a backup is stored late, but it is no newer than its slot.
                since = min(backup.begun, slot.end) + expect
                return Gap(since=since) if since <= now else None
        return Gap(since=self.slots[-1].start + expect, is_older=True)

    def _missing(self, now: datetime) -> Gap | None:
        missing: deque[Slot] = deque()
        is_second = False
        for slot in self.slots:
            if self.backup(slot, now):
                if is_second:
                    break
                is_second = True
            elif self.expects(slot) and slot.due <= now:
                missing.appendleft(slot)
                is_second = False
        if not missing:
            return None
        is_older = missing[0] is self.slots[-1]
        return Gap(since=missing[0].due, slots=tuple(missing), is_older=is_older)


def recent_slots(policy: Policy, key: str, now: datetime) -> list[Slot]:
    """The slots of an upload key that an audit covers, newest first.

    Older ones could be empty because their backups have expired.
    """
    rule, _ = policy.promotable_keys[key]
    lookback = rule.lookback
    if policy.keep_days is not None:
        lookback = min(lookback, timedelta(days=policy.keep_days) + _EXPIRY_DELAY)
    since = now - lookback
    return [*takewhile(lambda slot: slot.end > since, slots_before(policy, key, now))]


def slots_before(policy: Policy, key: str, moment: datetime) -> Iterator[Slot]:
    """The slot of `moment`, the slot before it, and so on."""
    while True:
        slot = policy.slot_of(key, moment)
        yield slot
        moment = slot.start - _INSTANT
