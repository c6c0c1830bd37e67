"""The command `backups setup`: shows the plan, asks one question, and applies the changes."""

import shlex
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial

import click

from admin.choices import SetupOptions
from admin.desired.alerts import with_subscriber
from admin.desired.requirement import Kind
from admin.exit_status import Refused
from admin.setup.adoption.buckets import name_of_unlocked
from admin.setup.adoption.obstacle import Obstacle
from admin.setup.adoption.obstacles import find_obstacles
from admin.setup.door import MAX_WAIT, close_door
from admin.setup.exposure import largest_stored, suggestion, worst_case
from admin.setup.files import changes, stage_files, write_files
from admin.setup.locks import ask_for_the_name, remark
from admin.setup.plan import Change, Plan, execute, make_plan, requirements_of
from admin.setup.recorded import (
    VARIABLE,
    as_variable,
    differences,
    hidden_policy,
    is_settled,
    settled_digests,
)
from admin.setup.replaced import was
from admin.setup.trail import NO_TRAIL, examine_trails, remarks
from admin.stage import Stage
from admin.storage_classes import SMALL_STAY, STORAGE_CLASSES
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.policy import Policy

_ENTRY = {
    Kind.LIFECYCLE: "lifecycle rule",
    Kind.BUCKET_POLICY: "policy statement",
    Kind.NOTIFICATION: "notification",
}


def set_up(
    target: Target,
    options: SetupOptions,
    *,
    lock_named: bool,
    apply: bool,
    yes: bool,
    allow_shorter: bool,
    accept: tuple[str, ...],
    lock_existing: bool,
) -> None:
    """Show the plan and, with `apply`, apply it after one question.

    `accept` has the names of obstacles, which are recorded; with `lock_existing`, the caller locks
    stored backups afterwards. Raises Refused if the plan cannot be applied with these options.
    """
    plan = make_plan(target.account, requirements_of(target, options), lock_named=lock_named)
    if apply and (door := plan.left_open):
        close_door(target.account, door)
        click.echo(
            f"An interrupted run had left the bucket policy of {target.vault} open to changes of "
            "its settings. It is closed again."
        )
    obstacles = [*find_obstacles(target, plan)]
    unlocked = [one for one in obstacles if one.name == name_of_unlocked(target.vault)]
    if lock_existing:
        obstacles = [obstacle for obstacle in obstacles if obstacle not in unlocked]
    without_trail = examine_trails(target, options)
    names = {obstacle.name for obstacle in obstacles} | ({NO_TRAIL} if without_trail else set())
    accepted = _with_new(target.stage.accepted, accept, names)
    in_the_way = [obstacle for obstacle in obstacles if obstacle.name not in accepted]
    chosen = replace(
        target.stage,
        lock=options.lock,
        incoming_alarm=options.incoming_alarm,
        alert_subscribers=with_subscriber(target.stage, options.alert_email),
        accepted=accepted,
        trail=options.trail,
    )
    record = partial(settled_digests, target, options, waiter(), lock_named=lock_named)
    unrecorded = differences(target) if is_settled(target, plan) else None
    variables = target.variables | (as_variable(record()) if unrecorded else {})
    files = stage_files(target.policy, chosen, variables=variables)
    changed = changes(files)

    click.echo(target, err=True)
    _show(plan, changed.values(), target.policy, allow_shorter=allow_shorter)
    _show_record(target, unrecorded)
    if not lock_existing and not unlocked and (sentence := remark(target, plan)):
        click.echo(sentence)
    for sentence in remarks(target, without_trail=without_trail, accepted=accepted):
        click.echo(f"= {sentence}")
    _show_obstacles(obstacles, in_the_way)
    stored = {} if target.vault in plan.missing else largest_stored(target)
    click.echo("\n".join(worst_case(target.policy, options.incoming_alarm, stored)), err=True)
    if advice := suggestion(target):
        click.echo(advice, err=True)
    if not plan.changes and not changed and not in_the_way:
        click.echo("Nothing to do: everything is as it should be.")
        return
    if not apply:
        then = (
            "--apply would be refused because of the lines that begin with !"
            if in_the_way or (plan.weakens and not allow_shorter)
            else "add --apply to make these changes"
        )
        click.echo(f"Nothing was changed; {then}.", err=True)
        return
    _refuse(plan, in_the_way, allow_shorter=allow_shorter)
    _ask(target.stage, plan, yes=yes)
    write_files({path: files[path] for path in changed})
    with closing(execute(target.account, plan, waiter())) as steps:
        for change in steps:
            click.echo(f"  {change.requirement.summary}")
    if unrecorded is None:
        files = stage_files(target.policy, chosen, variables=variables | as_variable(record()))
        changed |= changes(files)
        write_files(files)
    click.echo(f"Done. Settings changed: {len(plan.changes)}, files written: {len(changed)}.")


