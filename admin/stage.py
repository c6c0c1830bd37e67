"""Reads a stage of the app from `.chalice/config.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chalice.config import Config

from admin.choices import (
    DEFAULT_INCOMING_ALARM,
    DEFAULT_LOCK,
    LONGEST_LOCK_DAYS,
    MODES,
    IncomingAlarm,
    Lock,
    SetupOptions,
)
from chalicelib.settings import Settings, SettingsError

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = Path(".chalice") / "config.json"
APP_NAME = "immutable-backups"
FUNCTIONS = ("promote", "sweep")
# The key in a stage of config.json for the vault's lock, which Chalice ignores; for example
# {"mode": "GOVERNANCE", "days": 90}, or "none".
LOCK = "vault_lock"
# The key for the alarms on incoming: {"bytes": 1099511627776, "versions": 10000}.
INCOMING_ALARM = "incoming_alarm"


class StageError(ValueError):
    """A stage that is missing or incomplete; the message says what to write where."""


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

    def function_name(self, function: str) -> str:
        """The name of a function, and of its role, in AWS."""
        return f"{APP_NAME}-{self.name}-{function}"

    @property
    def options(self) -> SetupOptions:
        """The choices for this stage in `config.json`."""
        return SetupOptions(lock=self.lock, incoming_alarm=self.incoming_alarm)

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
    def drill_user(self) -> str:
        """The name of the IAM user that a drill makes while it runs."""
        return f"{APP_NAME}-{self.name}-drill"

    def server_user(self, server: str | None) -> str:
        """The name of a server's IAM user (None: the only server)."""
        return f"{APP_NAME}-{self.name}-server" + (f"-{server}" if server else "")


def read_stage(name: str, *, project: Path = PROJECT) -> Stage:
    """The stage `name` of the app in the folder `project`. Raises StageError."""
    path = project / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        stages = config["stages"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise StageError(f"{path} cannot be read as Chalice's configuration: {error}") from None
    if name not in stages:
        raise StageError(f'.chalice/config.json has no stage "{name}", only {", ".join(stages)}')
    try:
        environment = _environment(config, name)
        settings = Settings.from_environment(environment)
        lock = written_lock(stages[name])
        _refuse_other_policy_files(config, name)
        incoming_alarm = written_incoming_alarm(stages[name])
    except (SettingsError, StageError) as error:
        raise StageError(f"stage {name}: {error}") from None
    return Stage(
        name=name,
        settings=settings,
        environment=environment,
        lock=lock,
        incoming_alarm=incoming_alarm,
        project=project,
        administrators=tuple(stages[name].get("administrators", ())),
    )


def as_chalice_reads(stage: Stage, function: str) -> Any:
    """A function's configuration as Chalice merges it from several places in config.json."""
    config = json.loads((stage.project / CONFIG).read_text(encoding="utf-8"))
    return _as_chalice_reads(config, stage.name, function)


def policy_file(stage: str, function: str) -> str:
    """The file name, in `.chalice/`, of the IAM policy of a function's role."""
    return f"policy-{stage}-{function}.json"


def _environment(config: dict[str, Any], stage: str) -> dict[str, str]:
    """The environment variables that all functions of the stage share. Raises StageError."""
    first, *others = FUNCTIONS
    environment: dict[str, str] = _as_chalice_reads(config, stage, first).environment_variables
    for function in others:
        of_function = _as_chalice_reads(config, stage, function).environment_variables
        if differing := {name for name, _ in environment.items() ^ of_function.items()}:
            raise StageError(
                f"{', '.join(sorted(differing))} would differ between {first} and {function}; "
                'write it into "environment_variables" of the stage, not of a function'
            )
    return environment


def _refuse_other_policy_files(config: dict[str, Any], stage: str) -> None:
    """Raise StageError unless each function names its own IAM policy file.

    Chalice would use another stage's or function's file, or fail with a traceback: without a name
    it looks for a file that nothing here writes.
    """
    for function in FUNCTIONS:
        expected = policy_file(stage, function)
        if (written := _as_chalice_reads(config, stage, function).iam_policy_file) != expected:
            line = json.dumps({function: {"iam_policy_file": expected}})[1:-1]
            raise StageError(
                f"{function} has {written or 'no IAM policy file'} in .chalice/config.json; "
                f'write {line} into "lambda_functions" of the stage'
            )


def _as_chalice_reads(config: dict[str, Any], stage: str, function: str) -> Any:
    return Config(chalice_stage=stage, function_name=function, config_from_disk=config)


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
    """What `written_lock` reads."""
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
    """What `written_incoming_alarm` reads."""
    return {"bytes": alarm.bytes, "versions": alarm.versions}


def refuse_unfinished(stage: Stage, shell: Mapping[str, str]) -> None:
    """Make sure that a stage other than dev is complete and uses AWS, not a local cloud.

    Raises StageError.
    """
    if stage.name == "dev":
        return
    for bucket in (stage.settings.incoming_bucket, stage.settings.vault_bucket):
        if bucket.startswith("change-me"):
            raise StageError(
                f"{bucket} is only an example; name two buckets of your own in stage {stage.name} "
                f"of {CONFIG}"
            )
    for where, environment in (
        ("this shell", shell),
        (f"stage {stage.name} of .chalice/config.json", stage.environment),
    ):
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
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
