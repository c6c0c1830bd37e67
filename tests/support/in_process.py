"""Responds to requests to a local cloud in this process, without its port.

They go through the same application, which verifies signatures and permissions. This saves only the
connection and the server's thread, which take half of a request's time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication, WSGIEnvironment

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from werkzeug.http import http_date
from werkzeug.test import run_wsgi_app

import localcloud.cloud
from localcloud.clock import clock
from localcloud.server import HOST
from tests.support.faults import respond
from tests.support.quick_requests import environment_of


@contextmanager
def requests_in_process() -> Iterator[None]:
    """Within the block, botocore sends no request to a local cloud that runs in this process.

    Other programs, and functions, use its port.
    """
    apps: dict[int, WSGIApplication] = {}
    serve, send = localcloud.cloud.serving, URLLib3Session.send

    @contextmanager
    def serving(listener: Any, app: WSGIApplication) -> Iterator[None]:
        port = listener.getsockname()[1]
        with serve(listener, app):
            apps[port] = app
            try:
                yield
            finally:
                del apps[port]

    def send_or_answer(session: URLLib3Session, request: Any) -> AWSResponse:
        url = urlsplit(request.url)
        app = apps.get(url.port) if url.hostname == HOST else None
        return answer(app, request) if app else send(session, request)

    with (
        patch.object(localcloud.cloud, "serving", serving),
        patch.object(URLLib3Session, "send", send_or_answer),
    ):
        yield


def answer(app: WSGIApplication, request: Any) -> AWSResponse:
    """The application's response to a prepared botocore request."""
    body, status, headers = copy_context().run(
        run_wsgi_app, app, environment_of_server(request), buffered=True
    )
    # The server dates the responses that have no date yet.
    dated = {"date": http_date(clock.now()), **{name.lower(): value for name, value in headers}}
    return respond(request, int(status.split()[0]), b"".join(body), headers=dated)


def environment_of_server(request: Any) -> WSGIEnvironment:
    """The WSGI environment that the local cloud's server makes from a request."""
    url = urlsplit(request.url)
    url = url._replace(path=url.path or "/")
    target = f"{url.path}?{url.query}" if url.query else url.path
    return environment_of(request.method, url, request.headers, request.body) | {
        "wsgi.multithread": True,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "REMOTE_ADDR": HOST,
        "SERVER_NAME": HOST,
        "SERVER_PORT": str(url.port),
    }
