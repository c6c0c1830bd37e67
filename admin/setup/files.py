"""The generated files in `.chalice/`: IAM policies, and the choices made with `setup`."""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from admin.config.editing import with_value
from admin.config.names import ACCEPTED, ALERT_SUBSCRIBERS, INCOMING_ALARM, LOCK, TRAIL
from admin.config.reading import CONFIG, policy_file
from admin.desired.audit import HEARTBEAT_URL
from admin.desired.permissions import function_policies
from admin.stage import (
    Stage,
    incoming_alarm_to_write,
    lock_to_write,
    written_incoming_alarm,
    written_lock,
    written_trail,
)
from chalicelib.policy.policy import Policy


def stage_files(
    policy: Policy, stage: Stage, *, variables: Mapping[str, str] = MappingProxyType({})
) -> dict[Path, str]:
    """The text of each generated file of `stage`, by its path.

    `variables` are set in the functions' environment in `config.json`; others stay. Lock, alarm,
    subscribers, trail and accepted obstacles are taken from `stage`, not from `config.json`.
    """
    files: dict[Path, str] = {}
    path = stage.project / CONFIG
    text = config = _read(path)
    in_stage = ("stages", stage.name)
    in_config = json.loads(config)["stages"][stage.name]
    for name, value in variables.items():
        if stage.environment.get(name) != value:
            config = with_value(config, (*in_stage, "environment_variables", name), value)
    if written_lock(in_config) != stage.lock:
        config = with_value(config, (*in_stage, LOCK), lock_to_write(stage.lock))
    if written_incoming_alarm(in_config) != stage.incoming_alarm:
        alarm = incoming_alarm_to_write(stage.incoming_alarm)
        config = with_value(config, (*in_stage, INCOMING_ALARM), alarm)
    if written_trail(in_config) != stage.trail:
        config = with_value(config, (*in_stage, TRAIL), stage.trail)
    lists = {ALERT_SUBSCRIBERS: stage.alert_subscribers, ACCEPTED: stage.accepted}
    for key, items in lists.items():
        if in_config.get(key, []) != [*items]:
            config = with_value(config, (*in_stage, key), [*items])
    if config != text:
        files[path] = config
    for function, document in function_policies(policy, stage).items():
        files[stage.project / ".chalice" / policy_file(stage.name, function)] = _text(document)
    return files


def changes(files: dict[Path, str]) -> dict[Path, str]:
    """Unified diffs of the files that would change, without the heartbeat's URL: it is a secret."""
    diffs = {}
    for path, text in files.items():
        before = _read(path) if path.exists() else ""
        if before != text:
            name = f".chalice/{path.name}"
            lines = difflib.unified_diff(_shown(before), _shown(text), name, name, lineterm="")
            diffs[path] = "\n".join(lines)
    return diffs


def _shown(text: str) -> list[str]:
    return re.sub(rf'("{HEARTBEAT_URL}": *")[^"]*', r"\1...", text).splitlines()


def write_files(files: dict[Path, str]) -> None:
    """Write the files, each of them atomically."""
    for path, text in files.items():
        draft = path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8", newline="")
        draft.replace(path)


def _read(path: Path) -> str:
    """The text with its own line endings, which read_text would normalize."""
    return path.read_bytes().decode()


def _text(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"
