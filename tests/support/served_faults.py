"""Faults between the functions of a local cloud and its S3: those of `faults`, over HTTP."""

import select
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from werkzeug.test import run_wsgi_app

from localcloud.iam.http_requests import Refused, read_request
from localcloud.iam.s3_calls import read_s3_call
from tests.support.faults import Faults, Killed, respond


class ServedFaults(Faults):
    """Applies the planned faults to requests of functions, and passes all others to `app`.

    `kill` kills the function that is planned to die, once: the next run is another process.
    """

    def __init__(self, app: WSGIApplication, *, kill: Callable[[], None]) -> None:
        super().__init__()
        self._app = app
        self._kill = kill

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        operation = _operation_of_a_function(environ)
        if not operation:
            return self._app(environ, start_response)
        try:
            fault = self.next(operation)
        except Killed:
            self.killed_at = None
            self._kill()
            raise _broken(environ) from None
        if fault is None:
            return self._app(environ, start_response)
        try:
            answer = fault(_request(environ), lambda: self._answer(environ))
        except ConnectionClosedError:
            raise _broken(environ) from None
        except ReadTimeoutError:
            # Wait until the client closes the connection, which happens at the client's own
            # timeout.
            select.select([environ["werkzeug.socket"]], [], [])
            raise _broken(environ) from None
        status = HTTPStatus(answer.status_code)
        start_response(f"{status.value} {status.phrase}", list(answer.headers.items()))
        return [answer.content]

    def _answer(self, environ: WSGIEnvironment) -> AWSResponse:
        """S3's response after it has executed the request."""
        body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        return respond(
            _request(environ), int(status.split()[0]), b"".join(body), headers=dict(headers)
        )


def _operation_of_a_function(environ: WSGIEnvironment) -> str:
    """The S3 operation that a function sent, otherwise empty. (Only functions have sessions.)"""
    request = read_request(environ)
    if request.service != "s3" or "x-amz-security-token" not in request.headers:
        return ""
    try:
        return read_s3_call(request).operation
    except Refused:
        return ""


def _request(environ: WSGIEnvironment) -> AWSRequest:
    return AWSRequest(method=environ["REQUEST_METHOD"], url=environ["RAW_URI"])


def _broken(environ: WSGIEnvironment) -> ConnectionError:
    """Break the connection. Return the error that makes the server break it."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return ConnectionAbortedError()
