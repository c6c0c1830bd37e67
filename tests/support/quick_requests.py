"""Speeds up how moto reads requests by caching values that it computes for each request.

moto builds a request to the S3 in this process with werkzeug's test client, which encodes and
decodes the URL several times. Here the WSGI environment is built directly.

Each local cloud builds applications of moto's services and compiles their routes. Here a
cloud reuses the applications of an earlier cloud if the routes and their functions are the same.
"""

import sys
from functools import cached_property, lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from wsgiref.types import WSGIEnvironment

import werkzeug.sansio.request
from moto import backends
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    Request,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from werkzeug.datastructures import EnvironHeaders

import localcloud.server
from tests.support.replacing import replace

build_request = Request.from_primitives.__func__
join_url = werkzeug.sansio.request.get_current_url
create_app = localcloud.server.create_backend_app
create_backends = BackendDict._create_account_specific_backend
apps: dict[tuple[Any, ...], Any] = {}
environ_key = lru_cache(maxsize=4096)(environ_key_for_header)


def read_quickly() -> None:
    """Install the faster functions in this process."""
    replace(Request, from_primitives=classmethod(request_of))
    replace(Request, raw_path=kept("raw_path"), raw_url=kept("raw_url"))
    # The URL of each request is joined several times, from parts that seldom differ.
    replace(werkzeug.sansio.request, get_current_url=lru_cache(maxsize=4096)(join_url))
    replace(EnvironHeaders, _get_key=lambda headers, name: headers.environ[environ_key(name)])
    # On each access to a backend, moto searches the backends of all services.
    replace(BackendDict, _create_account_specific_backend=create_missing_backends)
    replace(localcloud.server, create_backend_app=app_of)


def kept(name: str) -> Any:
    """Return a property of requests that is computed once for each request."""
    prop = cached_property(vars(Request)[name].fget)
    prop.__set_name__(Request, name)
    return prop


def app_of(service: str) -> Any:
    """Return the application of a service, created once for the same routes."""
    found = backends.get_backend(service)
    if not isinstance(found, BackendDict):
        return create_app(service)
    regions = found[DEFAULT_ACCOUNT_ID]
    backend = regions["us-east-1" if "us-east-1" in regions else "aws"]
    key = (service, *backend.flask_paths.items())
    if key not in apps:
        apps[key] = create_app(service)
    return apps[key]


def create_missing_backends(backends: BackendDict, account_id: str) -> None:
    if account_id not in backends:
        create_backends(backends, account_id)


def request_of(
    kind: type[Request], method: str, url: str, headers: Any, body: Any = None
) -> Request:
    """Return the request that moto builds from a botocore request within this process."""
    parts = urlsplit(url)
    if parts.path.startswith("//"):
        return build_request(kind, method, url, headers, body)  # which parses the path as a host
    environment = environment_of(method, parts, headers, body)
    port = {"http": "80", "https": "443"}[parts.scheme]
    name, _, own_port = parts.netloc.partition(":")
    environment |= {
        "REQUEST_URI": parts.path,
        "RAW_URI": parts.path,
        "SERVER_NAME": name,
        "SERVER_PORT": own_port or port,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
    }
    return kind(environment)


def environment_of(method: str, url: SplitResult, headers: Any, body: Any) -> WSGIEnvironment:
    """Return the WSGI environment of a request to any server."""
    content = body_of(body)
    environment: WSGIEnvironment = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": BytesIO(content),
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path).encode().decode("latin1"),
        "QUERY_STRING": url.query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
    }
    original_names: dict[str, str] = {}
    for name, value in headers.items():
        key = environ_key(name)
        if key == "HTTP_TRANSFER_ENCODING":
            continue
        if should_preserve_original_header_name(name):
            original_names[key] = name
        environment[key] = value.decode() if isinstance(value, bytes) else str(value)
    environment["CONTENT_LENGTH"] = str(len(content))
    environment[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = original_names
    return environment


def body_of(body: Any) -> bytes:
    content = body.read() if hasattr(body, "read") else body or b""
    return content.encode() if isinstance(content, str) else bytes(content)
