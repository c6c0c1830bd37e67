"""Stands between a client and S3: notes each request, and does to it what a test asks for."""

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.models import botocore_stubber

# A fault is given the request and a way to let S3 do it; it answers or raises.
Fault = Callable[[Any, Callable[[], AWSResponse]], AWSResponse]


class Killed(BaseException):
    """The process is gone: nothing that would have come after this happens."""


@dataclass
class Wire:
    """The wire of `client`. `calls` are the operations with their parameters, in order."""

    client: Any
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    faults: dict[str, list[Fault | None]] = field(default_factory=lambda: defaultdict(list))
    killed_at: int | None = None
    before_each: Callable[[str], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        events = self.client.meta.events
        events.register("provide-client-params.s3", self._note)
        # In moto's place, not before it: botocore asks every handler, also after an answer.
        events.unregister("before-send", botocore_stubber)
        events.register("before-send.s3", self._send)

    def fail(self, operation: str, *faults: Fault | None) -> None:
        """Do this to the next requests of `operation`; None lets one pass."""
        self.faults[operation] += faults

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        with self._lock:
            self.calls.append((model.name, dict(params)))

    def _send(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.rsplit(".", 1)[-1]
        with self._lock:
            if self.killed_at is not None and len(self.sent) >= self.killed_at:
                raise Killed
            self.sent.append(operation)
            fault = self.faults[operation].pop(0) if self.faults[operation] else None
        if self.before_each is not None:
            self.before_each(operation)

        def do_it() -> AWSResponse:
            return botocore_stubber(event_name, request)

        return fault(request, do_it) if fault else do_it()


def answers(status: int, code: str = "") -> Fault:
    """S3 refuses: nothing was done."""
    return lambda request, _: _error(request, status, code)


def does_it_and_answers(status: int, code: str = "InternalError") -> Fault:
    """S3 does it, and the answer says that it failed."""

    def fault(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
        do_it()
        return _error(request, status, code)

    return fault


def does_it_and_is_silent(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
    """S3 does it, and the answer never comes."""
    do_it()
    raise ReadTimeoutError(endpoint_url=request.url)


def never_answers(request: Any, _: Callable[[], AWSResponse]) -> AWSResponse:
    """The request is lost on the way."""
    raise ReadTimeoutError(endpoint_url=request.url)


def respond(request: Any, status: int, body: str) -> AWSResponse:
    """An answer that S3 never gave."""
    return AWSResponse(request.url, status, {}, _Raw(body.encode()))


def _error(request: Any, status: int, code: str) -> AWSResponse:
    # The answer to a HEAD has no body, whatever went wrong.
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return respond(request, status, "" if request.method == "HEAD" else body)


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()
