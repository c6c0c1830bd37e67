"""The app's connections: certificates are read once, and every connection is verified."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import SSLError

import app
from benchmarks.certificates import Tls, make_tls

CONNECTIONS = 4


class HeadHandler(http.server.BaseHTTPRequestHandler):
    """Responds to HEAD of /together only after a request on each of CONNECTIONS connections."""

    protocol_version = "HTTP/1.1"
    all_connected = threading.Barrier(CONNECTIONS)

    def do_HEAD(self) -> None:
        if self.path.endswith("/together"):
            self.all_connected.wait()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def endpoint(tls: Tls) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HeadHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def client(endpoint: str, *, verify: Path | None = None) -> Any:
    return app.session.create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        verify=str(verify) if verify else None,
        config=Config(max_pool_connections=CONNECTIONS, retries={"total_max_attempts": 1}),
    )


def test_certificates_are_read_once_for_all_connections(endpoint: str, tls: Tls) -> None:
    s3 = client(endpoint, verify=tls.authorities)
    before = app.TlsContext.load_verify_locations.cache_info()
    s3.head_bucket(Bucket="backups1")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        heads = [
            pool.submit(s3.head_object, Bucket="backups1", Key="together")
            for _ in range(CONNECTIONS)
        ]
    assert all(head.result() for head in heads)
    after = app.TlsContext.load_verify_locations.cache_info()
    # head_bucket opened a connection, which read the certificates. The other three reused them.
    assert (after.misses - before.misses, after.hits - before.hits) == (1, CONNECTIONS - 1)


def test_a_server_without_a_trusted_certificate_is_refused(endpoint: str) -> None:
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client(endpoint).head_bucket(Bucket="backups1")


def test_each_client_trusts_only_its_own_authorities(endpoint: str, tls: Tls) -> None:
    client(endpoint, verify=tls.authorities).head_bucket(Bucket="backups1")
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client(endpoint).head_bucket(Bucket="backups1")
