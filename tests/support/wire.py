"""Faults between a client in this process and S3: `wire = Wire(s3)` takes moto's place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from moto.core.models import botocore_stubber

from tests.support.faults import Fault, Faults


class Wire(Faults):
    """The wire of `client`. `calls` are the operations with their parameters, in order.

    A call that botocore retries counts as one call, and as several requests.
    """

    def __init__(self, client: Any) -> None:
        super().__init__()
        self.client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._announced: list[Fault | None] = []
        events = client.meta.events
        events.register("provide-client-params.s3", self._note)
        # In moto's place, not before it: botocore calls every handler, even after one has
        # responded.
        events.unregister("before-send", botocore_stubber)
        events.register("before-send.s3", self._send)

    def names(self) -> list[str]:
        """The operations that were called."""
        return [name for name, _ in self.calls]

    def announce(self, operation: str) -> bool:
        """Execute what is planned before the next request; return whether it will meet a fault."""
        self._announced = [self.next(operation)]
        return self._announced != [None]

    def withdraw(self) -> None:
        """The request that was announced is not sent after all."""
        self._announced = []

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        with self._lock:
            self.calls.append((model.name, dict(params)))

    def _send(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        def do_it() -> AWSResponse:
            answer = botocore_stubber(event_name, request)
            if answer is None:
                raise RuntimeError("Nothing answers in S3's place; make the Wire inside mock_aws()")
            return answer

        operation = event_name.rsplit(".", 1)[-1]
        fault = self._announced.pop() if self._announced else self.next(operation)
        return fault(request, do_it) if fault else do_it()


@contextmanager
def retries_at_once() -> Iterator[None]:
    """Within the block, botocore retries without waiting.

    It retries as often as it is configured to: its retry quota, which would carry over from one
    test to the next, is not used.
    """
    with (
        patch("botocore.endpoint.time.sleep"),
        patch("botocore.retries.quota.RetryQuota.acquire", return_value=True),
    ):
        yield
