"""Answers requests to a local cloud in this process, without its port.

What answers them is the same application: signatures and permissions are verified. This saves only
the connection and the server's thread, which take half of the time of a request.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from io import BytesIO
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit
from wsgiref.types import WSGIApplication, WSGIEnvironment

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from werkzeug.http import http_date
from werkzeug.test import run_wsgi_app

import localcloud.cloud
from localcloud.clock import clock
from localcloud.server import HOST
from tests.support.faults import respond


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
    """What the application answers to a prepared request of botocore's."""
    body, status, headers = copy_context().run(
        run_wsgi_app, app, environment_of(request), buffered=True
    )
    # The server dates the answers that have no date yet.
    dated = {"date": http_date(clock.now()), **{name.lower(): value for name, value in headers}}
    return respond(request, int(status.split()[0]), b"".join(body), headers=dated)


def environment_of(request: Any) -> WSGIEnvironment:
    """The environment that the local cloud's server makes of a request."""
    url = urlsplit(request.url)
    target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    body = request.body if request.body is not None else b""
    content = body.read() if hasattr(body, "read") else body
    content = content.encode() if isinstance(content, str) else bytes(content)
    environment: WSGIEnvironment = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": BytesIO(content),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path or "/").encode().decode("latin1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "REMOTE_ADDR": HOST,
        "SERVER_NAME": HOST,
        "SERVER_PORT": str(url.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
        "CONTENT_LENGTH": str(len(content)),
    }
    original_names: dict[str, str] = {}
    for name, value in request.headers.items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        if name.lower() == "transfer-encoding":
            continue
        if should_preserve_original_header_name(name):
            original_names[environ_key_for_header(name)] = name
        key = name.upper().replace("-", "_")
        prefixed = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        environment[prefixed] = text
    environment[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = original_names
    return environment
