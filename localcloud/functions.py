"""Lambda's asynchronous side: an event is queued, run in a container, retried, at last dropped."""

import json
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from localcloud.authorization import Credentials
from localcloud.container import Configuration, Container

REGION = "us-east-1"
LAMBDA_RETRY_DELAYS = (60.0, 120.0)
"""Seconds that Lambda waits before the second and before the third attempt of an event."""
NEW_ACCOUNT_CONCURRENCY = 10
WARM_FOR = 1800.0
"""Seconds: a container's credentials last an hour, and its last run a quarter of one at most."""


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
        self._retry_delays = retry_delays
        self._free_containers = threading.Semaphore(concurrency)
        self._on_log = on_log
        self._on_result = on_result
        self._closing = threading.Event()
        self._telling = threading.RLock()
        self._lock = threading.Lock()
        self._quiet = threading.Condition()
        self._unfinished: set[threading.Thread] = set()
        self._containers: set[Container] = set()
        self._idle: list[Container] = []
        self._bundles = tempfile.TemporaryDirectory(prefix="bundles-")

    def deliver(self, function_arn: str, event: Any) -> None:
        """Take an event for a function and return at once; the function runs later, or never."""
        thread = threading.Thread(target=self._see_through, args=(function_arn, event))
        with self._quiet:
            if self._closing.is_set():
                return
            self._unfinished.add(thread)
        thread.start()

    def invoke(self, function: str, payload: Any) -> Any:
        """What the function, named by name or ARN, returns for this payload.

        Raises FunctionError if it fails or runs into its timeout; nothing is retried.
        """
        result = self._run(function, payload, attempt=1)
        if result.error:
            raise FunctionError(result.error)
        return result.payload

    def wait_until_quiet(self, timeout: float) -> None:
        """Return when no event is queued, running or waiting for a retry; `timeout` in seconds.

        By then every log line and result of those events has been told. Raises TimeoutError.
        """
        with self._quiet:
            if not self._quiet.wait_for(lambda: not self._unfinished, timeout):
                number = len(self._unfinished)
                raise TimeoutError(f"{number} event(s) are not finished after {timeout} s")

    def kill(self) -> None:
        """Kill every process that runs a function now: Lambda never says that it will not."""
        with self._lock:
            running = self._containers.difference(self._idle)
        for container in running:
            container.end()

    def close(self) -> None:
        """Kill what runs, forget what waits, and leave no process or file behind."""
        with self._quiet:
            self._closing.set()
            unfinished = set(self._unfinished)
        with self._lock:
            containers = set(self._containers)
        for container in containers:
            container.end()
        for thread in unfinished:
            thread.join()
        self._bundles.cleanup()

    def _see_through(self, function_arn: str, event: Any) -> None:
        try:
            for attempt, delay in enumerate((0.0, *self._retry_delays), start=1):
                self._closing.wait(delay)
                with self._free_containers:
                    if self._closing.is_set():
                        return
                    result = self._run(function_arn, event, attempt=attempt)
                if result.error is None:
                    return
            self._tell_log(f"{result.function}: event dropped after {attempt} attempts")
        except UnknownFunctionException as error:
            self._tell_log(f"event dropped: {error.message}")
        finally:
            with self._quiet:
                self._unfinished.remove(threading.current_thread())
                self._quiet.notify_all()

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
        oldest = time.monotonic() - WARM_FOR
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
            container = Container(configuration, bundle, credentials, on_line=self._tell_log)
            self._containers.add(container)
        if self._closing.is_set():
            container.end()
        return container

    def _tell_log(self, line: str) -> None:
        with self._telling:
            self.logs.append(line)
            if self._on_log:
                self._on_log(line)

    def _tell_result(self, result: Result) -> None:
        with self._telling:
            self.results.append(result)
            if self._on_result:
                self._on_result(result)


@contextmanager
def serving_invoke(functions: Functions) -> Iterator[None]:
    """Let the Lambda API's Invoke run `functions`; moto itself would ask docker to."""

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
        except FunctionError as error:
            response_headers["X-Amz-Function-Error"] = "Unhandled"
            return json.dumps(error.args[0]).encode()

    with mock.patch.object(LambdaFunction, "invoke", invoke):
        yield


def _look_up(function: str) -> tuple[Configuration, bytes]:
    found = lambda_backends[DEFAULT_ACCOUNT_ID][REGION].get_function(function)
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
