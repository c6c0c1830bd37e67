"""The mails that audits send in a simulated outage, from what the audits really find."""

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from chalicelib.policy.file import parse_policy
from chalicelib.watching.findings import Kind, Phase, judge_backups
from chalicelib.watching.slots import Backup, History, slots_before
from tests.admin.outages import SERVERS, Weeks
from tests.support.project import POLICY_TOML

POLICY = parse_policy(f"servers = {[*SERVERS]}\n{POLICY_TOML}".replace("'", '"'))


def audit_mails(weeks: Weeks) -> list[datetime]:
    """The hours of the audits that send a mail, besides the daily digest.

    That is an audit in which a finding is new or over, with one mail for all of them. After an
    outage, backups are stored late for hours: audits have told that they are missing.
    """
    histories = [_history(weeks, key) for key in POLICY.server_keys]
    return [hour for hour in sorted({*weeks.audits}) if any(_phases(histories, hour))]


def _history(weeks: Weeks, key: str) -> History:
    stored = {
        POLICY.slot_of(key, upload.at): then
        for upload, then in weeks.settled.items()
        if upload.key == key
    }
    begin = min(slot.start for slot in stored)
    backups = {
        # How late it was is not judged, which would take most of the time.
        slot.name: Backup(name=slot.name, begun=then, complete=slot.end, size=1, versions=1)
        for slot, then in stored.items()
    }
    slots = takewhile(lambda slot: slot.start >= begin, slots_before(POLICY, key, weeks.end))
    return History(key=key, slots=[*slots], backups=backups, first=begin)


def _phases(histories: list[History], hour: datetime) -> Iterator[bool]:
    for history in histories:
        slots = [slot for slot in history.slots if slot.start <= hour]
        if not slots:
            continue
        known = History(key=history.key, slots=slots, backups=history.backups, first=history.first)
        for finding in judge_backups(known, vault="backups2", now=hour):
            yield finding.kind is not Kind.LATE and finding.phase is not Phase.LASTING
