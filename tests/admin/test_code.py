"""The download of a deployed bundle."""

import io
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3
import pytest

from admin.account import Account, AccountError
from admin.check.code import fetch_bundle


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
        thread = Thread(target=server.serve_forever)
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
