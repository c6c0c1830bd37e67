"""A Lambda container: a process that serves one function, one invocation at a time."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from localcloud.clock import clock
from localcloud.functions.runtime import end_of_log
from localcloud.iam.authorization import Credentials

_RUNTIME = Path(__file__).with_name("runtime.py")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A function's configuration when it was looked up; a container serves exactly one."""

    name: str
    arn: str
    region: str
    handler: str
    role: str
    memory_mb: int
    timeout: float
    """Seconds."""
    code_sha256: str
    layers: tuple[str, ...]
    """The ARNs of their versions; a later layer overwrites files of an earlier one."""
    environment: tuple[tuple[str, str], ...]


class Container:
    """Starts the process at once; `on_line` gets each line that the function prints.

    Modules are imported from `bundle`, the function's code, and from `layers`, which Lambda unpacks
    in /opt, but not this cloud.
    """

    def __init__(
        self,
        configuration: Configuration,
        bundle: Path,
        layers: Path,
        credentials: Credentials,
        *,
        on_line: Callable[[str], None],
    ) -> None:
        self.configuration = configuration
        self.began = clock.now()
        self._on_line = on_line
        self._ready = False
        self._timed_out = False
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(_RUNTIME),
                str(bundle),
                str(layers),
                configuration.handler,
            ],
            cwd=bundle,
            env=environment(configuration, bundle, credentials),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # A separate process group: Ctrl-C only reaches the cloud, which then ends its
            # containers, and a function is killed together with its child processes.
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._invocations = self._process.stdin
        self._replies = self._process.stdout
        self._log = self._process.stderr
        self._ends_of_log: SimpleQueue[str | None] = SimpleQueue()
        self._log_reader = threading.Thread(target=self._pass_log_on)
        self._log_reader.start()
        self._in_use = threading.RLock()

    @property
    def alive(self) -> bool:
        """Whether it can take another invocation."""
        return self._process.poll() is None

    def invoke(self, event: Any) -> dict[str, Any]:
        """The reply, `{"result": ...}` or `{"error": Lambda's error document}`.

        The function's log lines have been passed on by then. A function that times out is killed
        together with its container. Startup has a separate timeout of the same length, because in
        Lambda it does not count towards the function's timeout.
        """
        request_id = str(uuid.uuid4())
        with self._in_use:
            if self.alive and not self._ready:
                self._ready = bool(self._read_reply())
            if self.alive and self._ready:
                self._write_invocation(request_id, event)
                reply = self._read_reply()
                if reply:
                    while self._ends_of_log.get() not in (end_of_log(request_id), None):
                        pass
                    return dict(json.loads(reply))
            self.end()
        return {"error": self._error_document(request_id)}

    def end(self) -> None:
        """Kill the process and its children, and return when its output has been passed on."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with self._in_use:
            self._process.wait()
            self._log_reader.join()
            for pipe in (self._invocations, self._replies, self._log):
                with suppress(BrokenPipeError):
                    pipe.close()

    def _write_invocation(self, request_id: str, event: Any) -> None:
        configuration = self.configuration
        invocation = {
            "request_id": request_id,
            "event": event,
            "deadline": time.time() + configuration.timeout,
            "clock": {
                "ahead": clock.ahead.total_seconds(),
                "speed": clock.speed,
                "since": clock.since.timestamp(),
                "standing": clock.standing.timestamp() if clock.standing else None,
            },
            "function": {
                "name": configuration.name,
                "arn": configuration.arn,
                "memory_mb": configuration.memory_mb,
            },
        }
        with suppress(BrokenPipeError):
            print(json.dumps(invocation), file=self._invocations, flush=True)

    def _read_reply(self) -> str:
        timer = threading.Timer(self.configuration.timeout, self._time_out)
        timer.start()
        try:
            line = self._replies.readline()
            if line.endswith("\n"):
                return line
            # The process is about to end by itself; its status explains why.
            self._process.wait()
            return ""
        finally:
            timer.cancel()
            timer.join()

    def _time_out(self) -> None:
        self._timed_out = True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _pass_log_on(self) -> None:
        for line in self._log:
            if line.startswith(end_of_log("")):
                self._ends_of_log.put(line.rstrip("\n"))
            else:
                self._on_line(line.rstrip("\n"))
        self._ends_of_log.put(None)

    def _error_document(self, request_id: str) -> dict[str, Any]:
        if self._timed_out:
            seconds = f"{self.configuration.timeout:.2f}"
            return {
                "errorType": "Sandbox.Timedout",
                "errorMessage": f"RequestId: {request_id} Error: "
                f"Task timed out after {seconds} seconds",
            }
        return {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {request_id} Error: "
            f"Runtime exited with status {self._process.returncode}",
        }


def environment(
    configuration: Configuration, bundle: Path, credentials: Credentials
) -> dict[str, str]:
    """The environment variables of a function: nothing from this machine."""
    return {
        **dict(configuration.environment),
        "AWS_REGION": configuration.region,
        "AWS_DEFAULT_REGION": configuration.region,
        "AWS_LAMBDA_FUNCTION_NAME": configuration.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration.memory_mb),
        "LAMBDA_TASK_ROOT": str(bundle),
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token or "",
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        # Without these, botocore would look for this user's files and for an instance's role.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
