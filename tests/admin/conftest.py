from functools import partial
from pathlib import Path

import pytest
from botocore.loaders import create_loader

import admin.cli
import admin.stage_files
from admin.account import Account, local_account
from admin.stage import read_stage
from localcloud.cloud import Cloud, running
from tests.project import POLICY, write_stages

DESCRIPTIONS = create_loader()


@pytest.fixture(autouse=True)
def own_project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command reads the tests' own policy, and reads and writes stages of the tests' own."""
    folder = tmp_path_factory.mktemp("stages")
    write_stages(folder)
    for door in (admin.cli, admin.stage_files):
        monkeypatch.setattr(door, "read_policy", lambda: POLICY)
        monkeypatch.setattr(door, "read_stage", partial(read_stage, project=folder))
    return folder


@pytest.fixture
def cloud():
    """An empty local cloud."""
    with running(retry_delays=(0, 0)) as cloud:
        yield cloud


@pytest.fixture
def account(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account of that cloud's administrator; the `backups` command works there too."""
    account = local_account(cloud.endpoint)
    # AWS's descriptions of its services are large: read once for all tests.
    account.session._session.register_component("data_loader", DESCRIPTIONS)
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    return account
