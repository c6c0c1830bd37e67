"""A subscriber to a topic of the local cloud, by HTTP on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any


class Subscriber:
    """Receives SNS's documents; `answer` is the HTTP status of its responses."""

    def __init__(self) -> None:
        self.url = ""
        self.answer = 200
        self.headers: list[dict[str, str]] = []
        self._received: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def next(self, timeout: float = 60) -> dict[str, Any]:
        """Wait for the next document. Raises queue.Empty."""
        return self._received.get(timeout=timeout)

    @property
    def has_more(self) -> bool:
        return not self._received.empty()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        request.send_response(self.answer)
        request.send_header("Content-Length", "0")
        request.end_headers()
        self._received.put(json.loads(body))


@contextmanager
def subscriber() -> Iterator[Subscriber]:
    """A subscriber that listens until the block ends."""
    receiver = Subscriber()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver._take(self)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
