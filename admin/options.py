"""Options that several commands have, or that say one thing together; and the type of a time."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from admin.choices import DEFAULT_LOCK, LONGEST_LOCK_DAYS, IncomingAlarm, Lock
from admin.stage import Stage

Command = TypeVar("Command", bound=Callable[..., Any])

CALENDAR = (1970, 9000)


class Moment(click.ParamType[datetime]):
    """A time with its zone, as ISO 8601 writes it."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """An aware moment from ISO 8601."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write it like 2026-10-25T00:30:00Z", param, ctx)
        if not CALENDAR[0] <= moment.year <= CALENDAR[1]:
            self.fail(f"{value!r} is in no year that backups are made in", param, ctx)
        if moment.tzinfo is None:
            self.fail(
                f"{value!r} does not say its time zone; end it with Z (UTC) or +01:00", param, ctx
            )
        return moment


def of_a_stage(command: Command) -> Command:
    """--stage."""
    return click.option(
        "--stage", default="dev", show_default=True, help="The stage of .chalice/config.json."
    )(command)


def of_an_account(command: Command) -> Command:
    """--stage, --region and --profile."""
    for option in (
        click.option("--profile", help="The profile of ~/.aws to use."),
        click.option("--region", help="The region of AWS; else the profile's."),
    ):
        command = option(command)
    return of_a_stage(command)


def of_a_vault(command: Command) -> Command:
    """--vault-profile."""
    return click.option(
        "--vault-profile", help="The profile of the vault's account, if that is another one."
    )(command)


def of_a_lock(command: Command) -> Command:
    """--lock and --lock-days."""
    for option in (
        click.option(
            "--lock-days",
            type=click.IntRange(1, LONGEST_LOCK_DAYS),
            help="For how long. Default: as chosen before, or 30.",
        ),
        click.option(
            "--lock",
            type=click.Choice(["governance", "compliance", "none"]),
            help="Who may remove what is stored before its time: a few, nobody, or no lock. "
            "Default: as chosen before, or governance; what is stricter and there already stays.",
        ),
    ):
        command = option(command)
    return command


def lock_wished(stage: Stage, *, lock: str | None, lock_days: int | None) -> Lock | None:
    """The lock that is asked for (None: none); what is not named is as the stage has it."""
    if lock == "none":
        return None
    if not lock and not lock_days:
        return stage.lock
    chosen = stage.lock or DEFAULT_LOCK
    return Lock(mode=(lock or chosen.mode).upper(), days=lock_days or chosen.days)


def of_an_incoming_alarm(command: Command) -> Command:
    """--alarm-bytes and --alarm-versions."""
    for option in (
        click.option(
            "--alarm-versions",
            type=click.IntRange(min=1),
            help="Ring when so many versions of uploads lie in incoming. Default: as chosen "
            "before, or 10000.",
        ),
        click.option(
            "--alarm-bytes",
            type=click.IntRange(min=1),
            help="Ring when so many bytes lie in incoming. Default: as chosen before, or "
            "1099511627776 (1 TiB).",
        ),
    ):
        command = option(command)
    return command


def incoming_alarm_wished(
    stage: Stage, *, alarm_bytes: int | None, alarm_versions: int | None
) -> IncomingAlarm:
    """When the alarm on incoming shall ring; what is not named is as the stage has it."""
    chosen = stage.incoming_alarm
    return IncomingAlarm(
        bytes=alarm_bytes or chosen.bytes, versions=alarm_versions or chosen.versions
    )
