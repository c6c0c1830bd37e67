"""Runs the functions of moto's Lambda in containers: directly, or from the event queue."""

import hashlib
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from localcloud.clock import clock
from localcloud.functions.container import Configuration, Container
from localcloud.functions.event_queue import (
    LAMBDA_RETRY_DELAYS,
    NEW_ACCOUNT_CONCURRENCY,
    EventQueue,
    Measure,
    measure_nothing,
)
from localcloud.functions.lambda_functions import code_of_layer, find_function
from localcloud.functions.queued_event import QueuedEvent
from localcloud.iam.authorization import Credentials

CREDENTIALS_LAST = timedelta(hours=12)
"""The longest session that a role can have. AWS does not document how long Lambda's sessions
last.
"""
WARM_FOR = CREDENTIALS_LAST - timedelta(minutes=30)
"""A container is started for a run, which takes at most 15 minutes."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one attempt: `payload` is what the function returned, unless `error`."""

    function: str
    event: Any
    attempt: int
    """1 for the first attempt."""
    payload: Any = None
    error: dict[str, Any] | None = None
    """Lambda's error document: errorMessage, errorType and, for an exception, stackTrace."""


class FunctionError(Exception):
    """A function that was invoked synchronously has failed, with this error document."""


class RoleRefused(Exception):
    """A function cannot start: its role does not let Lambda assume it."""


class Functions:
    """Runs the functions of moto's Lambda as Lambda does, in separate processes.

    `role_credentials` returns the credentials of a role, by its ARN, or raises RoleRefused.
    `on_log` is called with each line that a function prints and `on_result` with each attempt's
    result, never concurrently. `measure` gets the values of CloudWatch's Errors, Throttles and
    AsyncEventsDropped.
    """

    def __init__(
        self,
        *,
        role_credentials: Callable[[str], Credentials],
        retry_delays: tuple[float, ...] = LAMBDA_RETRY_DELAYS,
        concurrency: int = NEW_ACCOUNT_CONCURRENCY,
        on_log: Callable[[str], None] | None = None,
        on_result: Callable[[Result], None] | None = None,
        measure: Measure = measure_nothing,
    ) -> None:
        self.logs: list[str] = []
        self.results: list[Result] = []
        self._role_credentials = role_credentials
        self._on_log = on_log
        self._on_result = on_result
        self._measure = measure
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
            measure=measure,
        )

    @property
    def dropped(self) -> Mapping[str, int]:
        """The number of dropped events, by function name."""
        return self._queue.dropped

    def throttled(self) -> Mapping[str, int]:
        """How many due events wait for concurrency now, by function name."""
        return self._queue.throttled()

    def deliver(self, function_arn: str, event: Any) -> None:
        """Queue an event for a function and return at once."""
        self._queue.put(function_arn, event)

    def invoke(self, function: str, payload: Any) -> Any:
        """What the function returns for this payload; `function` is a name or an ARN.

        Raises FunctionError if it fails or times out, Throttled if no concurrency is left for it,
        and RoleRefused if Lambda cannot assume its role; nothing is retried.
        """
        with self._queue.concurrency_for(find_function(function).function_arn):
            result = self._run(function, payload, attempt=1)
        if result.error:
            raise FunctionError(result.error)
        return result.payload

    def recheck_queue(self) -> None:
        """Check queued events again, after a change of the clock or of a function's concurrency."""
        self._queue.wake()

    def wait_until_quiet(self, timeout: float) -> None:
        """Return when no event is queued, running or waiting for a retry; `timeout` in seconds.

        All log lines and results of those events have been reported by then. Raises TimeoutError.
        """
        self._queue.wait_until_quiet(timeout)

    def wait_until_stalled(self, timeout: float) -> None:
        """Return when nothing runs, and queued events wait for the clock or for concurrency.

        All log lines and results have been reported by then. Raises TimeoutError.
        """
        self._queue.wait_until_stalled(timeout)

    def kill(self) -> None:
        """Kill every process that is running a function, as Lambda can at any time."""
        with self._lock:
            running = self._containers.difference(self._idle)
        for container in running:
            container.end()

    @contextmanager
    def taking_events(self) -> Iterator[None]:
        """Run queued events until the block ends.

        Then kill running functions, discard the queue, and leave no process, thread or file behind.
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
        try:
            result = self._run(event.function_arn, event.payload, attempt=event.attempt)
        except RoleRefused as refused:
            self.tell_log(f"{event.function_arn.rpartition(':')[2]}: {refused}")
            return False
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
            container = warm[-1] if warm else None
            cold = set(idle) - set(warm)
            self._idle = [c for c in self._idle if c is not container and c not in cold]
            self._containers -= cold
        for ended in cold:
            ended.end()
        return container

    def _start(self, configuration: Configuration, code: bytes) -> Container:
        credentials = self._role_credentials(configuration.role)
        with self._lock:
            container = Container(
                configuration,
                self._unpack(configuration.code_sha256, [code]),
                self._unpack(
                    _digest(configuration.layers), map(code_of_layer, configuration.layers)
                ),
                credentials,
                on_line=self.tell_log,
            )
            self._containers.add(container)
        if self._closing.is_set():
            container.end()
        return container

    def _unpack(self, name: str, archives: Iterable[bytes]) -> Path:
        """The folder with the files of all these archives, named after their contents."""
        folder = Path(self._bundles.name, name)
        if not folder.exists():
            folder.mkdir()
            for archive in archives:
                zipfile.ZipFile(BytesIO(archive)).extractall(folder)
        return folder

    def tell_log(self, line: str) -> None:
        """Add a line to the log."""
        with self._telling:
            self.logs.append(line)
            if self._on_log:
                self._on_log(line)

    def _tell_result(self, result: Result) -> None:
        self._measure("Errors", result.function, 1 if result.error else 0)
        with self._telling:
            self.results.append(result)
            if self._on_result:
                self._on_result(result)


def _digest(layers: tuple[str, ...]) -> str:
    """A name for a folder: the versions of layers do not change."""
    return hashlib.sha256("\n".join(layers).encode()).hexdigest()


def _look_up(function: str) -> tuple[Configuration, bytes]:
    current = find_function(function)
    configuration = Configuration(
        name=current.function_name,
        arn=current.function_arn,
        region=current.region,
        handler=str(current.handler),
        role=current.role,
        memory_mb=int(current.memory_size),
        timeout=float(current.timeout),
        code_sha256=current.code_digest,
        layers=tuple(layer["Arn"] for layer in current.layers),
        environment=tuple(sorted(current.environment_vars.items())),
    )
    return configuration, current.code_bytes
