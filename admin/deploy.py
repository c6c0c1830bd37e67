"""`make deploy`: sets up the account, deploys the app, and sets up what needs the functions."""

import os
import shutil
import subprocess
import sys

import click

from admin.account import LOCAL_ACCESS_KEY_ID, LOCAL_REGION, LOCAL_SECRET_ACCESS_KEY
from admin.cli import cli
from admin.options import of_an_account
from admin.stage import PROJECT

# Chalice has no __main__ module, and its script is not always on the PATH.
CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"


@click.command(context_settings={"ignore_unknown_options": True})
@of_an_account
@click.argument("setup_options", nargs=-1, type=click.UNPROCESSED)
def main(
    *, stage: str, region: str | None, profile: str | None, setup_options: tuple[str, ...]
) -> None:
    """Example: make deploy STAGE=prod ARGS="--profile backups"

    Runs backups setup --apply, chalice deploy, and backups setup --apply again. Safe to repeat.
    All other options are passed to backups setup, for example --yes, --vault-profile or --lock.
    """
    where = [
        *("--stage", stage),
        *(("--region", region) if region else ()),
        *(("--profile", profile) if profile else ()),
    ]
    setup = ["setup", *where, "--apply", *setup_options]
    cli(setup, standalone_mode=False)
    click.echo(f"chalice deploy --stage {stage}")
    # Chalice would ship compiled files, which `backups check` cannot compare.
    for compiled in (PROJECT / "chalicelib").rglob("__pycache__"):
        shutil.rmtree(compiled)
    deployed = subprocess.run(
        [sys.executable, "-c", CHALICE, "deploy", "--stage", stage],
        cwd=PROJECT,
        env=_environment(stage, region, profile),
        check=False,
    )
    if deployed.returncode != 0:
        raise click.ClickException("chalice deploy failed; see its output above.")
    cli(setup, standalone_mode=False)


def _environment(stage: str, region: str | None, profile: str | None) -> dict[str, str]:
    """The shell's variables, without those that would lead to another account or app."""
    # With the routes of chalice local, the app would get a REST API.
    environment = {key: value for key, value in os.environ.items() if key != "BACKUPS_DEV_ROUTES"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if stage == "dev":
        # Whatever was deployed into an earlier local cloud no longer exists.
        (PROJECT / ".chalice" / "deployed" / "dev.json").unlink(missing_ok=True)
        environment = {k: v for k, v in environment.items() if not k.startswith("AWS_")}
        return environment | {
            "AWS_ACCESS_KEY_ID": LOCAL_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": LOCAL_SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": LOCAL_REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    return (
        environment
        | ({"AWS_DEFAULT_REGION": region} if region else {})
        | ({"AWS_PROFILE": profile} if profile else {})
    )


if __name__ == "__main__":
    main()
