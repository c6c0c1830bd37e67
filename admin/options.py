"""Command-line options that commands share, and the type of a time."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from admin.choices import DEFAULT_LOCK, LONGEST_LOCK_DAYS, TRAIL_PRICE, IncomingAlarm
from admin.stage import Stage
from chalicelib.lock import Lock

Command = TypeVar("Command", bound=Callable[..., Any])

CALENDAR = (1970, 9000)


class Moment(click.ParamType[datetime]):
    """An ISO 8601 time with its time zone."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Parse ISO 8601 into an aware datetime."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write it like 2026-10-25T00:30:00Z", param, ctx)
        if not CALENDAR[0] <= moment.year <= CALENDAR[1]:
            self.fail(f"{value!r} is outside the years 1970 to 9000", param, ctx)
        if moment.tzinfo is None:
            self.fail(
                f"{value!r} has no time zone; end it with Z (UTC) or, for example, +01:00",
                param,
                ctx,
            )
        return moment


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator for several options, which --help lists in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


stage_option = click.option(
    "--stage", default="dev", show_default=True, help="Stage in .chalice/config.json."
)
account_options = _all(
    stage_option,
    click.option("--region", help="AWS region (default: the profile's)."),
    click.option("--profile", help="AWS profile in ~/.aws."),
)
vault_option = click.option(
    "--vault-profile", help="AWS profile of the vault's account, if the vault has its own."
)
setup_options = _all(
    click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
    vault_option,
    click.option(
        "--lock",
        type=click.Choice(["governance", "compliance", "none"]),
        help="Object Lock mode: governance (a few can remove early), compliance (nobody can), or "
        "none (default: as chosen before, or governance; an existing stricter lock is kept).",
    ),
    click.option(
        "--lock-days",
        type=click.IntRange(1, LONGEST_LOCK_DAYS),
        help="How many days a lock lasts (default: as chosen before, or 30).",
    ),
    click.option(
        "--alarm-bytes",
        type=click.IntRange(min=1),
        help="Alarm when incoming holds this many bytes (default: as chosen before, or "
        "1099511627776, which is 1 TiB).",
    ),
    click.option(
        "--alarm-versions",
        type=click.IntRange(min=1),
        help="Alarm when incoming holds this many versions of uploads (default: as chosen before, "
        "or 10000).",
    ),
    click.option(
        "--alert-email", help="Email address for the alerts; AWS sends it a link to confirm."
    ),
    click.option(
        "--trail",
        is_flag=True,
        help="Create a CloudTrail trail, now and in later runs: without one, EventBridge is not "
        f"notified of changes to the vault's policy. {TRAIL_PRICE}.",
    ),
    click.option(
        "--allow-shorter",
        is_flag=True,
        help="Allow changes that keep stored objects for a shorter time than now.",
    ),
    click.option(
        "--accept",
        metavar="NAME",
        multiple=True,
        help="Accept an obstacle that setup reports, by the name that it prints, now and in later "
        "runs. Can be repeated.",
    ),
)


def chosen_lock(stage: Stage, *, lock: str | None, lock_days: int | None) -> Lock | None:
    """The lock that these options choose (None: no lock); the stage's own by default."""
    if lock == "none":
        return None
    if not lock and not lock_days:
        return stage.lock
    chosen = stage.lock or DEFAULT_LOCK
    return Lock(mode=(lock or chosen.mode).upper(), days=lock_days or chosen.days)


def chosen_incoming_alarm(
    stage: Stage, *, alarm_bytes: int | None, alarm_versions: int | None
) -> IncomingAlarm:
    """The limits for the alarms on incoming that these options choose; the stage's by default."""
    chosen = stage.incoming_alarm
    return IncomingAlarm(
        bytes=alarm_bytes or chosen.bytes, versions=alarm_versions or chosen.versions
    )
