"""The tests' own project: the code of this project with a policy and stages that nobody edits.

The owner of a fork edits `chalicelib/policy.toml` and `.chalice/config.json`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

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
ENVIRONMENTS = {
    "dev": {
        "INCOMING_BUCKET": "backups1",
        "VAULT_BUCKET": "backups2",
        "INCOMING_OWNER": "123456789012",
        "VAULT_OWNER": "123456789012",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
        "ALERT_TOPIC_ARN": f"arn:aws:sns:us-east-1:123456789012:{APP_NAME}-dev-alerts",
    },
    "prod": {"INCOMING_BUCKET": "change-me-backups1", "VAULT_BUCKET": "change-me-backups2"},
}


# How the functions are run, as this project ships it.
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


def copy_project(folder: Path, *, endpoint: str | None = None) -> Path:
    """Copy what runs and what is deployed into `folder`, with the tests' policy and stages."""
    for name in ("app.py", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    for name in ("admin", "chalicelib", "demo", "localcloud"):
        shutil.copytree(PROJECT / name, folder / name)
    (folder / "chalicelib" / "policy.toml").write_text(POLICY_TOML)
    write_stages(folder, endpoint=endpoint)
    return folder
