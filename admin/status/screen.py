"""The status as text of 80 columns. Everything is written in words; colors only repeat it."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo

import click

from admin.audit.command import failures_of
from admin.status.overview import KeyStatus, Overview
from admin.status.strip import CELLS, Cell, State
from admin.target import Target
from chalicelib.ages import age_in_words
from chalicelib.watching.findings import Phase

WIDTH = 80
# If there are more upload keys, each has one line.
MOST_IN_DETAIL = 4
MOST_FINDINGS = 8
# The width of server and rule in that line, and the minimum width of the rule.
NAME, LEAST_OF_RULE = 21, 9
# For a longer time, a weekday would be ambiguous.
A_WEEK = timedelta(days=6)
LETTERS = {
    State.TAMPERED: "X",
    State.MISSING: "M",
    State.CONTESTED: "C",
    State.SMALL: "S",
    State.LATE: "L",
    State.STORED: "o",
    State.EMPTY: ".",
}
COLORS = {
    State.TAMPERED: "red",
    State.MISSING: "red",
    State.CONTESTED: "yellow",
    State.SMALL: "yellow",
    State.LATE: "yellow",
    State.STORED: "green",
}
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
KIBI = 1024
# For larger numbers, a decimal is meaningless.
SHORT = 99.95
NOT_CHECKED = "not checked"


def screen(target: Target, overview: Overview) -> Iterator[str]:
    """The lines of the screen."""
    now = overview.now
    if len(overview.keys) > MOST_IN_DETAIL:
        yield from _table(overview.keys, now)
    else:
        for status in overview.keys:
            yield from _in_detail(status, now)
    yield from _legend(overview.keys)
    yield ""
    yield from _waiting(target, overview)
    yield from _findings(overview)
    yield from _wrapped(_vault(target, overview))
    yield from _wrapped(_steady_state(overview))
    yield from _wrapped(_attack(target, overview))
    for sentence in _grouped(failures_of(overview.audited)):
        yield from _wrapped(f"? Could not check {sentence}")


def size_in_words(size: float) -> str:
    """A size such as "1.2 GiB"."""
    power = 0
    while round(size / KIBI**power) >= KIBI and power < len(UNITS) - 1:
        power += 1
    amount = size / KIBI**power
    has_fraction = power and amount < SHORT
    return f"{amount:.{1 if has_fraction else 0}f} {UNITS[power]}"


def _in_detail(status: KeyStatus, now: datetime) -> Iterator[str]:
    yield click.style(status.key, bold=True)
    newest, zone = status.newest, status.rule.timezone
    if newest and newest.size is not None:
        age, size = age_in_words(now - newest.begun), size_in_words(newest.size)
        until = status.locked_until
        lock = f"locked until {until:%Y-%m-%d}" if until else _unlocked(status)
        yield from _wrapped(f"{newest.name}, {size}, {age} old, {lock}", indent="  ")
    else:
        yield f"  {_nothing(status)}"
    due = f"  next due {status.due.astimezone(zone):%a %d %b %H:%M %Z}" if status.due else ""
    if status.due and status.due <= now:
        due = due.replace("next due", "overdue since")
    if status.strip:
        yield f"  {_strip(status.strip)}{due}"


def _unlocked(status: KeyStatus) -> str:
    return "not locked" if status.lock_is_known else f"lock {NOT_CHECKED}"


def _nothing(status: KeyStatus) -> str:
    if status.history is None:
        return NOT_CHECKED
    if status.history.first is None:
        return "no backup yet"
    return f"no backup since before {status.history.slots[-1].start:%d %B %Y}"


def _table(statuses: Iterable[KeyStatus], now: datetime) -> Iterator[str]:
    head = f"{'':{NAME}} {'newest':>11} {'size':>10} {'last days':{CELLS}} {'due':9} locked"
    yield click.style(head, bold=True)
    for status in statuses:
        newest, name = status.newest, _shortened(status.key)
        if newest is None or newest.size is None:
            nothing = _nothing(status).partition(" since")[0]
            yield f"{name:{NAME}} {nothing:>22} {_strip(status.strip)}".rstrip()
            continue
        age, size = age_in_words(now - newest.begun), size_in_words(newest.size)
        lock = "not locked" if status.lock_is_known else "unchecked"
        until = f"{status.locked_until:%Y-%m-%d}" if status.locked_until else lock
        due = _due_in_table(status.due, status.rule.timezone, now)
        yield f"{name:{NAME}} {age:>11} {size:>10} {_strip(status.strip)} {due:9} {until}"


def _due_in_table(due: datetime | None, zone: tzinfo, now: datetime) -> str:
    if due is None:
        return ""
    if due <= now:
        return "overdue"
    return f"{due.astimezone(zone):{'%a %H:%M' if due - now < A_WEEK else '%d %b'}}"


def _shortened(key: str) -> str:
    """The key, with the ends of server and rule cut off if it is too long for the table."""
    server, slash, upload = key.rpartition("/")
    end = max(LEAST_OF_RULE, NAME - len(server + slash))
    shown = _cut(upload, end)
    return _cut(server, NAME - len(slash + shown)) + slash + shown


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _strip(cells: Iterable[Cell]) -> str:
    letters = [click.style(LETTERS[each.state], fg=COLORS.get(each.state)) for each in cells]
    return " " * (CELLS - len(letters)) + "".join(letters)


def _legend(statuses: Iterable[KeyStatus]) -> Iterator[str]:
    """The meaning of the letters that occur."""
    states = {cell.state for status in statuses for cell in status.strip}
    words = [f"{LETTERS[state]} {state}" for state in State if state in states]
    if words:
        yield from _wrapped(f"Each letter is a day, or a longer slot: {', '.join(words)}.")


def _waiting(target: Target, overview: Overview) -> Iterator[str]:
    statuses = [status for status in overview.keys if status.waiting]
    for status in statuses[:MOST_FINDINGS]:
        if waiting := status.waiting:
            mark = "!" if waiting.is_too_long(overview.now) else "="
            waits = waiting.in_words(target.incoming, now=overview.now)
            yield from _wrapped(f"{mark} {status.key}: {waits}")
    if more := statuses[MOST_FINDINGS:]:
        yield f"= Uploads of {len(more)} more wait."


def _findings(overview: Overview) -> Iterator[str]:
    findings = [each for each in overview.audited.findings if each.phase is not Phase.OVER]
    for finding in findings[:MOST_FINDINGS]:
        yield from _wrapped(f"! {finding.what.partition('. ')[0].removesuffix('.')}.", fg="red")
    if more := findings[MOST_FINDINGS:]:
        yield f"! And {len(more)} more."
    if findings:
        yield "  `backups audit` says what to do."
    elif not overview.is_wrong and not overview.audited.failures:
        yield "No findings, and no upload waits for long."


def _vault(target: Target, overview: Overview) -> str:
    size = overview.size
    if size is None:
        return f"{target.vault} holds: not known (CloudWatch has no count of it)."
    total = _by_class(size.stored)
    objects = f"{size.objects:,} objects" if size.objects is not None else "objects not known"
    return f"{target.vault} held {total} in {objects} on {size.day:%d %b %Y}."


def _by_class(stored: Mapping[str, int]) -> str:
    amounts = [f"{size_in_words(size)} {name}" for name, size in stored.items() if size]
    return " and ".join(amounts) or "0 bytes"


def _steady_state(overview: Overview) -> str:
    steady = overview.steady
    if steady.kept_days is None:
        sentence = f"Backups never expire: it grows by {size_in_words(steady.bytes_a_day)} a day"
    else:
        total = _by_class(steady.stored)
        sentence = (
            f"If everything continues as usual, it will hold {total} ({steady.kept_days} days)"
        )
    unknown = f", without {len(steady.unknown)} that have no backup" if steady.unknown else ""
    return f"{sentence}{unknown}."


def _attack(target: Target, overview: Overview) -> str:
    """How long rubbish could go unnoticed: until the first of the last good backups expires."""
    good = [status for status in overview.keys if status.newest]
    if not good:
        return "There is no backup that could remain."
    if target.policy.keep_days is None:
        return "If all new uploads were rubbish, the good backups would remain: they never expire."
    until, key = min((each.remains_until, each.key) for each in good if each.remains_until)
    of_which = f" (of {key})" if len(good) > 1 else ""
    left = max((until - overview.now).days, 0)
    return (
        f"If all new uploads were rubbish, a good backup{of_which} would remain until "
        f"{until:%d %b %Y}: {left} days to notice it."
    )


def _grouped(failures: Iterable[str]) -> Iterator[str]:
    """What could not be checked, once for each reason."""
    by_reason = defaultdict[str, list[str]](list)
    for failure in failures:
        what, _, reason = failure.partition(": ")
        by_reason[reason].append(what)
    for reason, (first, *others) in by_reason.items():
        more = f" and {len(others)} more" if others else ""
        yield f"{first}{more}: {reason}"


def _wrapped(text: str, *, indent: str = "", fg: str | None = None) -> Iterator[str]:
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return (click.style(line, fg=fg) for line in lines)
