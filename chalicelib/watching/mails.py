"""Writes the mail of an audit: what is new or resolved, and once a day everything that lasts. Pure.

    Subject: backups prod: web1/2026-11-24.files.gpg is missing, and 2 more

Anyone who is woken up by it should understand it, and know what to do first.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from itertools import chain, groupby
from operator import attrgetter

from chalicelib.policy.policy import Policy
from chalicelib.watching.audit import Audited
from chalicelib.watching.findings import INTERVAL, REPEATED, ZONED_TIME, Finding, Kind, Phase

# The first mail after this time, by the policy's clocks, contains the digest.
DIGEST_AT = time(8)
# More than these are only counted under a heading: nobody would read them.
MOST_SHOWN = 15
# SNS accepts subjects of less than 100 characters, without control characters, and messages of up
# to 262,144 bytes (SNS API reference, Publish). A mail contains only ASCII.
LONGEST_SUBJECT = 99
LONGEST_BODY = 250_000
DOCUMENT = "docs/operations.md"
# For other kinds, each rule and server gets one mail a day: a job that is late every hour must not
# send 24.
_ALWAYS_NEWS = frozenset({Kind.OVERWRITTEN, Kind.DELETED, Kind.MISSING})
_NEWS_FIRST = (Phase.NEW, Phase.OVER, Phase.LASTING)


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail in the form that SNS accepts."""

    subject: str
    body: str


def mail_of(audited: Audited, *, policy: Policy, stage: str, now: datetime) -> Mail | None:
    """The mail of the audit at `now`; None if there is no reason for one."""
    found = audited.findings
    shown = found if is_digest(policy, now) else _news(found, now)
    if not shown:
        return None
    more = len(found) - len(shown)
    return _write(shown, audited, policy=policy, stage=stage, now=now, more=more)


def trouble_of(audited: Audited, *, policy: Policy, stage: str, now: datetime) -> Mail | None:
    """Everything that is wrong at `now`, or could not be checked; None if all is well."""
    wrong = [finding for finding in audited.findings if finding.phase is not Phase.OVER]
    if not wrong and not audited.failures:
        return None
    return _write(wrong, audited, policy=policy, stage=stage, now=now, more=0)


def is_digest(policy: Policy, now: datetime) -> bool:
    """Whether this is the first audit of a day after the time of the digest."""
    today = now.astimezone(policy.timezone).date()
    due = datetime.combine(today, DIGEST_AT, policy.timezone)
    return now - INTERVAL < due <= now


def _news(found: Sequence[Finding], now: datetime) -> list[Finding]:
    """New and resolved findings, if any, together with all broken promises, even old ones."""
    repeats = attrgetter("kind", "rule", "server")
    lasting = (each for each in found if each.phase is Phase.LASTING)
    lately = {repeats(each) for each in lasting if now - each.since < REPEATED}

    def is_news(finding: Finding) -> bool:
        is_repeated = finding.kind not in _ALWAYS_NEWS and repeats(finding) in lately
        return finding.phase is not Phase.LASTING and not is_repeated

    if not any(map(is_news, found)):
        return []
    return [each for each in found if is_news(each) or _is_broken(each)]


def _is_broken(finding: Finding) -> bool:
    return finding.kind is Kind.OVERWRITTEN


def _write(
    shown: Sequence[Finding],
    audited: Audited,
    *,
    policy: Policy,
    stage: str,
    now: datetime,
    more: int,
) -> Mail:
    def of(phase: Phase) -> list[Finding]:
        return [each for each in shown if each.phase is phase and not _is_broken(each)]

    at = f"{now.astimezone(policy.timezone):{ZONED_TIME}}"
    lines = [f"The audit of the backups of stage {stage}, {at}:"]
    for heading, findings in (
        ("SOMEBODY GOT AROUND THE PROTECTION OF THE VAULT", filter(_is_broken, shown)),
        ("NEW", of(Phase.NEW)),
        ("RESOLVED", of(Phase.OVER)),
        ("FOUND EARLIER", of(Phase.LASTING)),
    ):
        lines += _section(heading, list(findings))
    if audited.failures:
        lines += ["", "NOT CHECKED: there could be more findings", ""]
        lines += [f"- {_line(f'{what}: {error}')}" for what, error in audited.failures.items()]
    if more:
        lines += ["", f"Other findings, which the next daily mail shows: {more}"]
    lines += ["", f"This command shows the current state: backups check --stage {stage}"]
    body = "\n".join(lines)[:LONGEST_BODY]
    return Mail(subject=_subject(shown, stage), body=body)


def _section(heading: str, findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield from ("", heading)
    for kind, group in groupby(findings[:MOST_SHOWN], key=attrgetter("kind")):
        yield ""
        for finding in group:
            yield f"- {_line(finding.what)}"
            if finding.download:
                yield f"  To download it: {_download(finding.download)}"
        if finding.phase is not Phase.OVER:
            yield from ("", f"What to do: {finding.remedy}", f"More: {DOCUMENT}#{kind}")
    if more := len(findings[MOST_SHOWN:]):
        yield from ("", f"... and {more} more findings")


def _download(arguments: Mapping[str, str]) -> str:
    words = [(f"--{name.replace('_', '-')}", value) for name, value in arguments.items()]
    return shlex.join(["aws", "s3api", "get-object", *chain(*words), "downloaded"])


def _subject(shown: Sequence[Finding], stage: str) -> str:
    """The worst new finding or, without one, the worst resolved or earlier finding."""
    start, more, sentence = f"backups {stage}", "", "the audit could not check everything"
    if shown:
        worst = min(shown, key=lambda finding: _NEWS_FIRST.index(finding.phase))
        start += ", reminder" if worst.phase is Phase.LASTING else ""
        more = f", and {len(shown) - 1} more" if shown[1:] else ""
        sentence = _line(worst.what).split(". ")[0].rstrip(".")
    length = LONGEST_SUBJECT - len(f"{start}: {more}")
    if len(sentence) > length:
        sentence = re.split("[:,;] ", sentence)[0]
    if len(sentence) > length:
        sentence = f"{sentence[: length - 3]}..."
    return f"{start}: {sentence}{more}"


def _line(text: str) -> str:
    """The text as one line of ASCII: strangers can have chosen a name or an error in it."""
    return re.sub("[^ -~]", "?", text)
