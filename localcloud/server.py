"""The local cloud's HTTP server, on a port of 127.0.0.1."""

import errno
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.exceptions import ClientError
from flask import Response
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from localcloud.clock import clock

HOST = "127.0.0.1"


class PortTaken(Exception):
    """Another program listens on the port; the message names the option to change it."""


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket bound to the port (0: any free port). Raises PortTaken."""
    # werkzeug exits the program if the port is taken, so it gets a bound socket.
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
    """Serve `application`, with a thread for each request, until the block ends."""
    host, port = listener.getsockname()
    server = make_server(
        host,
        port,
        application,
        threaded=True,
        request_handler=_RequestHandler,
        fd=listener.fileno(),
    )
    ended = threading.Event()
    # The connection that ends the server is closed without being served; a thread that served it
    # would be left behind.
    server.verify_request = lambda *_: not ended.is_set()  # type: ignore[method-assign]

    def serve() -> None:
        # serve_forever() would check a hundred times a second whether it should end.
        while not ended.is_set():
            server.handle_request()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # The loop waits for one more connection instead.
        socket.create_connection((host, port)).close()
        thread.join()
        server.server_close()


class ServicesOfMoto(DomainDispatcherApplication):
    """moto's WSGI application with less overhead.

    To find the service, moto lists its folders twice for each request; here the service is cached.
    Only Flask's routing is used: sessions, contexts and headers for browsers would take a quarter
    of the time.
    """

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._services: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._services:
            self._services[host] = super().get_backend_for_host(host)
        return self._services[host]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        app = self.get_application(environ)
        try:
            endpoint, _ = app.url_map.bind_to_environ(environ).match()
            response = _answer(app.view_functions[endpoint], app.request_class(environ))
        except HTTPException as error:
            return error.get_response(environ)(environ, start_response)
        return response(environ, start_response)


def _answer(view: Any, request: Any) -> Response:
    """The response of moto's view, as moto makes it for Flask."""
    try:
        result = view.callback(request, request.raw_url, dict(request.headers))
    except ClientError as error:
        result = 400, {}, error.response["Error"]["Message"]
    status, headers, content = result if isinstance(result, tuple) else (200, {}, result)
    response = Response(response=content, status=status, headers=headers)
    if request.method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    return response


class _RequestHandler(MotoRequestHandler):
    # Responses are written in two pieces: Nagle's algorithm would delay the second by 40 ms.
    disable_nagle_algorithm = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The header Date, by the cloud's clock."""
        return super().date_time_string(timestamp or clock.now().timestamp())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing: clients see the responses to their requests."""
