"""Faults on demand: what can happen to a request to S3, and when it does.

wire.fail("CopyObject", slow_down, None, dropped_after)   # the first and the third one
wire.plan(for_a_while(20, slow_down))                     # the next 20 requests
wire.plan(by_chance(Random(7), 0.1, FAULTS))              # one in ten, the same ones every time
wire.kill_after(3)                                        # the process dies, and sends no more

`Wire` applies them to a client in this process, `ServedFaults` to the functions of a local cloud.
"""

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from io import BytesIO
from itertools import count
from random import Random
from typing import Any, TypeVar

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

F = TypeVar("F")

Fault = Callable[[Any, Callable[[], AWSResponse]], AWSResponse]
"""Called with the request and a function that lets S3 execute it; responds instead of S3, or
raises.
"""

Plan = Callable[[str], F | None]
"""Called with the operation of each request; returns what happens to it (None: nothing)."""


class Killed(BaseException):
    """The process is dead: nothing that would have come after this happens."""


class Faults:
    """The faults planned for requests. `sent` are their operations, in order.

    `before_each` is called with the operation before each request.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.killed_at: int | None = None
        self.before_each: Callable[[str], None] | None = None
        self._faults: dict[str, list[Fault | None]] = defaultdict(list)
        self._plans: list[Plan[Fault]] = []
        self._lock = threading.Lock()

    def fail(self, operation: str, *faults: Fault | None) -> None:
        """Apply these faults to the next requests of `operation`; None lets one pass."""
        self._faults[operation] += faults

    def plan(self, plan: Plan[Fault]) -> None:
        """Also consult `plan` for every request from now on."""
        self._plans.append(plan)

    def kill_after(self, requests: int) -> None:
        """Let this many more requests pass; then the process dies, and sends nothing more."""
        self.killed_at = len(self.sent) + requests

    def mend(self) -> None:
        """End all faults, and restart what was killed."""
        self._faults.clear()
        self._plans.clear()
        self.killed_at = None

    def next(self, operation: str) -> Fault | None:
        """What happens to the request that is sent now. Raises Killed."""
        with self._lock:
            if self.killed_at is not None and len(self.sent) >= self.killed_at:
                raise Killed
            self.sent.append(operation)
            fault = self._fault(operation)
        if self.before_each is not None:
            self.before_each(operation)
        return fault

    def _fault(self, operation: str) -> Fault | None:
        if self._faults[operation]:
            return self._faults[operation].pop(0)
        planned = [plan(operation) for plan in self._plans]
        return next((fault for fault in planned if fault), None)


# Plans


def at(number: int, *faults: F) -> Plan[F]:
    """Faults for the requests from `number` on (1 is the next request)."""
    numbers = count(1)

    def plan(_: str) -> F | None:
        behind = next(numbers) - number
        return faults[behind] if 0 <= behind < len(faults) else None

    return plan


def for_a_while(requests: int, fault: F) -> Plan[F]:
    """The same fault for this many requests in a row."""
    return at(1, *[fault] * requests)


def every(operation: str, fault: F) -> Plan[F]:
    """The same fault for each request of this operation."""
    return lambda requested: fault if requested == operation else None


def by_chance(random: Random, probability: float, faults: Sequence[F]) -> Plan[F]:
    """One of `faults` for each request, with this probability; seeded, so always the same ones."""
    return lambda _: random.choice(faults) if random.random() < probability else None


def time_for(parts: int) -> Callable[[], float]:
    """The seconds left in an invocation whose time is up when this many parts have been started."""
    left = iter([math.inf] * parts)
    return lambda: next(left, 0.0)


# Faults


def answers(status: int, code: str = "") -> Fault:
    """S3 refuses: nothing was done. With `status` 200, the error is in the body of a success."""

    def fault(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
        return _error(request, status, code) if _can_say(request, status) else do_it()

    return fault


def does_it_and_answers(status: int, code: str = "InternalError") -> Fault:
    """S3 executes the request, but the response reports a failure."""

    def fault(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
        answer = do_it()
        return _error(request, status, code) if _can_say(request, status) else answer

    return fault


def never_answers(request: Any, _: Callable[[], AWSResponse]) -> AWSResponse:
    """The request is lost on the way, and the client times out."""
    raise ReadTimeoutError(endpoint_url=request.url)


def does_it_and_is_silent(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
    """S3 executes the request, but so slowly that the client times out."""
    do_it()
    raise ReadTimeoutError(endpoint_url=request.url)


def dropped_before(request: Any, _: Callable[[], AWSResponse]) -> AWSResponse:
    """The connection breaks before S3 has received the request."""
    raise ConnectionClosedError(endpoint_url=request.url, request=request)


def dropped_after(request: Any, do_it: Callable[[], AWSResponse]) -> AWSResponse:
    """S3 executes the request, and the connection breaks before the response arrives."""
    do_it()
    raise ConnectionClosedError(endpoint_url=request.url, request=request)


slow_down = answers(503, "SlowDown")
"""S3's response while it scales."""

not_implemented = answers(501, "NotImplemented")
"""S3's possible response to a CopyObject into a bucket whose policy requires conditional writes."""

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
"""Every fault that a request can meet, by name."""


def _can_say(request: Any, status: int) -> bool:
    """Only a response with a body can begin as a success and end as an error."""
    return status != HTTPStatus.OK or request.method in {"PUT", "POST"}


def respond(
    request: Any, status: int, body: bytes, *, headers: Mapping[str, str] | None = None
) -> AWSResponse:
    """Create a response to the request."""
    return AWSResponse(request.url, status, HTTPHeaders.from_dict(headers or {}), _Raw(body))


def _error(request: Any, status: int, code: str) -> AWSResponse:
    # The response to a HEAD never has a body.
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return respond(request, status, b"" if request.method == "HEAD" else body.encode())


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()
