"""The next deployment of the same code reuses the package that Chalice built."""

import subprocess
from pathlib import Path

import pytest

from demo.deployment import deploy
from localcloud.iam.authorization import Credentials

KEY = Credentials(access_key_id="AKIA", secret_access_key="secret")


class Chalice:
    """A fake Chalice that reuses the package with this name, or builds a missing package."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.found: list[str] = []

    def run(self, _command: list[str], *, cwd: Path, **_) -> subprocess.CompletedProcess[str]:
        folder = cwd / ".chalice" / "deployments"
        folder.mkdir(exist_ok=True)
        self.found = [path.name for path in folder.iterdir()]
        if self.package not in self.found:
            (folder / self.package).write_text("half")
            self.go_on()
            (folder / self.package).write_text("whole")
        return subprocess.CompletedProcess([], 0)

    def go_on(self) -> None:
        """Let the build continue without an interruption."""


@pytest.fixture
def chalice(monkeypatch):
    chalice = Chalice("one.zip")
    monkeypatch.setattr(subprocess, "run", chalice.run)
    return chalice


@pytest.fixture
def packages(tmp_path):
    return tmp_path / "not there yet" / "packages"


def deploy_with(packages, project):
    deploy(
        project,
        stage="dev",
        endpoint="http://127.0.0.1:1",
        region="us-east-1",
        credentials=KEY,
        packages=packages,
    )


def contents(packages):
    return {path.name: path.read_text() for path in packages.iterdir()}


def test_the_next_deployment_reuses_the_package(project, packages, chalice):
    deploy_with(packages, project)
    assert chalice.found == []
    assert contents(packages) == {"one.zip": "whole"}
    deploy_with(packages, project)
    assert chalice.found == ["one.zip"]
    assert contents(packages) == {"one.zip": "whole"}


def test_only_the_package_of_the_newest_code_is_kept(project, packages, chalice):
    deploy_with(packages, project)
    chalice.package = "two.zip"
    deploy_with(packages, project)
    assert contents(packages) == {"two.zip": "whole"}


def test_an_interruption_leaves_no_partial_package(project, packages, chalice, monkeypatch):
    deploy_with(packages, project)
    chalice.package = "two.zip"
    monkeypatch.setattr(chalice, "go_on", interrupt)
    with pytest.raises(KeyboardInterrupt):
        deploy_with(packages, project)
    assert contents(packages) == {"one.zip": "whole"}


def interrupt():
    raise KeyboardInterrupt


def test_without_a_folder_each_deployment_builds_the_package(project, chalice):
    for _ in range(2):
        deploy_with(None, project)
        assert chalice.found == []
