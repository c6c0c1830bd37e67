"""The plan of `backups setup`: what to change in an account; and applying it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import groupby
from typing import Any

from admin.account import Account
from admin.choices import SetupOptions
from admin.desired.buckets import desired_settings, lock_requirement
from admin.desired.door import EVERYONE, has_door, opened_to, whom_it_is_open_to
from admin.desired.permissions import document
from admin.desired.requirement import Kind, Requirement
from admin.setup import resources
from admin.setup.adoption.expiry import compare, stored_versions
from admin.setup.bucket_resources import Entry
from admin.setup.door import PATIENT, is_behind, open_door
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.lock import MODES, Lock


@dataclass(frozen=True, kw_only=True)
class Change:
    """A setting to write, and its actual value (None: missing)."""

    requirement: Requirement
    actual: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to change, what has to wait for the deployment, and what others added, which is kept.

    `foreign` has the rules and statements that others added, each with its setting.
    """

    changes: tuple[Change, ...] = ()
    waiting: tuple[Requirement, ...] = ()
    foreign: tuple[tuple[Requirement, Entry], ...] = ()
    # What would make backups less safe than they are now, as sentences; needs --allow-shorter.
    weakens: tuple[str, ...] = ()
    # Buckets that do not exist yet, and buckets that do.
    missing: frozenset[str] = frozenset()
    existing: frozenset[str] = frozenset()
    # The vault's bucket policy, if it already lets nobody change the vault's settings.
    door: Requirement | None = None

    @property
    def left_open(self) -> Requirement | None:
        """The vault's bucket policy, if an interrupted run left its door open."""
        policies = (one for one in self.changes if one.requirement.kind is Kind.BUCKET_POLICY)
        left_open = (one.requirement for one in policies if whom_it_is_open_to(one.actual or []))
        return next(left_open, None)

    def door_of(self, change: Change) -> Requirement | None:
        """The bucket policy that has to be opened for the change; None if no policy has to."""
        return self.door if self.door and is_behind(self.door, change.requirement) else None


def requirements_of(target: Target, options: SetupOptions | None = None) -> tuple[Requirement, ...]:
    """Every setting of the target; `options` are those in config.json unless others are given."""
    return desired_settings(
        target.policy,
        target.stage,
        options or target.stage.options,
        account=target.account.id,
        region=target.account.region,
    )


def door_of(target: Target) -> Requirement:
    """The vault's bucket policy, which lets nobody change the vault's settings."""
    [door] = (
        requirement
        for requirement in requirements_of(target)
        if (requirement.kind, requirement.resource) == (Kind.BUCKET_POLICY, target.vault)
    )
    return door


def through_the_door(target: Target, bucket: str, command: str) -> str:
    """The command; for the vault, between one that opens the door and one that closes it.

    Any administrator can run them, not only the one who ran the check, so they open the door to all
    administrators. The last command closes the door even if the command fails, and before it asks
    any question.
    """
    if bucket != target.vault:
        return command
    actual = resources.read(target.account, door_of(target))
    if not has_door(actual.value or []):
        return command
    statements = [*opened_to(EVERYONE, actual.value), *actual.others]
    opened = target.fix_aws(
        "s3api", "put-bucket-policy", bucket=bucket, policy=document(*statements)
    )
    return f"{opened} && {command}; {target.fix_setup()}"


def make_plan(account: Account, requirements: tuple[Requirement, ...], *, lock_named: bool) -> Plan:
    """Compare the account with the settings. `lock_named`: the administrator chose the lock."""
    changes: list[Change] = []
    waiting: list[Requirement] = []
    foreign: list[tuple[Requirement, Entry]] = []
    weakens: list[str] = []
    missing: set[str] = set()
    existing: set[str] = set()
    door: Requirement | None = None
    read = resources.reader(account, requirements)
    function_exists = cache(partial(resources.function_exists, account))
    for requirement in requirements:
        if requirement.needs_deployment and not function_exists(requirement.needs_deployment):
            waiting.append(requirement)
            continue
        current = resources.Actual() if requirement.resource in missing else read(requirement)
        actual = current.value
        foreign += [(requirement, entry) for entry in current.others]
        if requirement.kind is Kind.BUCKET:
            (missing if actual is None else existing).add(requirement.resource)
        if requirement.kind is Kind.BUCKET_POLICY and has_door(actual or []):
            door = requirement
        if requirement.kind is Kind.OBJECT_LOCK and actual and not lock_named:
            lock = stricter(actual, Lock(**requirement.desired))
            requirement = lock_requirement(requirement.resource, lock)  # noqa: PLW2901
        if actual == requirement.desired:
            continue
        changes.append(Change(requirement=requirement, actual=actual))
        if requirement.resource not in missing:
            weakens += _weakening(account, requirement, current)
    return Plan(
        changes=tuple(changes),
        waiting=tuple(waiting),
        foreign=tuple(foreign),
        weakens=tuple(weakens),
        missing=frozenset(missing),
        existing=frozenset(existing),
        door=door,
    )


def execute(account: Account, plan: Plan, waiter: Waiter = PATIENT) -> Generator[Change]:
    """Apply the plan in order; yield each step before it is taken.

    Each step is complete by itself: after an interruption, the next plan contains what is left,
    including a door that is still open. Close the generator to stop early: that closes the door.
    `waiter` waits until an opened door has taken effect.
    """
    for door, changes in groupby(plan.changes, key=plan.door_of):
        with open_door(account, door, waiter) if door else nullcontext(_once) as attempt:
            for change in changes:
                yield change
                attempt(partial(resources.write, account, change.requirement))


def _once(change: Callable[[], object]) -> None:
    change()


def stricter(actual: dict[str, Any], lock: Lock) -> Lock:
    """The lock to set: an existing stricter lock is kept unless the administrator chose another."""
    mode = max(actual["mode"], lock.mode, key=MODES.index)
    return Lock(mode=mode, days=max(actual["days"], lock.days))


def _weakening(
    account: Account, requirement: Requirement, current: resources.Actual
) -> Iterator[str]:
    """Describe what new lifecycle rules would expire sooner than the current ones."""
    if requirement.kind is not Kind.LIFECYCLE:
        return
    expiry = compare(
        stored_versions(account, requirement.resource),
        before=[*(current.value or []), *current.others],
        after=[*requirement.desired, *current.others],
        now=datetime.now(UTC),
    )
    if expiry:
        yield (
            f"{requirement.resource}: the new lifecycle rules would expire {expiry.at_once} at "
            f"once, and {expiry.later} later, which the current rules keep for longer; "
            "overwritten versions and those under delete markers are included"
        )
