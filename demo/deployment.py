"""Runs the real `chalice deploy`, against a local cloud instead of AWS."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from admin.deploy import CHALICE, copy_app, without_aws, without_routes
from admin.setup.files import stage_files, write_files
from admin.stage import read_stage
from chalicelib.policy.file import POLICY_FILE, read_policy
from chalicelib.policy.policy import Policy
from localcloud.iam.authorization import Credentials

# Complete packages for `make demo` and `make local`. The parent folder can contain an incomplete
# package if Chalice was interrupted.
PACKAGES = Path(".chalice", "deployments", "local")


class DeployError(Exception):
    """`chalice deploy` failed; the message is its output."""


def deploy(
    project_dir: Path,
    *,
    stage: str,
    endpoint: str,
    region: str,
    credentials: Credentials,
    packages: Path | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Deploy a copy of the project whose functions use `endpoint` instead of AWS.

    The functions' IAM policies are generated first, so that they match the policy; `variables` are
    set in the functions' environment. pip downloads the pinned requirements; the second time they
    are in its cache. With `packages`, the package is kept in that directory for the next deployment
    of the same code. Raises DeployError.
    """
    with tempfile.TemporaryDirectory(prefix="deploy-") as directory:
        copy = Path(directory)
        built = copy / ".chalice" / "deployments"
        # An interrupted Chalice does not remove its temporary files.
        temporary = copy / "tmp"
        temporary.mkdir()
        copy_app(project_dir, copy, stage=stage, endpoint=endpoint)
        own = read_stage(stage, project=copy)
        write_files(stage_files(read_policy_of(copy), own, variables=variables))
        if packages and packages.exists():
            shutil.copytree(packages, built)
        chalice = subprocess.run(
            [sys.executable, "-c", CHALICE, "deploy", "--stage", stage],
            cwd=copy,
            env=without_aws(without_routes(os.environ))
            | {
                "AWS_ACCESS_KEY_ID": credentials.access_key_id,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
                "AWS_DEFAULT_REGION": region,
                "AWS_ENDPOINT_URL": endpoint,
                "TMPDIR": str(temporary),
                # Chalice would ship the compiled files that Python writes beside the sources.
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if chalice.returncode != 0:
            raise DeployError(chalice.stdout)
        if packages:
            keep_package(built, packages)


def keep_package(built: Path, packages: Path) -> None:
    """Keep the package that was built, if one was, instead of the previous one."""
    kept = {path.name for path in packages.glob("*")}
    for package in built.iterdir():
        if package.name in kept:
            continue
        packages.mkdir(parents=True, exist_ok=True)
        # Rename the package into place, because another program could be copying it, or this one
        # could be interrupted.
        incomplete = packages / f"{package.name}.{os.getpid()}"
        shutil.move(package, incomplete)
        incomplete.rename(packages / package.name)
        for name in kept:
            (packages / name).unlink(missing_ok=True)


def read_config(project_dir: Path) -> dict[str, Any]:
    """The project's .chalice/config.json."""
    return dict(json.loads((project_dir / ".chalice" / "config.json").read_text(encoding="utf-8")))


def read_policy_of(project_dir: Path) -> Policy:
    """The project's chalicelib/policy.toml. Raises PolicyError."""
    return read_policy(project_dir / "chalicelib" / POLICY_FILE.name)
