"""A year of backups in which much goes wrong, and what must be reported in each hour.

What must be reported is derived from the year in the order of events. The audit looks back from
each hour, and keeps no state.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from itertools import pairwise
from random import Random
from typing import Any

from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy, Slot
from chalicelib.watching.audit import Audited
from chalicelib.watching.findings import REPEATED, Finding, Kind, judge_backups
from chalicelib.watching.mails import Mail, mail_of
from chalicelib.watching.slots import Backup, History

ZONES = [
    "Europe/London",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Etc/UTC",
]
VAULT = "backups2"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURLY, NIGHTLY = "sql.gpg", "files.gpg"
RULES = f"""
[[rule]]
upload = "{HOURLY}"
store_as = "%Y-%m-%d.%H.sql.gpg"
[[rule]]
upload = "{NIGHTLY}"
store_as = "%Y-%m-%d.files.gpg"
"""
# When each server's jobs run: the minute of the hour, and the time of the night. The nightly backup
# of db1 ends after midnight; clocks can skip or repeat the time of mail1's.
JOBS = {
    "web1": (7, (4, 7)),
    "db1": (35, (23, 30)),
    "mail1": (50, (2, 15)),
    "web2": (7, (4, 7)),
    "db2": (12, (1, 0)),
}
# Everything that goes wrong concerns these servers.
SERVERS = ("web1", "db1", "mail1")


@dataclass
class Year:
    """The slots of one rule and server in a year, with what was stored in them, and when."""

    server: str
    slots: list[Slot]
    random: Random
    backups: dict[str, Backup] = field(default_factory=dict)
    tiny: set[str] = field(default_factory=set)
    is_broken: bool = True
    judged: dict[datetime, list[Finding]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.starts = [slot.start for slot in self.slots]
        self.is_hourly = self.slots[0].rule.upload == HOURLY
        # The server is new: its first backup comes some days into the year.
        for slot in self.slots[100 if self.is_hourly else 5 :]:
            if run := self._run_of(slot):
                self.store(slot, run + self.random.randrange(120, 300) * timedelta(seconds=1))
        if self.is_broken:
            self._break()
        self.first = next(slot.start for slot in self.slots if slot.name in self.backups)

    def store(self, slot: Slot, ended: datetime) -> None:
        """Store a backup whose copy ended at this time; some copies are multipart."""
        in_parts = self.random.random() < 0.3
        begun = ended - self.random.randrange(20) * MINUTE if in_parts else ended
        self.backups[slot.name] = Backup(
            name=slot.name,
            begun=begun,
            complete=begun + 30 * MINUTE if in_parts else begun,
            size=int(self.random.uniform(800_000, 1_250_000)),
        )

    def _run_of(self, slot: Slot) -> datetime | None:
        """When the job of this slot runs; None if clocks skip its time."""
        minute, (hour, past) = JOBS[self.server]
        local = slot.start.astimezone(slot.rule.timezone)
        if not self.is_hourly:
            long = 50 * MINUTE if self.server == "db1" else timedelta()
            return local.replace(hour=hour, minute=past).astimezone(UTC) + long
        run = slot.start + (minute - local.minute) % 60 * MINUTE
        return run if run < slot.end else None

    def _break(self) -> None:
        """Let everything go wrong that can, more often if there are more slots."""
        times = 12 if self.is_hourly else 3
        for _ in range(times):
            self._lose(self.random.choice([1, 1, 1, 2, 3, 7, 44]))
            self._lose(self.random.choice([6, 11, 40]) if self._rarely() else 1, every=2)
            for slot in self._some(1):
                delay = self.random.choice([1, 20, 59, 61, 200, 700]) * MINUTE
                self.store(slot, slot.due + delay)
            for slot in self._some(1):
                self._change(slot, size=self.random.choice([20, 50_000]))
                self.tiny.add(slot.name)
            for slot in self._some(1):
                self._change(slot, size=30_000_000)
        for slot in self._some(times // 3):
            later = self.backups[slot.name].complete + self.random.randrange(3000) * MINUTE
            self._change(slot, overwritten=later, versions=3)
        for slot in self._some(times // 3):
            later = self.backups[slot.name].complete + self.random.randrange(3000) * MINUTE
            self._change(slot, hidden=later)
        for length in (7, 160):
            self.stop(START + self.random.randrange(20, 330) * 24 * HOUR, length * HOUR)
        if self.server == "db1":
            self._lose_between(START + 280 * 24 * HOUR, END)
        if self.server == "mail1":
            self._lose_between(START + 150 * 24 * HOUR, START + 200 * 24 * HOUR)

    def _rarely(self) -> bool:
        return self.random.random() < 0.2

    def _some(self, number: int) -> list[Slot]:
        """Some slots that hold an ordinary backup, not in the first days."""
        candidates = self.slots[len(self.slots) // 12 :]
        slots = self.random.sample(candidates, number)
        return [slot for slot in slots if slot.name in self.backups and slot.name not in self.tiny]

    def _change(self, slot: Slot, **changes: Any) -> None:
        self.backups[slot.name] = replace(self.backups[slot.name], **changes)

    def _lose(self, length: int, *, every: int = 1) -> None:
        for slot in self._some(1):
            begin = self.slots.index(slot)
            for lost in self.slots[begin : begin + length * every : every]:
                self._remove(lost)

    def _lose_between(self, begin: datetime, end: datetime) -> None:
        for slot in self.slots:
            if begin <= slot.start < end:
                self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        self.backups.pop(slot.name, None)

    def stop(self, begin: datetime, length: timedelta) -> None:
        """Nothing is stored for a while; then the sweep stores what waited, ten per 15 minutes."""
        end = begin + length
        waiting = [slot for slot, backup in self.stored() if begin <= backup.begun < end]
        for number, slot in enumerate(waiting):
            changed = self.backups[slot.name]
            self.store(slot, end + (1 + number // 10) * 15 * MINUTE + number * MINUTE / 10)
            self._change(slot, size=changed.size)
            if changed.overwritten or changed.hidden:
                moved = self.backups[slot.name].complete + HOUR
                which = "hidden" if changed.hidden else "overwritten"
                self._change(slot, **{which: moved}, versions=changed.versions)

    def stored(self) -> Iterator[tuple[Slot, Backup]]:
        return ((slot, self.backups[slot.name]) for slot in self.slots if slot.name in self.backups)

    def history(self, now: datetime) -> History:
        """What an audit at `now` would list if it were repeated later, including later events."""
        newest = bisect_right(self.starts, now)
        lookback = self.slots[0].rule.lookback
        oldest = max(bisect_right(self.starts, now - lookback) - 1, 0)
        return History(
            key=f"{self.server}/{self.slots[0].rule.upload}",
            slots=self.slots[oldest:newest][::-1],
            backups=self.backups,
            first=self.first if self.first <= now else None,
        )

    def findings(self, now: datetime) -> list[Finding]:
        """Return the findings of an audit at `now`, cached because they depend only on `now`."""
        if now not in self.judged:
            self.judged[now] = [*judge_backups(self.history(now), vault=VAULT, now=now)]
        return self.judged[now]

    @cached_property
    def hours(self) -> list[datetime]:
        """Return each hour in which something changes, the next hour, and 60 random hours."""
        changes = [moment for _, _, since, until in self.faults for moment in (since, until)]
        in_time = [self.is_in_time(slot) for slot in self.slots]
        for number, slot in enumerate(self.slots):
            # The middle of a long gap changes nothing.
            if len(set(in_time[max(number - 3, 0) : number + 4])) == 2:
                backup = self.backups.get(slot.name)
                changes += [slot.due, *([backup.begun, backup.complete] if backup else [])]
        some = [START + number * HOUR for number in self.random.sample(range(24 * 365), 60)]
        begun = {START + -(-(change - START) // HOUR) * HOUR for change in changes}
        hours = {*some, *begun, *(hour + HOUR for hour in begun)}
        return sorted(hour for hour in hours if START <= hour < END)

    # The expected findings, from the oldest slot to the newest

    def missing(self, history: History, now: datetime) -> list[str]:
        """The names that have been missing since two backups in a row were stored."""
        missing: list[str] = []
        stored_in_a_row = 0
        for slot in reversed(history.slots):
            if slot.name in self.backups and self.backups[slot.name].begun <= now:
                stored_in_a_row += 1
                if stored_in_a_row == 2:
                    missing.clear()
            elif slot.is_regular and slot.due <= now and self.first < slot.start:
                stored_in_a_row = 0
                missing.append(slot.name)
        return missing

    def gaps(self) -> int:
        """The maximum number of gaps: one after each slot that was filled in time."""
        in_time = [self.is_in_time(slot) for slot in self.slots]
        return sum(before and not after for before, after in pairwise(in_time))

    def is_in_time(self, slot: Slot) -> bool:
        return slot.name in self.backups and self.backups[slot.name].begun <= slot.due

    @cached_property
    def faults(self) -> list[tuple[Kind, Slot, datetime, datetime]]:
        """Every fault of a stored backup, with the period in which it is reported."""
        faults = []
        for slot, backup in self.stored():
            stored, day = backup.complete, backup.complete + REPEATED
            if backup.begun > slot.due and slot.is_regular and slot.start > self.first:
                faults.append((Kind.LATE, slot, stored, day))
            if slot.name in self.tiny:
                faults.append((Kind.SMALL, slot, stored, day))
            if backup.overwritten:
                faults.append((Kind.OVERWRITTEN, slot, backup.overwritten, END))
            if backup.hidden:
                faults.append((Kind.DELETED, slot, backup.hidden, END))
        return faults


@cache
def years(
    zone: str, *, seed: int = 1, is_broken: bool = True, all_hours: bool = False
) -> list[Year]:
    """A year of each server and rule in this zone, but hourly backups of only one, to save time."""
    made = []
    for upload in (NIGHTLY, HOURLY):
        servers = SERVERS
        if upload == HOURLY and not all_hours:
            servers = servers[ZONES.index(zone) % len(servers) :][:1]
        for server in servers:
            random = Random(f"{zone} {server} {upload} {seed}")
            slots = slots_of_server(zone, upload, server)
            made.append(Year(server, slots, random, is_broken=is_broken))
    return made


def slots_of_server(zone: str, upload: str, server: str) -> list[Slot]:
    return [
        replace(slot, server=server, name=f"{server}/{slot.name}")
        for slot in slots_of(zone, upload)
    ]


@cache
def slots_of(zone: str, upload: str) -> list[Slot]:
    slots, moment = [], START
    while moment < END:
        slots.append(policy_of(zone).slot_of(upload, moment))
        moment = slots[-1].end
    return slots


@cache
def policy_of(zone: str) -> Policy:
    return parse_policy(f'timezone = "{zone}"{RULES}')


def is_reported_as_missing(kind: Kind, slot: Slot, year: Year) -> bool:
    """Whether a backup is so late that an audit has reported it as missing."""
    return kind is Kind.LATE and year.backups[slot.name].begun - slot.due >= HOUR


def audited(years: Iterable[Year], now: datetime) -> Audited:
    """What the audit of all these servers and rules finds."""
    kinds, found = list(Kind), Audited()
    for year in years:
        found.findings += year.findings(now)
    found.findings.sort(key=lambda finding: (kinds.index(finding.kind), finding.since))
    return found


def mail_at(years: Iterable[Year], zone: str, now: datetime) -> Mail | None:
    return mail_of(audited(years, now), policy=policy_of(zone), stage="prod", now=now)


@cache
def outage_mails(begin: datetime, length: timedelta) -> dict[datetime, Mail]:
    """The mails of hourly audits before, during and after an outage, of five servers in London.

    Nothing is stored during the outage. Then the sweep stores all waiting uploads.
    """
    years = [
        Year(
            server,
            slots_of_server("Europe/London", upload, server),
            Random(server),
            is_broken=False,
        )
        for upload in (NIGHTLY, HOURLY)
        for server in JOBS
    ]
    for year in years:
        year.stop(begin, length)
    first = begin.replace(minute=0, second=0, microsecond=0) - 12 * HOUR
    hours = [first + number * HOUR for number in range(length // HOUR + 60)]
    mails = {hour: mail_at(years, "Europe/London", hour) for hour in hours}
    return {hour: mail for hour, mail in mails.items() if mail}
