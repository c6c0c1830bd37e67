"""Reads a stage of the app from `.chalice/config.json`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from admin.choices import (
    DEFAULT_INCOMING_ALARM,
    DEFAULT_LOCK,
    LONGEST_LOCK_DAYS,
    IncomingAlarm,
    SetupOptions,
)
from admin.config.names import (
    ACCEPTED,
    ADMINISTRATORS,
    ALERT_SUBSCRIBERS,
    ENDPOINT,
    INCOMING_ALARM,
    LOCK,
    TRAIL,
    refuse_unknown_names,
)
from admin.config.reading import APP_NAME, CONFIG, ConfigError, StageConfig, read_config
from admin.config.refusals import EXAMPLE, refuse_shared_buckets, refuse_what_cannot_work
from chalicelib.lock import MODES, Lock
from chalicelib.settings import Settings, SettingsError

PROJECT = Path(__file__).resolve().parent.parent

# The environment variable with the local cloud's port, for everything that uses the stage dev.
LOCAL_PORT = "BACKUPS_LOCAL_PORT"
# Only root can use lower ports.
PORTS = range(1024, 65536)


class StageError(ValueError):
    """A stage that is missing or incomplete; the message explains what to write where."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: its name, the environment of its functions, and the app's folder.

    `lock` is the default lock that was chosen for the vault; None: no lock.
    """

    name: str
    settings: Settings
    environment: Mapping[str, str]
    lock: Lock | None = DEFAULT_LOCK
    incoming_alarm: IncomingAlarm = DEFAULT_INCOMING_ALARM
    project: Path = PROJECT
    # The ARNs of the known administrators of the vault's account.
    administrators: tuple[str, ...] = ()
    # Who receives the alerts: addresses, URLs and ARNs.
    alert_subscribers: tuple[str, ...] = ()
    # The names of the obstacles to `setup` that were accepted.
    accepted: tuple[str, ...] = ()
    # Whether `setup` creates a trail.
    trail: bool = False

    def function_name(self, function: str) -> str:
        """The name of a function, and of its role, in AWS."""
        return f"{APP_NAME}-{self.name}-{function}"

    def schedule_of(self, function: str) -> str:
        """The name of the EventBridge rule that Chalice creates for a scheduled function."""
        return f"{self.function_name(function)}-event"

    @property
    def options(self) -> SetupOptions:
        """The choices for this stage in `config.json`."""
        return SetupOptions(lock=self.lock, incoming_alarm=self.incoming_alarm, trail=self.trail)

    @property
    def service(self) -> str:
        """The value of the dimension `service` in the metrics of this stage."""
        return f"{APP_NAME}-{self.name}"

    @property
    def topic(self) -> str:
        """The name of the topic for alerts."""
        return f"{APP_NAME}-{self.name}-alerts"

    def topic_arn(self, *, account: str, region: str) -> str:
        """The ARN of that topic in an account (12 digits) and region."""
        return f"arn:aws:sns:{region}:{account}:{self.topic}"

    @property
    def sirens(self) -> str:
        """The name of the topic for sirens, and of the EventBridge rule that publishes to it."""
        return f"{APP_NAME}-{self.name}-sirens"

    def sirens_arn(self, *, account: str, region: str) -> str:
        """The ARN of that topic in an account (12 digits) and region."""
        return f"arn:aws:sns:{region}:{account}:{self.sirens}"

    @property
    def reader(self) -> str:
        """The name of the IAM policy for reading backups."""
        return f"{APP_NAME}-{self.name}-reader"

    @property
    def reader_archived(self) -> str:
        """The name of the IAM policy for reading backups, and for retrieving archived ones."""
        return f"{self.reader}-archived"

    @property
    def drill_user(self) -> str:
        """The name of the IAM user that a drill creates while it runs."""
        return f"{APP_NAME}-{self.name}-drill"

    def server_user(self, server: str | None) -> str:
        """The name of a server's IAM user (None: the only server)."""
        return f"{APP_NAME}-{self.name}-server" + (f"-{server}" if server else "")


def read_stage(name: str, *, project: Path = PROJECT) -> Stage:
    """The stage `name` of the app in the folder `project`. Raises StageError."""
    try:
        config = read_config(project)
    except ConfigError as error:
        raise StageError(str(error)) from None
    stages = config["stages"]
    if name not in stages:
        raise StageError(f'.chalice/config.json has no stage "{name}", only {", ".join(stages)}')
    try:
        refuse_unknown_names(config, name)
        in_config = StageConfig(config, name)
        environment = in_config.environment()
        settings = Settings.from_environment(environment)
        lock = written_lock(stages[name])
        incoming_alarm = written_incoming_alarm(stages[name])
        administrators = _written_list(stages[name], ADMINISTRATORS, of="ARNs")
        subscribers = _written_list(stages[name], ALERT_SUBSCRIBERS, of="addresses")
        accepted = _written_list(stages[name], ACCEPTED, of="names")
        trail = written_trail(stages[name])
        refuse_what_cannot_work(in_config)
        refuse_shared_buckets(in_config)
        _refuse_another_cloud(name, environment)
        if name == "dev" and (port := os.environ.get(LOCAL_PORT)):
            environment = on_port(environment, port)
    except (SettingsError, ConfigError, StageError) as error:
        raise StageError(f"stage {name}: {error}") from None
    return Stage(
        name=name,
        settings=settings,
        environment=environment,
        lock=lock,
        incoming_alarm=incoming_alarm,
        project=project,
        administrators=administrators,
        alert_subscribers=subscribers,
        accepted=accepted,
        trail=trail,
    )


