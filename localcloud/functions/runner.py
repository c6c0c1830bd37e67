"""Runs the functions of moto's Lambda in containers: at once, or from the queue of events."""

import json
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction

from localcloud.clock import clock
from localcloud.functions.container import Configuration, Container
from localcloud.functions.event_queue import (
    LAMBDA_RETRY_DELAYS,
    NEW_ACCOUNT_CONCURRENCY,
    EventQueue,
    QueuedEvent,
    Throttled,
)
from localcloud.functions.lambda_functions import find_function
from localcloud.iam.authorization import Credentials

WARM_FOR = timedelta(minutes=30)
"""A container's credentials last an hour, and its last run a quarter of an hour at most."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one attempt: `payload` is what the function returned, unless `error`."""

    function: str
    event: Any
    attempt: int
    """1 for the first."""
    payload: Any = None
    error: dict[str, Any] | None = None
    """Lambda's error document: errorMessage, errorType and, of an exception, stackTrace."""


class FunctionError(Exception):
    """A function that was invoked synchronously has failed; says its error."""


class Functions:
    """Runs the functions of moto's Lambda as Lambda does, each in a process of its own.

    `role_credentials` gives the credentials of a role by its ARN. `on_log` is called with each
    line that a function prints, `on_result` with each attempt's result; never two at once.
    """

    def __init__(
        self,
        *,
        role_credentials: Callable[[str], Credentials],
        retry_delays: tuple[float, ...] = LAMBDA_RETRY_DELAYS,
        concurrency: int = NEW_ACCOUNT_CONCURRENCY,
        on_log: Callable[[str], None] | None = None,
        on_result: Callable[[Result], None] | None = None,
    ) -> None:
        self.logs: list[str] = []
        self.results: list[Result] = []
        self._role_credentials = role_credentials
        self._on_log = on_log
        self._on_result = on_result
        self._closing = threading.Event()
        self._telling = threading.RLock()
        self._lock = threading.Lock()
        self._containers: set[Container] = set()
        self._idle: list[Container] = []
        self._bundles = tempfile.TemporaryDirectory(prefix="bundles-")
        self._queue = EventQueue(
            run=self._run_queued,
            tell=self.tell_log,
            retry_delays=retry_delays,
            concurrency=concurrency,
        )

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many events were dropped, by the name of their function."""
        return self._queue.dropped

    def deliver(self, function_arn: str, event: Any) -> None:
        """Take an event for a function and return at once; the function runs later, or never."""
        self._queue.put(function_arn, event)

    def invoke(self, function: str, payload: Any) -> Any:
        """What the function, named by name or ARN, returns for this payload.

        Raises FunctionError if it fails or runs into its timeout, and Throttled if it has no
        concurrency left; nothing is retried.
        """
        with self._queue.concurrency_for(find_function(function).function_arn):
            result = self._run(function, payload, attempt=1)
        if result.error:
            raise FunctionError(result.error)
        return result.payload

    def look_again(self) -> None:
        """Heed that the clock was moved or a function's concurrency changed."""
        self._queue.wake()

    def wait_until_quiet(self, timeout: float) -> None:
        """Return when no event is queued, running or waiting for a retry; `timeout` in seconds.

        By then every log line and result of those events has been told. Raises TimeoutError.
        """
        self._queue.wait_until_quiet(timeout)

    def wait_until_stalled(self, timeout: float) -> None:
        """Return when nothing runs, and what is queued waits for the clock or for concurrency.

        By then every log line and result has been told. Raises TimeoutError.
        """
        self._queue.wait_until_stalled(timeout)

    def kill(self) -> None:
        """Kill every process that runs a function now: Lambda never says that it will not."""
        with self._lock:
            running = self._containers.difference(self._idle)
        for container in running:
            container.end()

    @contextmanager
    def taking_events(self) -> Iterator[None]:
        """Run events until the block ends.

        Then kill what runs, forget what waits, and leave no process, thread or file behind.
        """
        self._queue.start()
        try:
            yield
        finally:
            self._closing.set()
            self._queue.close()
            with self._lock:
                containers = set(self._containers)
            for container in containers:
                container.end()
            self._queue.join()
            self._bundles.cleanup()

    def _run_queued(self, event: QueuedEvent) -> bool:
        result = self._run(event.function_arn, event.payload, attempt=event.attempt)
        return result.error is None

    def _run(self, function: str, event: Any, *, attempt: int) -> Result:
        configuration, code = _look_up(function)
        container = self._take_warm(configuration) or self._start(configuration, code)
        reply = container.invoke(event)
        with self._lock:
            if container.alive:
                self._idle.append(container)
            else:
                self._containers.discard(container)
        result = Result(
            function=configuration.name,
            event=event,
            attempt=attempt,
            payload=reply.get("result"),
            error=reply.get("error"),
        )
        if not self._closing.is_set():
            self._tell_result(result)
        return result

    def _take_warm(self, configuration: Configuration) -> Container | None:
        oldest = clock.now() - WARM_FOR
        with self._lock:
            idle = [c for c in self._idle if c.configuration.arn == configuration.arn]
            warm = [c for c in idle if c.configuration == configuration and c.began > oldest]
            taken = warm[-1] if warm else None
            cold = set(idle) - set(warm)
            self._idle = [c for c in self._idle if c is not taken and c not in cold]
            self._containers -= cold
        for container in cold:
            container.end()
        return taken

    def _start(self, configuration: Configuration, code: bytes) -> Container:
        credentials = self._role_credentials(configuration.role)
        bundle = Path(self._bundles.name, configuration.code_sha256)
        with self._lock:
            if not bundle.exists():
                zipfile.ZipFile(BytesIO(code)).extractall(bundle)
            container = Container(configuration, bundle, credentials, on_line=self.tell_log)
            self._containers.add(container)
        if self._closing.is_set():
            container.end()
        return container

    def tell_log(self, line: str) -> None:
        """Add a line to what was printed."""
        with self._telling:
            self.logs.append(line)
            if self._on_log:
                self._on_log(line)

    def _tell_result(self, result: Result) -> None:
        with self._telling:
            self.results.append(result)
            if self._on_result:
                self._on_result(result)


