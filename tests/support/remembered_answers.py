"""Caches the responses of a local cloud in this process to requests about its configuration.

One check sends about a hundred of these requests, and a weakening changes few of the responses.
These responses depend only on the state of the cloud, not on the time or the caller. Only responses
to the administrator are cached, and only a bucket policy can deny the administrator anything.

A stale response could hide a weakening. Four rules prevent that, or make the test fail:

- A response is valid until the next write to a service that it depends on. A response about a
  bucket is valid until the next write to that bucket. Every request goes through the
  cloud's application, including the requests of Chalice and of functions. A request counts as a
  write, both before and after it takes effect, unless it is a known read.
- A test that uses moto's backends directly could keep a reference to an object and change it later.
  So after such use nothing is cached until the next test. The same holds after the clock was moved,
  because then the cloud's own threads remove objects. Alarms change each minute, and are never
  cached.
- Every 20th cached response is compared with a fresh one, and the test fails if they differ.
- A stage is checked once more after the tests of its module, without the cache.
"""

import pickle
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from unittest.mock import patch
from urllib.parse import SplitResult, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.client import BaseClient
from moto.core.base_backend import BackendDict

import localcloud.cloud
from localcloud.clock import clock
from localcloud.cloud import ADMINISTRATOR
from localcloud.server import HOST

EACH = 20
# In a bucket policy, S3 shows a deleted principal as its unique ID.
DELETED = "deleted principals"
# The kinds of writes that make the responses of each service stale.
DEPENDS_ON = {
    "s3": ("s3", DELETED),
    "iam": ("iam",),
    "lambda": ("lambda",),
    "events": ("events",),
    "logs": ("logs",),
    "sns": ("sns",),
    "monitoring": (),
}
# The operations whose responses are cached, by the start of their names.
REMEMBERED = {
    "s3": ("GetBucket", "GetObjectLock", "GetPublicAccessBlock", "HeadBucket", "List"),
    "iam": ("Get", "List"),
    "lambda": ("Get", "List"),
    "events": ("Describe", "List"),
    "logs": ("Describe",),
    "sns": ("Get", "List"),
}
# Never cached: these report when a key was last used, which every request changes.
TELL_OF_USE = {"GetAccessKeyLastUsed", "GetCredentialReport", "GenerateCredentialReport"}
READS = re.compile(rb"Action=(Get|List)")
# The writes to IAM that never delete or rename a principal. Any other write could.
DELETES_NOBODY = re.compile(rb"Action=(Attach|Create|Detach|Put|UpdateAssumeRolePolicy)")
ANY_BUCKET = "any bucket"
EVERYTHING = (*DEPENDS_ON, DELETED, ANY_BUCKET)
Answer = tuple[Any, dict[str, Any]]


class RememberedAnswers:
    """The cached responses of the local cloud that runs in this process."""

    def __init__(self) -> None:
        self.reused = 0
        self.stale: list[str] = []
        """The operations whose cached response was stale."""
        self._is_on = False
        self._served = threading.local()
        self._writes: Counter[str] = Counter()
        self._answers: dict[tuple[Any, ...], tuple[list[int], Any, bytes]] = {}

    def begin(self) -> None:
        """Turn the cache on. Drop older responses if the cloud may have been changed directly."""
        if not self._is_on:
            self.forget()
        self._is_on = True

    def end(self) -> None:
        """Turn the cache off."""
        self._is_on = False

    def forget(self) -> None:
        self._answers.clear()

    @contextmanager
    def of_clouds(self) -> Iterator[None]:
        """Allow caching the responses of the clouds that start within the block."""
        serve, send, find = (
            localcloud.cloud.serving,
            BaseClient._make_request,
            BackendDict.__getitem__,
        )

        def serve_counted(listener: Any, app: WSGIApplication) -> Any:
            self.forget()
            return serve(listener, self._counting_writes(app))

        def make_request(client: BaseClient, model: Any, request: Any, context: Any) -> Answer:
            def ask() -> Answer:
                return send(client, model, request, context)

            return self._answer(client, model, request, ask)

        def find_backend(backends: BackendDict[Any], account: str) -> Any:
            is_main = threading.current_thread() is threading.main_thread()
            if is_main and not getattr(self._served, "request", False):
                self.end()
            return find(backends, account)

        with (
            patch.object(localcloud.cloud, "serving", serve_counted),
            patch.object(BaseClient, "_make_request", make_request),
            patch.object(BackendDict, "__getitem__", find_backend),
            clock.telling(self.end),
        ):
            yield

    def _answer(
        self, client: BaseClient, model: Any, request: Any, ask: Callable[[], Answer]
    ) -> Answer:
        service, operation = model.service_model.signing_name, model.name
        key_id = client._request_signer._credentials.access_key
        if (
            not self._is_on
            or key_id != ADMINISTRATOR.access_key_id
            or not operation.startswith(REMEMBERED.get(service, ("nothing",)))
            or operation in TELL_OF_USE
        ):
            return ask()
        headers = sorted((name, str(value)) for name, value in request["headers"].items())
        question = (operation, request["method"], request["url"], str(request["body"]), *headers)
        now = [self._writes[each] for each in depends_on(service, urlsplit(request["url"]))]
        written, http, content = self._answers.get(question, ([], None, b""))
        if written != now:
            http, parsed = ask()
            self._answers[question] = now, http, pickle.dumps(parsed)
            return http, parsed
        self.reused += 1
        if self.reused % EACH == 0:
            self._compare(operation, pickle.loads(content), ask()[1])
        return http, pickle.loads(content)

    def _compare(self, operation: str, *answers: dict[str, Any]) -> None:
        for answer in answers:
            answer.pop("ResponseMetadata")
        if answers[0] != answers[1]:
            self.stale.append(operation)

    def _counting_writes(self, app: WSGIApplication) -> WSGIApplication:
        def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            written = written_services(environ)
            self._served.request = True
            self._writes.update(written)
            try:
                return app(environ, start_response)
            finally:
                self._writes.update(written)
                self._served.request = False

        return serve


def depends_on(service: str, url: SplitResult) -> tuple[str, ...]:
    """Return the services or buckets whose writes invalidate the response."""
    if service == "s3" and (bucket := bucket_of(url.hostname, url.path)):
        return (bucket, ANY_BUCKET, DELETED)
    return DEPENDS_ON[service]


def bucket_of(host: str | None, path: str) -> str | None:
    """Return the bucket of a path-style S3 request, or None for any other request."""
    name = path.split("/")[1] if "/" in path else ""
    return f"bucket {name}" if name and host == HOST else None


def written_services(environ: WSGIEnvironment) -> tuple[str, ...]:
    """Return what a request can change. An unknown request counts as changing everything."""
    operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    posted = environ["wsgi.input"]
    body = posted.getvalue() if isinstance(posted, BytesIO) else b""
    if (
        environ["REQUEST_METHOD"] in {"GET", "HEAD"}
        or operation.startswith(("Describe", "Get", "List"))
        or READS.match(body)
    ):
        return ()
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("/aws4_request")[0]
    match scope.rpartition("/")[2]:
        case "s3":
            host = str(environ.get("HTTP_HOST", "")).partition(":")[0]
            return ("s3", bucket_of(host, environ["PATH_INFO"]) or ANY_BUCKET)
        case "iam":
            return ("iam",) if DELETES_NOBODY.match(body) else ("iam", DELETED)
        case service:
            return (service,) if service in DEPENDS_ON else EVERYTHING
