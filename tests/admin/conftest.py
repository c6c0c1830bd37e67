import pytest
from botocore.loaders import create_loader

import admin.cli
from admin.account import Account, local_account
from localcloud.cloud import Cloud, running

DESCRIPTIONS = create_loader()


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