def as_chalice_reads(stage: Stage, function: str) -> Any:
    """A function's configuration as Chalice merges it from several places in config.json."""
    return StageConfig(read_config(stage.project), stage.name).of(function)


def written_lock(stage: Mapping[str, Any]) -> Lock | None:
    """The lock in a stage of config.json, or the default. Raises StageError."""
    match stage.get(LOCK):
        case None:
            return DEFAULT_LOCK
        case "none":
            return None
        case {"mode": str(mode), "days": int(days), **others} if (
            mode in MODES and 1 <= days <= LONGEST_LOCK_DAYS and not others
        ):
            return Lock(mode=mode, days=days)
        case other:
            raise StageError(
                f"{LOCK} is {json.dumps(other)}; write "
                '{"mode": "GOVERNANCE", "days": 30}, with COMPLIANCE or other days, or "none"'
            )


def lock_to_write(lock: Lock | None) -> Any:
    """The JSON value that `written_lock` reads."""
    return {"mode": lock.mode, "days": lock.days} if lock else "none"


def written_incoming_alarm(stage: Mapping[str, Any]) -> IncomingAlarm:
    """The limits of the alarms on incoming in a stage of config.json, or the defaults.

    Raises StageError.
    """
    match stage.get(INCOMING_ALARM):
        case None:
            return DEFAULT_INCOMING_ALARM
        case {"bytes": int(size), "versions": int(versions), **others} if (
            size > 0 and versions > 0 and not others
        ):
            return IncomingAlarm(bytes=size, versions=versions)
        case other:
            raise StageError(
                f"{INCOMING_ALARM} is {json.dumps(other)}; write "
                f"{json.dumps(incoming_alarm_to_write(DEFAULT_INCOMING_ALARM))}, or other numbers"
            )


def incoming_alarm_to_write(alarm: IncomingAlarm) -> dict[str, int]:
    """The JSON value that `written_incoming_alarm` reads."""
    return {"bytes": alarm.bytes, "versions": alarm.versions}


def written_trail(stage: Mapping[str, Any]) -> bool:
    """Whether a stage of config.json has its own trail. Raises StageError."""
    match stage.get(TRAIL, False):
        case bool(chosen):
            return chosen
        case other:
            raise StageError(f"{TRAIL} is {json.dumps(other)}; write true or false")


def _written_list(stage: Mapping[str, Any], key: str, *, of: str) -> tuple[str, ...]:
    match stage.get(key, []):
        case [*items] if all(isinstance(item, str) for item in items):
            return tuple(items)
        case other:
            raise StageError(f"{key} is {json.dumps(other)}; write a list of {of}, in brackets")


def _refuse_another_cloud(name: str, environment: Mapping[str, str]) -> None:
    """Make sure that stage dev never reaches AWS, even with plain `chalice deploy`."""
    if name == "dev" and not is_local(environment.get(ENDPOINT, "")):
        raise StageError(
            f"{ENDPOINT} is {environment.get(ENDPOINT, 'not set')}, but stage dev is the local "
            "cloud; write http://127.0.0.1:9000"
        )


def on_port(environment: Mapping[str, str], port: str) -> dict[str, str]:
    """The environment of stage dev with its local cloud on this port. Raises StageError."""
    if not (port.isascii() and port.isdecimal() and int(port) in PORTS):
        raise StageError(
            f"{LOCAL_PORT} is {port}; write a port from {PORTS.start} to {PORTS.stop - 1}"
        )
    url = urlsplit(environment[ENDPOINT])
    return {**environment, ENDPOINT: f"{url.scheme}://{url.hostname}:{port}"}


def refuse_unfinished(stage: Stage, shell: Mapping[str, str]) -> None:
    """Make sure that a stage other than dev is complete and uses AWS, not a local cloud.

    Raises StageError.
    """
    if stage.name == "dev":
        return
    for bucket in (stage.settings.incoming_bucket, stage.settings.vault_bucket):
        if bucket.startswith(EXAMPLE):
            raise StageError(
                f"{bucket} is only an example; use two buckets of your own in stage {stage.name} "
                f"of {CONFIG}"
            )
    for where, environment in (
        ("this shell", shell),
        (f"stage {stage.name} of .chalice/config.json", stage.environment),
    ):
        for variable in (ENDPOINT, f"{ENDPOINT}_S3"):
            if is_local(environment.get(variable, "")):
                raise StageError(
                    f"{variable} of {where} is {environment[variable]}, a local cloud, which is "
                    "only for the stage dev; unset it to reach AWS"
                )


def is_local(endpoint: str) -> bool:
    """Whether a URL leads to this machine, and so to a local cloud."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
