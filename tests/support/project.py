"""The tests' own project: the code of this project with a policy and stages that nobody edits.

The owner of a fork edits `chalicelib/policy.toml` and `.chalice/config.json`.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admin.config.editing import with_value
from admin.config.reading import APP_NAME, CONFIG, FUNCTIONS
from admin.setup.files import stage_files, write_files
from admin.stage import PROJECT, Stage, read_stage
from chalicelib.policy.file import parse_policy
from chalicelib.settings import Settings

# As this project ships it.
POLICY_TOML = """
timezone = "Etc/UTC"

[[rule]]
upload   = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"

[[rule]]
upload   = "sql.gz.gpg"
store_as = "%Y-%m-%d.%H.sql.gz.gpg"
"""
# What `setup` records of the vault of the stage dev; test_recorded.py describes how to renew it.
VAULT_SETTINGS = (
    "policy=17847ec63f59feb752e80e43,"
    "versioning=d0fef200712103bcb227d9ad,"
    "lock=ef5a76696b42bcbebf074857,"
    "lifecycle=ba8eafe846cd7b64edb33298,"
    "encryption=4809f8a5446764cc7f1d5ff0,"
    "public-access=a56d8a9c39f55a44b386c454,"
    "ownership=163184469329a1e44f1b39f1,"
    "notification=1ab786c96cec2dca4729baf3,"
    "replication=44136fa355b3678a1146ad16"
)
ENVIRONMENTS = {
    "dev": {
        "INCOMING_BUCKET": "backups1",
        "VAULT_BUCKET": "backups2",
        "INCOMING_OWNER": "123456789012",
        "VAULT_OWNER": "123456789012",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
        "ALERT_TOPIC_ARN": f"arn:aws:sns:us-east-1:123456789012:{APP_NAME}-dev-alerts",
        "VAULT_SETTINGS": VAULT_SETTINGS,
    },
    "prod": {"INCOMING_BUCKET": "change-me-backups1", "VAULT_BUCKET": "change-me-backups2"},
}


# The configuration of the functions, as this project ships it.
CONFIGURATION: dict[str, Any] = {
    "version": "2.0",
    "app_name": APP_NAME,
    "autogen_policy": False,
    "lambda_architecture": "arm64",
    "lambda_timeout": 900,
    "lambda_memory_size": 1024,
    "log_retention_in_days": 90,
    "tags": {"app": APP_NAME},
}


def stage_named(name: str, *, project: Path = PROJECT) -> Stage:
    """The tests' own stage of this name, independent of the project's configuration."""
    environment = ENVIRONMENTS[name]
    return Stage(
        name=name,
        settings=Settings.from_environment(environment),
        environment=environment,
        project=project,
    )


POLICY, STAGE = parse_policy(POLICY_TOML), stage_named("dev")


def write_stages(project: Path, *, endpoint: str | None = None) -> None:
    """Write `.chalice/` with the tests' stages; dev is the local cloud at `endpoint`."""
    stages: dict[str, Any] = {
        name: {
            "environment_variables": dict(environment),
            "lambda_functions": {
                function: {"iam_policy_file": f"policy-{name}-{function}.json"}
                for function in FUNCTIONS
            },
        }
        for name, environment in ENVIRONMENTS.items()
    }
    stages["dev"]["vault_lock"] = {"mode": "GOVERNANCE", "days": 30}
    if endpoint:
        stages["dev"]["environment_variables"]["AWS_ENDPOINT_URL"] = endpoint
    (project / CONFIG).parent.mkdir()
    (project / CONFIG).write_text(json.dumps({**CONFIGURATION, "stages": stages}, indent=2) + "\n")
    for name in ENVIRONMENTS:
        write_files(stage_files(POLICY, read_stage(name, project=project)))


def write_variables(project: Path, variables: Mapping[str, str]) -> None:
    """Set variables of the stage dev in a project's config.json."""
    text = (project / CONFIG).read_text()
    for name, value in variables.items():
        text = with_value(text, ("stages", "dev", "environment_variables", name), value)
    (project / CONFIG).write_text(text)


def copy_project(folder: Path, *, endpoint: str | None = None) -> Path:
    """Copy the code and all that is deployed into `folder`, with the tests' policy and stages."""
    for name in ("app.py", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    for name in ("admin", "chalicelib", "demo", "localcloud"):
        shutil.copytree(PROJECT / name, folder / name)
    (folder / "chalicelib" / "policy.toml").write_text(POLICY_TOML)
    write_stages(folder, endpoint=endpoint)
    return folder
