"""A stage of the app, as `.chalice/config.json` describes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from chalicelib.settings import Settings, SettingsError

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = Path(".chalice") / "config.json"
APP_NAME = "immutable-backups"
FUNCTIONS = ("promote",)


class StageError(ValueError):
    """A stage that is not there or not complete; the message says what to write where."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: its name, what its functions find in their environment, and the app's folder."""

    name: str
    settings: Settings
    environment: Mapping[str, str]
    project: Path = PROJECT
    # The ARNs of those who may be administrators of the vault's account, as its owner knows them.
    administrators: tuple[str, ...] = ()

    def function_name(self, function: str) -> str:
        """The name that Chalice gives a function, and its role, in AWS."""
        return f"{APP_NAME}-{self.name}-{function}"

    @property
    def topic(self) -> str:
        """The name of the topic that alerts go to."""
        return f"{APP_NAME}-{self.name}-alerts"

    @property
    def drill_user(self) -> str:
        """The name of the IAM user that a drill makes for as long as it runs."""
        return f"{APP_NAME}-{self.name}-drill"

    def server_user(self, server: str | None) -> str:
        """The name of a server's IAM user (None: of the only server)."""
        return f"{APP_NAME}-{self.name}-server" + (f"-{server}" if server else "")


def read_stage(name: str, *, project: Path = PROJECT) -> Stage:
    """The stage `name` of the app in the folder `project`. Raises StageError."""
    path = project / CONFIG
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise StageError(f"{path} cannot be read as Chalice's configuration: {error}") from None
    if name not in stages:
        raise StageError(
            f'there is no stage "{name}" in .chalice/config.json; there are {", ".join(stages)}'
        )
    try:
        environment = stages[name].get("environment_variables", {})
        settings = Settings.from_environment(environment)
    except SettingsError as error:
        raise StageError(f"stage {name}: {error}") from None
    return Stage(
        name=name,
        settings=settings,
        environment=environment,
        project=project,
        administrators=tuple(stages[name].get("administrators", ())),
    )


def refuse_unfinished(stage: Stage, shell: Mapping[str, str]) -> None:
    """Make sure that a stage other than dev is meant for AWS, whatever the shell was used for.

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
                    f"{variable} of {where} is {environment[variable]}, a local cloud, where "
                    f"only the stage dev belongs; unset it to reach AWS"
                )


def is_local(endpoint: str) -> bool:
    """Whether a URL leads to this very machine, where no AWS is but a local cloud."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
