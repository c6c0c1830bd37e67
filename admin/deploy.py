"""Deploys the app with the real `chalice deploy`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

import click

from admin.account import LOCAL_ACCESS_KEY_ID, LOCAL_REGION, LOCAL_SECRET_ACCESS_KEY
from admin.stage import PROJECT

# Chalice has no __main__ module, and its script is not always on the PATH.
CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"


def deploy_app(stage: str, *, region: str | None, profile: str | None) -> None:
    """Build the package anew and deploy it with Chalice, which prints what it does.

    Raises ClickException if it fails.
    """
    click.echo(f"chalice deploy --stage {stage}")
    # Chalice would ship compiled files, which `backups check` cannot compare.
    for compiled in (PROJECT / "chalicelib").rglob("__pycache__"):
        shutil.rmtree(compiled)
    # An interruption leaves a package without a part of the app, and Chalice would reuse it for as
    # long as the sources stay the same. No content tells such a package from a whole one.
    packages = PROJECT / ".chalice" / "deployments"
    if packages.exists():
        shutil.rmtree(packages)
    deployed = subprocess.run(
        [sys.executable, "-c", CHALICE, "deploy", "--stage", stage],
        cwd=PROJECT,
        env=_environment(stage, region, profile),
        check=False,
    )
    if deployed.returncode != 0:
        raise click.ClickException("chalice deploy failed; see its output above.")


def _environment(stage: str, region: str | None, profile: str | None) -> dict[str, str]:
    """The shell's variables, without those that would lead to another account or app."""
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
    """A shell's variables, which pip needs, without any that lead to AWS or keep off 127.0.0.1."""
    direct = ",".join(filter(None, (shell.get("no_proxy") or shell.get("NO_PROXY"), "127.0.0.1")))
    return {
        **{name: value for name, value in shell.items() if not name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": direct,
        "NO_PROXY": direct,
    }
