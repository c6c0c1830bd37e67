"""The local cloud, empty or with the app deployed; and moto behind the authorization layer."""

import shutil
from datetime import UTC, datetime

import pytest
from moto.moto_api._internal import moto_api_backend

import demo.stage
import localcloud.cloud
from demo.deployment import PACKAGES
from localcloud.clock import clock
from tests.localcloud.authorized_moto import AuthorizedMoto
from tests.support import faulty_cloud


@pytest.fixture(scope="session")
def started_before(project, packages):
    """A copy of this project in which `make demo` or `make local` has kept the package."""
    shutil.copytree(packages, project / PACKAGES)
    return project


@pytest.fixture
def cloud():
    """An empty cloud, in which Lambda retries immediately."""
    with demo.stage.running(retry_delays=(0, 0)) as cloud:
        yield cloud


@pytest.fixture
def patient():
    """A cloud that waits between attempts as Lambda does, with a stopped clock."""
    with localcloud.cloud.running() as cloud:
        clock.stand_at(datetime(2026, 11, 25, 12, tzinfo=UTC))
        yield cloud


@pytest.fixture(scope="module")
def deployed(project, packages, chalice_is_loaded_once):
    """A cloud with buckets, a server's user, and the real app, deployed by the real Chalice.

    Faults can be injected into it. It lasts for a whole module: moto's state is global, and other
    modules use moto without a server. The app is deployed from a shell that runs `chalice local`,
    which must make no difference.
    """
    with pytest.MonkeyPatch.context() as shell, faulty_cloud.running(retry_delays=(0, 0)) as cloud:
        shell.setenv("BACKUPS_DEV_ROUTES", "1")
        cloud.prepare(project_dir=project)
        cloud.deploy(project_dir=project, packages=packages)
        yield cloud


@pytest.fixture(scope="module")
def served_gate():
    with AuthorizedMoto().served() as gate:
        yield gate


@pytest.fixture
def gate(served_gate):
    """Two empty buckets behind the authorization layer, and no user except the administrator."""
    moto_api_backend.reset()
    s3 = served_gate.client("s3")
    for bucket in ("backups1", "backups2"):
        s3.create_bucket(Bucket=bucket)
    served_gate.senders.clear()
    yield served_gate
    moto_api_backend.reset()
