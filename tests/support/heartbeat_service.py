"""A service that receives heartbeats, by HTTP on this machine."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Service:
    """A service that receives heartbeats: method, path and body of each.

    It responds as `mode` says, or otherwise as the first part of the path says. Redirects lead to
    the URL `to`.
    """

    url: str
    ended: threading.Event
    received: list[tuple[str, str, str]] = field(default_factory=list)
    to: str = ""
    mode: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Stores each request, and responds."""

    service: Service

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.service.received.append((self.command, self.path, body))
        match self.service.mode or self.path.split("/")[1]:
            case "moved":
                self.service.mode = ""
                self.send_response(302)
                self.send_header("Location", self.service.to)
            case "gone":
                self.send_response(404)
            case "broken":
                self.send_response(500)
            case "silent":
                self.service.ended.wait()
                return
            case "drips":
                self.send_response(200)
                self.flush_headers()
                self.wfile.write(b"X-Drip: ")
                while not self.service.ended.wait(0.01):
                    self.wfile.write(b"x")
                return
            case _:
                self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Service]:
    """A service that listens until the block ends, with TLS if it has a certificate."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if certificate else "http"
    service = Service(f"{scheme}://127.0.0.1:{server.server_port}", threading.Event())
    server.RequestHandlerClass = type("Handler", (Handler,), {"service": service})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
