"""The generated files of a stage in `.chalice/`: IAM policies, and what `setup` was told."""

import difflib
import json
from pathlib import Path
from typing import Any

import click

from admin.desired.permissions import function_policies
from admin.options import of_a_stage
from admin.stage import (
    CONFIG,
    INCOMING_ALARM,
    LOCK,
    Stage,
    StageError,
    incoming_alarm_to_write,
    lock_to_write,
    policy_file,
    read_stage,
    written_incoming_alarm,
    written_lock,
)
from chalicelib.policy.file import read_policy
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import PolicyError

TOPIC = "ALERT_TOPIC_ARN"


def stage_files(policy: Policy, stage: Stage, *, topic: str | None = None) -> dict[Path, str]:
    """The text of each generated file of `stage`, by its path.

    `topic` is the ARN that alerts go to; None leaves it as `config.json` has it. Lock and alarm
    are those of `stage`, whatever `config.json` has.
    """
    files: dict[Path, str] = {}
    path = stage.project / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    written = config["stages"][stage.name]
    is_right = True
    if topic and stage.environment.get(TOPIC) != topic:
        written.setdefault("environment_variables", {})[TOPIC] = topic
        is_right = False
    if written_lock(written) != stage.lock:
        written[LOCK] = lock_to_write(stage.lock)
        is_right = False
    if written_incoming_alarm(written) != stage.incoming_alarm:
        written[INCOMING_ALARM] = incoming_alarm_to_write(stage.incoming_alarm)
        is_right = False
    if not is_right:
        files[path] = _text(config)
    for function, document in function_policies(policy, stage).items():
        files[stage.project / ".chalice" / policy_file(stage.name, function)] = _text(document)
    return files


def changes(files: dict[Path, str]) -> dict[Path, str]:
    """What would change, as a unified diff; files that stay as they are are left out."""
    found = {}
    for path, text in files.items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before != text:
            name = f".chalice/{path.name}"
            lines = difflib.unified_diff(
                before.splitlines(), text.splitlines(), name, name, lineterm=""
            )
            found[path] = "\n".join(lines)
    return found


def write_files(files: dict[Path, str]) -> None:
    """Write the files; each is whole at any time."""
    for path, text in files.items():
        draft = path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)


@click.command()
@of_a_stage
def write_policies(stage: str) -> None:
    """Example: make policies STAGE=prod

    Writes .chalice/policy-STAGE-FUNCTION.json for each function, from chalicelib/policy.toml.
    """
    try:
        files = stage_files(read_policy(), read_stage(stage))
    except (PolicyError, StageError) as error:
        raise click.UsageError(str(error)) from None
    changed = changes(files)
    write_files(files)
    for path in files:
        click.echo(f".chalice/{path.name}: {'written' if path in changed else 'as it was'}")


def _text(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    write_policies()
