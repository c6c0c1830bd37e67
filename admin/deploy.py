"""Deploys the app with the real `chalice deploy`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from admin.account import LOCAL_ACCESS_KEY_ID, LOCAL_REGION, LOCAL_SECRET_ACCESS_KEY
from admin.config.names import ENDPOINT
from admin.config.reading import CONFIG, StageConfig, read_config
from admin.stage import PROJECT, read_stage

# Chalice has no __main__ module, and its script is not always on the PATH.
CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"


def deploy_app(stage: str, *, region: str | None, profile: str | None) -> None:
    """Build a new package and deploy it with Chalice, which prints what it does.

    Raises ClickException if it fails.
    """
    click.echo(f"chalice deploy --stage {stage}")
    deploy_with = partial(_run_chalice, stage, _environment(stage, region, profile))
    endpoint = read_stage(stage, project=PROJECT).environment.get(ENDPOINT)
    if endpoint and endpoint != _written_endpoint(stage):
        # The port was chosen in the shell, but Chalice reads only config.json.
        with tempfile.TemporaryDirectory(prefix="deploy-") as directory:
            copy_app(PROJECT, Path(directory), stage=stage, endpoint=endpoint)
            deploy_with(Path(directory))
    else:
        deploy_with(PROJECT)


def copy_app(project: Path, copy: Path, *, stage: str, endpoint: str) -> None:
    """Copy what Chalice deploys into the directory `copy`; the stage's functions use `endpoint`."""
    for file in ("app.py", "requirements.txt"):
        shutil.copy(project / file, copy)
    for directory in ("chalicelib", ".chalice"):
        shutil.copytree(
            project / directory,
            copy / directory,
            ignore=shutil.ignore_patterns("__pycache__", "deployed", "deployments"),
        )
    config = read_config(copy)
    config["stages"][stage]["environment_variables"][ENDPOINT] = endpoint
    (copy / CONFIG).write_text(json.dumps(config), encoding="utf-8")


def _written_endpoint(stage: str) -> str | None:
    return StageConfig(read_config(PROJECT), stage).environment().get(ENDPOINT)


def _run_chalice(stage: str, environment: dict[str, str], project: Path) -> None:
    # Chalice would ship compiled files, which `backups check` cannot compare.
    for compiled in (project / "chalicelib").rglob("__pycache__"):
        shutil.rmtree(compiled)
    # After an interruption a package can lack a part of the app, and Chalice would reuse it for as
    # long as the sources stay the same. Nothing in such a package shows that it is incomplete.
    packages = project / ".chalice" / "deployments"
    if packages.exists():
        shutil.rmtree(packages)
    # An interrupted Chalice does not remove its temporary files.
    with tempfile.TemporaryDirectory(prefix="chalice-") as temporary:
        deployed = subprocess.run(
            [sys.executable, "-c", CHALICE, "deploy", "--stage", stage],
            cwd=project,
            env=environment | {"TMPDIR": temporary},
            check=False,
        )
    if deployed.returncode != 0:
        raise click.ClickException("chalice deploy failed; see its output above.")


def _environment(stage: str, region: str | None, profile: str | None) -> dict[str, str]:
    """The shell's variables, except those that would lead to another account or app."""
    environment = without_routes(os.environ)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if stage == "dev":
        # What was deployed into an earlier local cloud no longer exists.
        (PROJECT / ".chalice" / "deployed" / "dev.json").unlink(missing_ok=True)
        return without_aws(environment) | {
            "AWS_ACCESS_KEY_ID": LOCAL_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": LOCAL_SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": LOCAL_REGION,
        }
    return (
        environment
        | ({"AWS_DEFAULT_REGION": region} if region else {})
        | ({"AWS_PROFILE": profile} if profile else {})
    )


def without_routes(shell: Mapping[str, str]) -> dict[str, str]:
    """A shell's variables without the routes of chalice local, which would add a REST API."""
    return {name: value for name, value in shell.items() if name != "BACKUPS_DEV_ROUTES"}


def without_aws(shell: Mapping[str, str]) -> dict[str, str]:
    """A shell's variables, which pip needs, except AWS's, and without a proxy for 127.0.0.1."""
    direct = ",".join(filter(None, (shell.get("no_proxy") or shell.get("NO_PROXY"), "127.0.0.1")))
    return {
        **{name: value for name, value in shell.items() if not name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": direct,
        "NO_PROXY": direct,
    }
