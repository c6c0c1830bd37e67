"""The command `backups setup`: shows the plan, asks one question, and applies the changes."""

from collections.abc import Iterable
from dataclasses import replace

import click

from admin.account import Account, place_of
from admin.choices import Wishes
from admin.desired.buckets import desired_settings
from admin.desired.requirement import Kind, Setting
from admin.desired.storage_classes import MINIMUM_DAYS, RETRIEVAL
from admin.setup.concurrency import suggestion
from admin.setup.exposure import largest_stored, worst_case
from admin.setup.files import changes, stage_files, write_files
from admin.setup.plan import Plan, execute, make_plan
from admin.stage import Stage
from chalicelib.policy.policy import Policy

_ENTRY = {Kind.LIFECYCLE: "lifecycle rule", Kind.BUCKET_POLICY: "policy statement"}


class SetupRefused(Exception):
    """The plan cannot be applied with these options; the message says why."""


def set_up(
    account: Account,
    stage: Stage,
    policy: Policy,
    wishes: Wishes,
    *,
    lock_named: bool,
    apply: bool,
    yes: bool,
    allow_shorter: bool,
) -> None:
    """Show the plan and, with `apply`, apply it after one question.

    Raises SetupRefused if the plan cannot be applied with these options.
    """
    settings = desired_settings(policy, stage, wishes, account=account.id, region=account.region)
    [topic] = [setting.target for setting in settings if setting.kind is Kind.TOPIC]
    decided = replace(stage, lock=wishes.lock, incoming_alarm=wishes.incoming_alarm)
    files = stage_files(policy, decided, topic=topic)
    changed = changes(files)
    plan = make_plan(account, settings, lock_named=lock_named)

    click.echo(place_of(stage, account), err=True)
    _show(plan, changed.values(), policy)
    vault = stage.settings.vault_bucket
    stored = {} if vault in plan.missing else largest_stored(account, vault, policy)
    click.echo("\n".join(worst_case(policy, wishes.incoming_alarm, stored)), err=True)
    if advice := suggestion(account, stage):
        click.echo(advice, err=True)
    if not plan.steps and not changed:
        click.echo("Nothing to do: everything is as it should be.")
        return
    if not apply:
        click.echo("Nothing was changed; add --apply to make these changes.", err=True)
        return
    if plan.weakens and not allow_shorter:
        raise SetupRefused(
            "Backups would be kept for a shorter time (see above), so nothing was changed. To "
            "confirm, "
            "add --allow-shorter."
        )
    _ask(stage, plan, yes=yes)
    write_files({path: files[path] for path in changed})
    for step in execute(account, plan):
        click.echo(f"  {step.setting.says}")
    click.echo(f"Done: {len(plan.steps)} changes, {len(changed)} files.")


def _show(plan: Plan, diffs: Iterable[str], policy: Policy) -> None:
    for step in plan.steps:
        click.echo(f"{'+' if step.actual is None else '~'} {step.setting.says}")
        click.echo(f"    {step.setting.why}")
    for diff in diffs:
        click.echo(diff)
    for setting in plan.waiting:
        click.echo(f"… {setting.says} (after chalice deploy)")
    for setting, entry in plan.foreign:
        name = entry.get("ID") or entry.get("Sid") or "without a name"
        click.echo(
            f"= {setting.target}: {_ENTRY[setting.kind]} {name} was added by somebody else and is "
            "kept"
        )
    for sentence in plan.weakens:
        click.echo(f"! {sentence}")
    if policy.archive and any(step.setting.kind is Kind.LIFECYCLE for step in plan.steps):
        days, to = policy.archive.after_days, policy.archive.to
        click.echo(
            f"  After {days} days backups move to {to} ({RETRIEVAL[to]}); each is billed for at "
            f"least {MINIMUM_DAYS[to]} days there."
        )


def _ask(stage: Stage, plan: Plan, *, yes: bool) -> None:
    lock = next((s.setting for s in plan.steps if s.setting.kind is Kind.OBJECT_LOCK), None)
    if lock is not None and lock.want["mode"] == "COMPLIANCE":
        _ask_for_the_name(lock)
    if not yes and not click.confirm(f"Apply these changes to stage {stage.name}?", err=True):
        raise SetupRefused("Nothing was changed.")


def _ask_for_the_name(setting: Setting) -> None:
    click.echo(
        f"Compliance mode cannot be undone: for {setting.want['days']} days nobody, not even AWS "
        f"Support, can delete an object stored in {setting.target}, and you pay for it.",
        err=True,
    )
    if click.prompt("Type the bucket's name to continue", err=True) != setting.target:
        raise SetupRefused("That is not the bucket's name; nothing was changed.")