def waiter() -> Waiter:
    """Waits until the opened bucket policy of the vault takes effect."""
    return Waiter(seconds=MAX_WAIT, tell=lambda line: click.echo(f"  ... {line}", err=True))


def write_policies(stage: Stage, policy: Policy) -> None:
    """Write the IAM policies of the stage's functions, and print which files changed."""
    files = stage_files(policy, stage)
    changed = changes(files)
    write_files(files)
    for path in files:
        click.echo(f".chalice/{path.name}: {'written' if path in changed else 'unchanged'}")


def _show(plan: Plan, diffs: Iterable[str], policy: Policy, *, allow_shorter: bool) -> None:
    for change in plan.changes:
        click.echo(f"{_sign(change)} {change.requirement.summary}")
        click.echo(f"    {change.requirement.why}")
        if replaced := was(change):
            click.echo(f"    was: {replaced}")
    if door := next(filter(None, map(plan.door_of, plan.changes)), None):
        click.echo(
            f"  The bucket policy of {door.resource} lets nobody change its settings. It is opened "
            "to you alone for these changes, and closed afterwards."
        )
    for diff in diffs:
        click.echo(diff)
    for requirement in plan.waiting:
        click.echo(f"… {requirement.summary} (after chalice deploy)")
    for requirement, entry in plan.foreign:
        name = entry.get("ID") or entry.get("Sid") or entry.get("Id") or "without a name"
        click.echo(
            f"= {requirement.resource}: {_ENTRY[requirement.kind]} {name} was added by "
            "somebody else and is kept"
        )
    for sentence in plan.weakens:
        if allow_shorter:
            click.echo(f"= {sentence}; allowed")
        else:
            click.echo(f"! {sentence}\n    to confirm, add --allow-shorter")
    if policy.archive and any(change.requirement.kind is Kind.LIFECYCLE for change in plan.changes):
        archive = STORAGE_CLASSES[policy.archive.to]
        click.echo(
            f"  After {policy.archive.after_days} days backups move to {policy.archive.to} "
            f"({archive.reading}); each is billed for at least {archive.minimum_days} days there. "
            f"{SMALL_STAY}"
        )


def _sign(change: Change) -> str:
    if change.requirement.desired is None:
        return "-"
    return "+" if change.actual is None else "~"


def _show_record(target: Target, unrecorded: list[str] | None) -> None:
    """Show which settings would be recorded; None: all, after the changes of the plan."""
    if target.vault_has_own_account:
        click.echo(hidden_policy(target), err=True)
    if unrecorded == []:
        return
    names = "after these changes" if unrecorded is None else ", ".join(unrecorded)
    click.echo(
        f"~ {VARIABLE}: record the settings of {target.vault} ({names})\n"
        "    The hourly audit compares the vault with them, from the next deployment on."
    )
    recorded = target.stage.settings.vault_settings
    if recorded:
        click.echo("    Until then, the alarm settings can go off: run make deploy soon.")
    if unrecorded and recorded:
        click.echo("    They have changed since they were recorded. Find out why, unless you know.")


def _with_new(
    accepted: tuple[str, ...], accept: tuple[str, ...], names: set[str | None]
) -> tuple[str, ...]:
    """The names accepted before and now, without duplicates; only `names` can be accepted now."""
    return tuple(dict.fromkeys([*accepted, *(name for name in accept if name in names)]))


def _show_obstacles(obstacles: list[Obstacle], in_the_way: list[Obstacle]) -> None:
    for obstacle in obstacles:
        if obstacle not in in_the_way:
            click.echo(f"= {obstacle.what}; accepted")
            continue
        click.echo(f"! {obstacle.what}")
        accept = (
            f"\n    or accept it with --accept {shlex.quote(obstacle.name)}"
            if obstacle.name
            else ""
        )
        click.echo(f"    {obstacle.fix}{accept}")


def _refuse(plan: Plan, in_the_way: list[Obstacle], *, allow_shorter: bool) -> None:
    if in_the_way:
        raise Refused(
            "Nothing was changed, because of the lines that begin with !. Do what they say, and "
            "run this again."
        )
    if plan.weakens and not allow_shorter:
        raise Refused(
            "Stored objects would be kept for a shorter time (see above), so nothing was changed. "
            "To confirm, add --allow-shorter."
        )


def _ask(stage: Stage, plan: Plan, *, yes: bool) -> None:
    lock = next(
        (s.requirement for s in plan.changes if s.requirement.kind is Kind.OBJECT_LOCK), None
    )
    if lock is not None and lock.desired["mode"] == "COMPLIANCE":
        ask_for_the_name(lock)
    if not yes and not click.confirm(f"Apply these changes to stage {stage.name}?", err=True):
        raise Refused("Nothing was changed.")
