"""The mails that audits send in a simulated outage, derived from what the audits really find."""

from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from chalicelib.policy.file import parse_policy
from chalicelib.watching.audit import Audited
from chalicelib.watching.findings import Finding, judge_backups
from chalicelib.watching.mails import Mail, is_digest, mail_of
from chalicelib.watching.slots import Backup, History, slots_before
from tests.admin.outages import SERVERS, Weeks
from tests.support.project import POLICY_TOML

POLICY = parse_policy(f"servers = {[*SERVERS]}\n{POLICY_TOML}".replace("'", '"'))


def audit_mails(weeks: Weeks) -> list[datetime]:
    """The hours of the audits that send a mail besides the daily digest."""
    histories = [_history(weeks, key) for key in POLICY.server_keys]
    hours = (hour for hour in sorted({*weeks.audits}) if not is_digest(POLICY, hour))
    return [hour for hour in hours if _mail(histories, hour)]


def _history(weeks: Weeks, key: str) -> History:
    stored = {
        POLICY.slot_of(key, upload.at): then
        for upload, then in weeks.settled.items()
        if upload.key == key
    }
    begin = min(slot.start for slot in stored)
    backups = {
        slot.name: Backup(name=slot.name, begun=then, complete=then, size=1, versions=1)
        for slot, then in stored.items()
    }
    slots = takewhile(lambda slot: slot.start >= begin, slots_before(POLICY, key, weeks.end))
    return History(key=key, slots=[*slots], backups=backups, first=begin)


def _mail(histories: list[History], hour: datetime) -> Mail | None:
    findings: list[Finding] = []
    for history in histories:
        slots = [slot for slot in history.slots if slot.start <= hour]
        if slots:
            known = replace(history, slots=slots)
            findings += judge_backups(known, vault="backups2", now=hour)
    return mail_of(Audited(findings=findings), policy=POLICY, stage="prod", now=hour)
