"""The local cloud's server: one port of 127.0.0.1."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.types import WSGIApplication

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

HOST = "127.0.0.1"


class PortTaken(Exception):
    """Another program listens on the port; the message says what to do."""


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that is bound to the port (0: a free one). Raises PortTaken."""
    # werkzeug ends the whole program when a port is taken; so it gets a socket that is bound.
    try:
        listener = socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(f"Port {port} is taken; choose another one with --port.") from None
    with listener:
        yield listener


@contextmanager
def serving(listener: socket.socket, application: WSGIApplication) -> Iterator[None]:
    """Answer requests with `application`, each in a thread of its own, until the block ends."""
    host, port = listener.getsockname()
    server = make_server(
        host,
        port,
        application,
        threaded=True,
        request_handler=_RequestHandler,
        fd=listener.fileno(),
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _RequestHandler(MotoRequestHandler):
    # Answers are written in two pieces: with Nagle's algorithm the second one waits 40 ms.
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: what happens in the cloud is told by who did it."""
