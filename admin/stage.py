"""A stage of the app, as `.chalice/config.json` describes it."""

import json
from dataclasses import dataclass
from pathlib import Path

from chalicelib.settings import Settings, SettingsError

PROJECT = Path(__file__).resolve().parent.parent
APP_NAME = "immutable-backups"
FUNCTIONS = ("promote",)


class StageError(ValueError):
    """A stage that is not there or not complete; the message says what to write where."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: its name and what its functions find in their environment."""

    name: str
    settings: Settings

    def function_name(self, function: str) -> str:
        """The name that Chalice gives a function, and its role, in AWS."""
        return f"{APP_NAME}-{self.name}-{function}"


def read_stage(name: str, *, project: Path = PROJECT) -> Stage:
    """The stage `name` of the app in the folder `project`. Raises StageError."""
    path = project / ".chalice" / "config.json"
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise StageError(f"{path} cannot be read as Chalice's configuration: {error}") from None
    if name not in stages:
        raise StageError(
            f'there is no stage "{name}" in .chalice/config.json; there are {", ".join(stages)}'
        )
    try:
        settings = Settings.from_environment(stages[name].get("environment_variables", {}))
    except SettingsError as error:
        raise StageError(f"stage {name}: {error}") from None
    return Stage(name=name, settings=settings)
