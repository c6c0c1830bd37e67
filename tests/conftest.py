"""The fixtures of all tests: an S3 with S3's semantics in this process, and none of your settings.

No test can reach AWS or use real credentials: the environment is replaced before any of our modules
or AWS's is imported.
"""

import os

# ruff: noqa: E402
for name in [name for name in os.environ if name.startswith(("AWS_", "BACKUPS_"))]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
    INCOMING_BUCKET="backups1",
    VAULT_BUCKET="backups2",
    # Parts of a few bytes take the same paths through the code as parts of gigabytes.
    S3_UPLOAD_PART_MIN_SIZE="1",
    # Objects smaller than this (in bytes) stay in memory. By default, moto keeps only objects a
    # little smaller than a part in memory; each object would be an open file.
    MOTO_S3_DEFAULT_KEY_BUFFER_SIZE="1000000",
)

import gc
import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import boto3
import botocore.session
import hypothesis
import pytest
from botocore.config import Config
from coverage import Coverage
from moto import mock_aws

import chalicelib
import demo.deployment
from chalicelib import record
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.promotion import Promoter
from localcloud.s3.backend import corrected
from tests.support.loaded_chalice import LoadedChalice
from tests.support.packages import built_packages, expect_smaller_packages, unpacked_once
from tests.support.project import POLICY, copy_project
from tests.support.remembered import as_if_new, remember
from tests.support.wire import Wire, retries_at_once
from tests.support.world import PARTS, SINGLE, World

# How long an example takes depends only on how busy the machine is, so there is no deadline.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# AWS's descriptions of its services are read once, not again for the clients of each test.
botocore.session.create_loader = cache(botocore.session.create_loader)


WATCHED = {Path(__file__).parent / room for room in ("policy", "promotion", "watching")}


@contextmanager
def unwatched() -> Iterator[None]:
    """Measure no coverage in the block.

    pytest-cov's own mark, `no_cover`, does not exclude fixtures, which are most of the other tests.
    The tests of chalicelib must not have that mark: pytest-cov would start measuring again after
    each test.
    """
    stopped: list[Coverage] = []
    # A worker has two watchers on top of each other: when the upper one stops, the lower one
    # continues.
    while watching := Coverage.current():
        watching.stop()
        stopped.append(watching)
    try:
        yield
    finally:
        for watching in reversed(stopped):
            watching.start()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Measure coverage while chalicelib is imported, but not while all tests are."""
    for module in walk_packages(chalicelib.__path__, "chalicelib."):
        import_module(module.name)
    with unwatched():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Measure coverage only in the tests of chalicelib: measuring takes a third of the time."""
    with nullcontext() if WATCHED & set(item.path.parents) else unwatched():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the proofs first: each file runs on one core, and theirs take longest."""
    items.sort(key=lambda item: item.path.parent.name != "proofs")


def pytest_collection_finish() -> None:
    """Run the garbage collector less often, and never on objects that exist before the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--plain"):
        remember()
        expect_smaller_packages()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--plain",
        action="store_true",
        help="run the same tests without the speedups of botocore and moto (almost twice as slow)",
    )
    parser.addoption(
        "--endpoint",
        help="run the S3 conformance tests against this endpoint, with the credentials that "
        "CONFORMANCE_ACCESS_KEY_ID and CONFORMANCE_SECRET_ACCESS_KEY name",
    )
    parser.addoption(
        "--write-mails",
        action="store_true",
        help="write the mails in tests/watching/golden anew: read what has changed with git diff",
    )
    parser.addoption(
        "--soak", action="store_true", help="walk the largest scenes, run more races: minutes"
    )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return the folder that all processes of a test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def packages(shared: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return the folder with the package that Chalice builds once for all test modules."""
    with unpacked_once(shared):
        yield built_packages(shared, whole=request.config.getoption("--plain"))


@pytest.fixture(scope="session")
def loaded_chalice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedChalice]:
    chalice = LoadedChalice(tmp_path_factory.mktemp("chalice") / "output")
    with chalice.until_the_end:
        yield chalice


# Not set for the whole session, because some programs under test start Chalice themselves.
@pytest.fixture(scope="module")
def chalice_is_loaded_once(loaded_chalice: LoadedChalice) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo.deployment, "subprocess", loaded_chalice)
        yield


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy this project, with the policy and stages of the tests, to deploy and run it."""
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def only_client() -> Any:
    """Return the client of all tests: creating one takes longer than most tests."""
    with mock_aws():
        return boto3.client(
            "s3",
            config=Config(
                max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 3}
            ),
        )


@pytest.fixture
def s3(only_client: Any) -> Iterator[Any]:
    """Yield a client of an empty S3 in this process."""
    with mock_aws(), corrected(), as_if_new(only_client) as client:
        yield client


@pytest.fixture
def world(s3: Any) -> World:
    """Return an unversioned incoming bucket and a versioned vault, with the policy of the tests."""
    s3.create_bucket(Bucket="backups1")
    s3.create_bucket(Bucket="backups2")
    s3.put_bucket_versioning(Bucket="backups2", VersioningConfiguration={"Status": "Enabled"})
    return World(
        s3,
        Promoter(
            incoming=Incoming(s3=s3, name="backups1"),
            vault=Vault(s3=s3, name="backups2"),
            policy=POLICY,
            tuning=SINGLE,
        ),
    )


@pytest.fixture(params=["copied in one request", "copied in parts"])
def either_path(request: pytest.FixtureRequest, world: World) -> World:
    """Return the same world for both ways of copying."""
    return world if request.param == "copied in one request" else world.with_tuning(PARTS)


@pytest.fixture(params=["unversioned", "versioned"])
def any_world(request: pytest.FixtureRequest, either_path: World) -> World:
    """Return the same world for both ways of copying, with and without versions in incoming."""
    if request.param == "versioned":
        either_path.keep_versions()
    return either_path


@pytest.fixture
def versioned(either_path: World) -> World:
    """Return a world for both ways of copying, whose incoming bucket keeps versions."""
    either_path.keep_versions()
    return either_path


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Yield the app's log."""
    handler = record.logger.registered_handler
    before, stream = handler.stream, io.StringIO()
    handler.setStream(stream)
    yield stream
    handler.setStream(before)


@pytest.fixture
def wire(world: World) -> Iterator[Wire]:
    """Yield the wire between the promoter and S3, on which botocore retries without waiting."""
    with retries_at_once():
        yield Wire(world.s3)
