"""The generated files in `.chalice/`: IAM policies, and the choices made with `setup`."""

import difflib
import json
from pathlib import Path
from typing import Any

from admin.config.names import INCOMING_ALARM, LOCK
from admin.config.reading import CONFIG, policy_file
from admin.desired.permissions import function_policies
from admin.stage import (
    Stage,
    incoming_alarm_to_write,
    lock_to_write,
    written_incoming_alarm,
    written_lock,
)
from chalicelib.policy.policy import Policy

TOPIC = "ALERT_TOPIC_ARN"


def stage_files(policy: Policy, stage: Stage, *, topic: str | None = None) -> dict[Path, str]:
    """The text of each generated file of `stage`, by its path.

    `topic` is the ARN of the topic for alerts; None keeps the one in `config.json`. Lock and alarm
    are taken from `stage`, not from `config.json`.
    """
    files: dict[Path, str] = {}
    path = stage.project / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    in_config = config["stages"][stage.name]
    is_current = True
    if topic and stage.environment.get(TOPIC) != topic:
        in_config.setdefault("environment_variables", {})[TOPIC] = topic
        is_current = False
    if written_lock(in_config) != stage.lock:
        in_config[LOCK] = lock_to_write(stage.lock)
        is_current = False
    if written_incoming_alarm(in_config) != stage.incoming_alarm:
        in_config[INCOMING_ALARM] = incoming_alarm_to_write(stage.incoming_alarm)
        is_current = False
    if not is_current:
        files[path] = _text(config)
    for function, document in function_policies(policy, stage).items():
        files[stage.project / ".chalice" / policy_file(stage.name, function)] = _text(document)
    return files


def changes(files: dict[Path, str]) -> dict[Path, str]:
    """Unified diffs of the files that would change."""
    diffs = {}
    for path, text in files.items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before != text:
            name = f".chalice/{path.name}"
            lines = difflib.unified_diff(
                before.splitlines(), text.splitlines(), name, name, lineterm=""
            )
            diffs[path] = "\n".join(lines)
    return diffs


def write_files(files: dict[Path, str]) -> None:
    """Write the files, each of them atomically."""
    for path, text in files.items():
        draft = path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)


def _text(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"
