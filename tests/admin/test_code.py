"""The download of a deployed bundle."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest

from admin.account import Account, AccountError
from admin.check import code
from admin.check.code import differences, fetch_bundle
from tests.support.packages import SERVICES, built_packages, files_of_package


class Bundle(BaseHTTPRequestHandler):
    """Serves a zip file with one member."""

    def do_GET(self) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as bundle:
            bundle.writestr("app.py", "")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content.getvalue())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Bundle) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_bundle_of_the_local_cloud_comes_without_a_proxy(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    local = Account(session=boto3.Session(), endpoint=address)
    assert fetch_bundle(local, f"{address}/bundle").namelist() == ["app.py"]
    on_aws = Account(session=boto3.Session(), endpoint=None)
    with pytest.raises(AccountError, match="download failed"):
        fetch_bundle(on_aws, f"{address}/bundle")


@pytest.fixture
def differing(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """Return the files in which the package in a folder differs from this clone."""
    monkeypatch.setattr(code, "_installed", files_of_package)

    def compare(packages: Path) -> list[str]:
        [package] = packages.iterdir()
        with zipfile.ZipFile(package) as bundle:
            return differences(bundle, project)

    return compare


def test_a_whole_package_is_what_this_clone_would_deploy(
    shared: Path, differing: Callable[[Path], list[str]]
) -> None:
    assert differing(built_packages(shared, whole=True)) == []


def test_most_tests_deploy_a_package_without_the_services_that_are_not_called(
    shared: Path, differing: Callable[[Path], list[str]]
) -> None:
    missing = differing(built_packages(shared, whole=False))
    assert len(missing) > 1000
    services = {re.fullmatch("botocore/data/([^/]+)/.+", file)[1] for file in missing}
    assert not services & SERVICES
