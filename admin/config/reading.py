"""Reads `.chalice/config.json` as Chalice does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalice.config import Config

CONFIG = Path(".chalice") / "config.json"
APP_NAME = "immutable-backups"
FUNCTIONS = ("promote", "sweep", "audit")
# The schedules in app.py, as EventBridge returns them.
SCHEDULES = {"sweep": "rate(15 minutes)", "audit": "cron(0 * * * ? *)"}
# What Chalice's commands assume if config.json does not say otherwise (`chalice.cli.factory`).
CHALICE_DEFAULTS = {"autogen_policy": True}


class ConfigError(ValueError):
    """A mistake in config.json; the message says what to write instead."""


@dataclass(frozen=True)
class StageConfig:
    """A stage of config.json; `config` has the contents of the file."""

    config: dict[str, Any]
    name: str

    def of(self, function: str) -> Any:
        """A function's configuration, as Chalice merges it from several places in config.json."""
        return Config(
            chalice_stage=self.name,
            function_name=function,
            config_from_disk=self.config,
            default_params=CHALICE_DEFAULTS,
        )

    def environment(self) -> Mapping[str, str]:
        """The environment variables that all functions share. Raises ConfigError."""
        first, *others = FUNCTIONS
        environment: dict[str, str] = self.of(first).environment_variables
        for function in others:
            of_function = self.of(function).environment_variables
            if differing := {name for name, _ in environment.items() ^ of_function.items()}:
                raise ConfigError(
                    f"{', '.join(sorted(differing))} would differ between {first} and {function}; "
                    'move it to "environment_variables" of the stage, not of a function'
                )
        return environment


def read_config(project: Path) -> dict[str, Any]:
    """The contents of config.json. Raises ConfigError unless it has stages."""
    path = project / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        stages = config["stages"]
    # Invalid JSON and invalid UTF-8 both raise ValueError.
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as Chalice's configuration: {error}") from None
    if not isinstance(stages, dict):
        raise ConfigError(f'"stages" in {path} must be an object, in braces')
    return dict(config)


def policy_file(stage: str, function: str) -> str:
    """The file name, in `.chalice/`, of the IAM policy of a function's role."""
    return f"policy-{stage}-{function}.json"
