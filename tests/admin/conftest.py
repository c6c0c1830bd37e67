import shutil
import zipfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import create_loader

import admin.check.function
import admin.cli
from admin.account import Account, local_account
from admin.check.report import Report
from admin.check.settings import check
from admin.stage import read_stage
from admin.target import Target
from demo.stage import StageCloud, running
from localcloud.clock import clock
from tests.support.deployed_stage import DeployedStage
from tests.support.in_process import requests_in_process
from tests.support.project import POLICY, write_stages
from tests.support.remembered_answers import RememberedAnswers
from tests.support.restoring import Restorer, restorer
from tests.support.saved_state import SavedState

DESCRIPTIONS = create_loader()


@pytest.fixture(scope="module", autouse=True)
def requests_are_answered_in_this_process() -> Iterator[None]:
    """The port of the local cloud has its own tests."""
    with requests_in_process():
        yield


@pytest.fixture(scope="module", autouse=True)
def chalice_of_this_room(chalice_is_loaded_once: None) -> None:
    """Running Chalice as a program is tested in test_deploy.py."""


@pytest.fixture(scope="module", autouse=True)
def a_bundle_is_read_once() -> Iterator[None]:
    """Forty megabytes are not downloaded and read again for each weakening of something else.

    The address of a bundle in the local cloud contains its digest.
    """
    downloads: dict[str, zipfile.ZipFile] = {}
    known: dict[Any, list[str]] = {}
    code = admin.check.function
    fetch, compare, supports = code.fetch_bundle, code.differences, code.unsupported_arguments

    def fetch_bundle(account: Account, location: str) -> zipfile.ZipFile:
        if location not in downloads:
            downloads[location] = fetch(account, location)
        return downloads[location]

    def differences(bundle: zipfile.ZipFile, project: Path) -> list[str]:
        own = [path.read_bytes() for path in sorted((project / "chalicelib").rglob("*.*"))]
        key = (bundle, project, *own, (project / "app.py").read_bytes())
        if key not in known:
            known[key] = compare(bundle, project)
        return list(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "fetch_bundle", fetch_bundle)
        patch.setattr(code, "differences", differences)
        patch.setattr(code, "unsupported_arguments", cache(supports))
        yield


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    write_stages(folder)
    return folder


@pytest.fixture(autouse=True)
def own_project(stages: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every command reads the tests' own policy, and uses the tests' own stages."""
    before = contents(stages)
    monkeypatch.setattr(admin.cli, "read_policy", lambda: POLICY)
    monkeypatch.setattr(admin.cli, "read_stage", partial(read_stage, project=stages))
    yield stages
    if contents(stages) != before:
        for item in stages.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        write_stages(stages)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def cloud():
    """An empty local cloud."""
    with running(retry_delays=(0, 0)) as cloud:
        yield cloud


@pytest.fixture
def account(cloud: StageCloud, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account of that cloud's administrator; the `backups` command works there too."""
    account = local_account(cloud.endpoint)
    # AWS's descriptions of its services are large: read once for all tests.
    account.session._session.register_component("data_loader", DESCRIPTIONS)
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    return account


@pytest.fixture(scope="module")
def saved_state() -> SavedState:
    return SavedState()


@pytest.fixture
def restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    """The command `backups restore`, in an empty directory and with an empty vault."""
    yield from restorer(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def answers() -> Iterator[RememberedAnswers]:
    """The responses to the administrator's requests, cached for clouds that start later."""
    remembered = RememberedAnswers()
    with remembered.of_clouds():
        yield remembered


@pytest.fixture(scope="module")
def deployed_stage(
    project: Path, packages: Path, answers: RememberedAnswers
) -> Iterator[DeployedStage]:
    with running(retry_delays=(0, 0)) as cloud:
        cloud.prepare(project_dir=project)
        cloud.deploy(project_dir=project, packages=packages)
        live = DeployedStage(cloud, project, packages)
        yield live
        answers.end()
        # Each test's check finds what the previous test left unrepaired; this one covers the last
        # test.
        target = Target(account=live.account, stage=live.stage, policy=POLICY)
        report = check(target, now=clock.now(), tell=lambda _: None)
        assert report == Report(backups=report.backups)


@pytest.fixture
def living(
    deployed_stage: DeployedStage, answers: RememberedAnswers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DeployedStage]:
    """A deployed stage without findings, on which the `backups` command works."""
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: deployed_stage.account)
    monkeypatch.setattr(admin.cli, "read_stage", lambda name: deployed_stage.stage)
    answers.begin()
    yield deployed_stage
    assert answers.stale == []
