"""Faults on demand: stands between a client and S3, and does to each request what you ask for.

wire = Wire(s3)
wire.fail("CopyObject", slow_down, None, lost_after)   # the first and the third one
wire.plan(for_a_while(20, slow_down))                  # whatever the next 20 are
wire.plan(by_chance(Random(7), 0.1, EVERY_FAULT))      # one in ten, the same ones every time
wire.kill_after(3)                                     # the process dies, and sends no more
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from itertools import count
from random import Random
from typing import Any
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from moto.core.models import botocore_stubber

Fault = Callable[[Any, Callable[[], AWSResponse]], AWSResponse]
"""Called with the request and a way to let S3 do it; it answers in S3's place, or raises."""

Plan = Callable[[str], Fault | None]
"""Called with the operation of each request: what happens to it (None: nothing)."""


class Killed(BaseException):
    """The process is gone: nothing that would have come after this happens."""


@dataclass
class Wire:
    """The wire of `client`. `calls` are the operations with their parameters, in order.

    `sent` are the operations of the requests, of which a call that botocore repeats has several.
    `before_each` is called with the operation before each request.
    """

    client: Any
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    faults: dict[str, list[Fault | None]] = field(default_factory=lambda: defaultdict(list))
    plans: list[Plan] = field(default_factory=list)
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

    def plan(self, plan: Plan) -> None:
        """Ask `plan`, too, about every request from now on."""
        self.plans.append(plan)

    def kill_after(self, requests: int) -> None:
        """Let so many more requests pass; then the process dies, and sends none, not to tidy up."""
        self.killed_at = len(self.sent) + requests

    def mend(self) -> None:
        """End all faults, and what was killed starts anew."""
        self.faults.clear()
        self.plans.clear()
        self.killed_at = None

    def names(self) -> list[str]:
        """The operations that were called."""
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
            fault = self._fault(operation)
        if self.before_each is not None:
            self.before_each(operation)

        def do_it() -> AWSResponse:
            answer = botocore_stubber(event_name, request)
            if answer is None:
                raise RuntimeError("Nothing answers in S3's place; make the Wire inside mock_aws()")
            return answer

        return fault(request, do_it) if fault else do_it()

    def _fault(self, operation: str) -> Fault | None:
        if self.faults[operation]:
            return self.faults[operation].pop(0)
        planned = [plan(operation) for plan in self.plans]
        return next((fault for fault in planned if fault), None)


@contextmanager
def retries_at_once() -> Iterator[None]:
    """For as long as the block runs, botocore repeats a request without waiting before.

    And as often as it is configured to, whatever a client has repeated before: its quota would
    carry over from one test to the next.
    """
    with (
        patch("botocore.endpoint.time.sleep"),
        patch("botocore.retries.quota.RetryQuota.acquire", return_value=True),
    ):
        yield


# Plans


def at(number: int, *faults: Fault) -> Plan:
    """Faults for the requests from `number` on (1 is the next one), whatever they ask for."""
    numbers = count(1)

    def plan(_: str) -> Fault | None:
        behind = next(numbers) - number
        return faults[behind] if 0 <= behind < len(faults) else None

    return plan


def for_a_while(requests: int, fault: Fault) -> Plan:
    """The same fault for so many requests in a row."""
    return at(1, *[fault] * requests)


def by_chance(random: Random, probability: float, faults: Sequence[Fault]) -> Plan:
    """One of `faults` for each request, with this probability; seeded, so always the same ones."""
    return lambda _: random.choice(faults) if random.random() < probability else None


# Faults


def answers(status: int, code: str = "") -> Fault:
    """S3 refuses: nothing was done. A `status` of 200 is an error inside a success."""

    def fault(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
        return _error(request, status, code) if _can_say(request, status) else do_it()

    return fault


def does_it_and_answers(status: int, code: str = "InternalError") -> Fault:
    """S3 does it, and the answer says that it failed."""

    def fault(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
        answer = do_it()
        return _error(request, status, code) if _can_say(request, status) else answer

    return fault


def never_answers(request: Any, _: Callable[[], AWSResponse]) -> AWSResponse:
    """The request is lost on the way, and the client has waited long enough."""
    raise ReadTimeoutError(endpoint_url=request.url)


def does_it_and_is_silent(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
    """S3 does it, but so slowly that the client has waited long enough."""
    do_it()
    raise ReadTimeoutError(endpoint_url=request.url)


def dropped_before(request: Any, _: Callable[[], AWSResponse]) -> AWSResponse:
    """The connection breaks before S3 has the request."""
    raise ConnectionClosedError(endpoint_url=request.url, request=request)


def dropped_after(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
    """S3 does it, and the connection breaks before the answer is there."""
    do_it()
    raise ConnectionClosedError(endpoint_url=request.url, request=request)


slow_down = answers(503, "SlowDown")
"""What S3 says while it scales."""

EVERY_FAULT: dict[str, Fault] = {
    "500": answers(500, "InternalError"),
    "503": slow_down,
    "409": answers(409, "ConditionalRequestConflict"),
    "an error inside a 200": answers(200, "InternalError"),
    "no answer": never_answers,
    "a slow answer": does_it_and_is_silent,
    "dropped before the commit": dropped_before,
    "dropped after the commit": dropped_after,
    "500 after the commit": does_it_and_answers(500),
    "503 after the commit": does_it_and_answers(503, "SlowDown"),
    "an error inside a 200 after the commit": does_it_and_answers(200),
}
"""What one request can meet, by name."""


def _can_say(request: Any, status: int) -> bool:
    """Only an answer with a body can begin as a success and end as an error."""
    return status != HTTPStatus.OK or request.method in {"PUT", "POST"}


def respond(request: Any, status: int, body: str) -> AWSResponse:
    """An answer that S3 never gave."""
    return AWSResponse(request.url, status, HTTPHeaders(), _Raw(body.encode()))


def _error(request: Any, status: int, code: str) -> AWSResponse:
    # The answer to a HEAD has no body, whatever went wrong.
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return respond(request, status, "" if request.method == "HEAD" else body)


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()