class _TooManyRequests(LambdaClientError):
    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


@contextmanager
def serving_invoke(functions: Functions) -> Iterator[None]:
    """Let the Lambda API's Invoke run `functions`, which moto itself would ask docker to.

    They heed it when the API changes a function's concurrency, or somebody the cloud's clock.
    """

    def invoke(
        function: LambdaFunction, body: str, headers: Any, response_headers: dict[str, str]
    ) -> bytes:
        payload = json.loads(body or "{}")
        match headers.get("X-Amz-Invocation-Type", "RequestResponse"):
            case "Event":
                functions.deliver(function.function_arn, payload)
                return b""
            case "DryRun":
                return b""
        try:
            return json.dumps(functions.invoke(function.function_arn, payload)).encode()
        except Throttled:
            raise _TooManyRequests from None
        except FunctionError as error:
            response_headers["X-Amz-Function-Error"] = "Unhandled"
            return json.dumps(error.args[0]).encode()

    def heeded(change: Callable[..., Any]) -> Callable[..., Any]:
        def change_and_look_again(*arguments: Any) -> Any:
            answer = change(*arguments)
            functions.look_again()
            return answer

        return change_and_look_again

    with (
        mock.patch.object(LambdaFunction, "invoke", invoke),
        mock.patch.multiple(
            LambdaBackend,
            put_function_concurrency=heeded(LambdaBackend.put_function_concurrency),
            delete_function_concurrency=heeded(LambdaBackend.delete_function_concurrency),
        ),
        clock.telling(functions.look_again),
    ):
        yield


def _look_up(function: str) -> tuple[Configuration, bytes]:
    found = find_function(function)
    configuration = Configuration(
        name=found.function_name,
        arn=found.function_arn,
        region=found.region,
        handler=str(found.handler),
        role=found.role,
        memory_mb=int(found.memory_size),
        timeout=float(found.timeout),
        code_sha256=found.code_digest,
        environment=tuple(sorted(found.environment_vars.items())),
    )
    return configuration, found.code_bytes
