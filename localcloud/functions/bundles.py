"""Serves functions' code at the addresses that GetFunction returns; moto's addresses are in AWS."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

_PATH = "/bundles/"


@contextmanager
def naming_bundles(endpoint: str) -> Iterator[None]:
    """Make GetFunction return an address at `endpoint`, until the block ends."""
    original = LambdaFunction.get_code

    def get_code(function: LambdaFunction) -> dict[str, Any]:
        answer = original(function)
        if function.package_type == "Zip":
            answer["Code"]["Location"] = f"{endpoint}{_PATH}{function.code_digest}"
        return answer

    with patch.object(LambdaFunction, "get_code", get_code):
        yield


class Bundles:
    """Serves those addresses without a signature, as AWS does, and passes the rest on to `app`."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(_PATH):
            return self._app(environ, start_response)
        for region in lambda_backends[DEFAULT_ACCOUNT_ID].values():
            for function in region.list_functions():
                if function.code_digest == path.removeprefix(_PATH):
                    start_response("200 OK", [("Content-Type", "application/zip")])
                    return [function.code_bytes]
        start_response("404 Not Found", [])
        return []
