"""The local cloud as its users meet it: served over HTTP, with the app deployed into it."""

import pytest

from localcloud.cloud import running


@pytest.fixture
def cloud():
    """An empty cloud, in which Lambda's retries follow at once."""
    with running(retry_delays=(0, 0)) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """What Chalice has built of the app, once for all modules."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def deployed(packages):
    """A cloud with buckets, a server's user, and the real app, deployed by the real Chalice.

    For one module: moto's state is one per process, and other modules use it without a server.
    Deployed from a shell that runs `chalice local`, which must make no difference.
    """
    with pytest.MonkeyPatch.context() as shell, running(retry_delays=(0, 0)) as cloud:
        shell.setenv("BACKUPS_DEV_ROUTES", "1")
        cloud.prepare()
        cloud.deploy(packages=packages)
        yield cloud
