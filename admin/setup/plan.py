"""The plan of `backups setup`: what to change in an account; and applying it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from admin.account import Account
from admin.choices import MODES, Lock
from admin.desired.buckets import REHEARSALS, lock_setting
from admin.desired.requirement import Kind, Setting
from admin.setup import resources
from admin.setup.bucket_resources import Entry, each_object


@dataclass(frozen=True, kw_only=True)
class Step:
    """A setting to write, and its actual value (None: missing)."""

    setting: Setting
    actual: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to change, what has to wait for the deployment, and what others added, which is kept.

    `foreign` has each rule or statement of somebody else, with the setting it was found beside.
    """

    steps: tuple[Step, ...] = ()
    waiting: tuple[Setting, ...] = ()
    foreign: tuple[tuple[Setting, Entry], ...] = ()
    # What would make backups less safe than they are now, as sentences; needs --allow-shorter.
    weakens: tuple[str, ...] = ()
    # Buckets that do not exist yet.
    missing: frozenset[str] = frozenset()


def make_plan(account: Account, settings: tuple[Setting, ...], *, lock_named: bool) -> Plan:
    """Compare the account with the settings. `lock_named`: the administrator chose the lock."""
    steps: list[Step] = []
    waiting: list[Setting] = []
    foreign: list[tuple[Setting, Entry]] = []
    weakens: list[str] = []
    missing: set[str] = set()
    for setting in settings:
        if setting.waits_for and not resources.function_exists(account, setting.waits_for):
            waiting.append(setting)
            continue
        current = (
            resources.Actual() if setting.target in missing else resources.read(account, setting)
        )
        actual = current.value
        foreign += [(setting, entry) for entry in current.others]
        if setting.kind is Kind.BUCKET and actual is None:
            missing.add(setting.target)
        if setting.kind is Kind.OBJECT_LOCK and actual and not lock_named:
            setting = _at_least(actual, setting)  # noqa: PLW2901 - replaced from here on
        if actual == setting.want:
            continue
        steps.append(Step(setting=setting, actual=actual))
        if setting.target not in missing:
            weakens += _weakening(account, setting, actual)
    return Plan(
        steps=tuple(steps),
        waiting=tuple(waiting),
        foreign=tuple(foreign),
        weakens=tuple(weakens),
        missing=frozenset(missing),
    )


def execute(account: Account, plan: Plan) -> Iterator[Step]:
    """Apply the plan in its order; yields each step before it is taken.

    Each step is complete by itself: after an interruption, the next plan has what is left.
    """
    for step in plan.steps:
        yield step
        resources.write(account, step.setting)


def _at_least(actual: dict[str, Any], lock: Setting) -> Setting:
    """The lock to set: an existing stricter lock is kept unless the administrator chose another."""
    mode = max(actual["mode"], lock.want["mode"], key=MODES.index)
    return lock_setting(lock.target, Lock(mode=mode, days=max(actual["days"], lock.want["days"])))


def _weakening(account: Account, setting: Setting, actual: Any) -> list[str]:
    """How many stored backups would expire under a shorter retention, as a sentence."""
    if setting.kind is not Kind.LIFECYCLE:
        return []
    before, after = _expiry(actual), _expiry(setting.want)
    if after is None or (before is not None and before <= after):
        return []
    stored = [item["LastModified"] for item in each_object(account, setting.target)]
    if not stored:  # for example after an interrupted setup
        return []
    oldest = datetime.now(UTC) - timedelta(days=after)
    count = sum(1 for moment in stored if moment < oldest)
    until = f"for {before} days" if before else "for ever"
    sentence = (
        f"{setting.target} keeps backups {until} now, and would keep them for {after} days: "
        f"{count} backups would expire"
    )
    return [sentence]


def _expiry(rules: Any) -> int | None:
    """After how many days backups expire; None: never. The drill's objects do not count."""
    days = [
        rule["Expiration"]["Days"]
        for rule in rules or []
        if "Days" in rule.get("Expiration", {}) and rule["Filter"] != REHEARSALS
    ]
    return min(days, default=None)
