"""`backups deploy`: from an empty account to a protected server, and again."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import admin.cli
import admin.deploy
from admin.account import Account
from admin.cli import cli
from admin.config.reading import CONFIG
from admin.deploy import _environment
from admin.stage import read_stage
from tests.support.loaded_chalice import LoadedChalice
from tests.support.packages import packager_in
from tests.support.project import copy_project


@pytest.fixture
def project(cloud: Any, tmp_path: Path) -> Path:
    """A copy of this project whose stage dev is the test's cloud."""
    return copy_project(tmp_path, endpoint=cloud.endpoint)


def deploy(project: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "admin", "deploy", "--yes"],
        cwd=project,
        env={
            **os.environ,
            "BACKUPS_DEV_ROUTES": "1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "PYTHONDONTWRITEBYTECODE": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def leave_incomplete_package(project: Path) -> Path:
    """Leave behind what Ctrl-C does: a valid zip file without the app's own files."""
    for compiled in (project / "chalicelib").rglob("__pycache__"):
        shutil.rmtree(compiled)
    packager, *where = packager_in(project)
    package = Path(packager.deployment_package_filename(*where))
    package.parent.mkdir()
    with zipfile.ZipFile(package, "w") as incomplete:
        incomplete.writestr("chalice/app.py", "")
    return package


def leave_compiled_code(project: Path) -> None:
    (project / "chalicelib" / "__pycache__").mkdir()
    (project / "chalicelib" / "__pycache__" / "record.cpython-313.pyc").write_bytes(b"compiled")


def test_an_empty_account_is_filled_and_a_second_run_plans_nothing(
    project: Path,
    cloud: Any,
    account: Account,
    loaded_chalice: LoadedChalice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = leave_incomplete_package(project)
    leave_compiled_code(project)
    first = deploy(project)
    assert "bucket backups2 with Object Lock" in first
    assert "promote: retry failed events twice" in first
    assert "REST API" not in first
    # Compiled code cannot be compared with its source.
    assert [*package.parent.glob("*.zip")] == [package]
    assert not [name for name in zipfile.ZipFile(package).namelist() if name.endswith(".pyc")]

    iam = cloud.session(cloud.administrator).client("iam")
    key = iam.create_access_key(UserName="immutable-backups-dev-server")["AccessKey"]
    server = type(cloud.administrator)(
        access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
    )
    uploads = cloud.session(server).client("s3")
    uploads.put_object(Bucket="backups1", Key="sql.gz.gpg", Body=b"tables")
    cloud.functions.wait_until_quiet(timeout=60)
    s3 = cloud.session(cloud.administrator).client("s3")
    [stored] = s3.list_objects_v2(Bucket="backups2")["Contents"]
    assert stored["Key"].endswith(".sql.gz.gpg")

    second = deploy_again(project, package, loaded_chalice, monkeypatch)
    assert second.count("Nothing to do: everything is as it should be.") == 2


def deploy_again(
    project: Path,
    package: Path,
    loaded_chalice: LoadedChalice,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Run the command in this process, with the package of the first run."""
    whole = package.read_bytes()

    def run(command: list[str], *, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        assert cwd == project
        package.parent.mkdir()
        package.write_bytes(whole)
        return loaded_chalice.run(command, cwd=cwd, **options)

    monkeypatch.setattr(admin.deploy, "PROJECT", project)
    monkeypatch.setattr(admin.deploy, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(admin.cli, "read_stage", partial(read_stage, project=project))
    result = CliRunner().invoke(cli, ["deploy", "--yes"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_other_stages_keep_the_shell_s_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("BACKUPS_DEV_ROUTES", "1")
    environment = _environment("prod", "eu-west-1", None)
    assert environment["AWS_PROFILE"] == "mine"
    assert environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert "BACKUPS_DEV_ROUTES" not in environment
    assert _environment("prod", None, "theirs")["AWS_PROFILE"] == "theirs"


def test_functions_follow_the_port_that_the_shell_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_project(tmp_path)
    before = (project / CONFIG).read_text()
    deployed = []

    def run(command: list[str], *, cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        config = json.loads((cwd / CONFIG).read_text())
        deployed.append(config["stages"]["dev"]["environment_variables"]["AWS_ENDPOINT_URL"])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(admin.deploy, "PROJECT", project)
    monkeypatch.setattr(subprocess, "run", run)
    admin.deploy.deploy_app("dev", region=None, profile=None)
    monkeypatch.setenv("BACKUPS_LOCAL_PORT", "9001")
    admin.deploy.deploy_app("dev", region=None, profile=None)
    assert deployed == ["http://127.0.0.1:9000", "http://127.0.0.1:9001"]
    assert (project / CONFIG).read_text() == before
