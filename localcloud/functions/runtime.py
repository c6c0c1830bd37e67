"""The process in a Lambda container: runs one function of a bundle, one invocation at a time.

Started as `python -I -S runtime.py BUNDLE_DIR LAYERS_DIR HANDLER`: without site-packages and
PYTHON* variables, so that the bundle runs with only itself, its layers and the standard library.

Each line of stdin is an invocation, each line of stdout the reply to it:

    {"request_id": "7f...", "event": {...}, "deadline": 1795000000.5,
     "function": {"name": "promote", "arn": "arn:...", "memory_mb": 256},
     "clock": {"ahead": 0.0, "speed": 1.0, "since": 1795000000.0, "standing": null}}
    {"result": ...}  or  {"error": {"errorMessage": "...", "errorType": "...", "stackTrace": [...]}}

The very first reply, `{"ready": true}`, means that the bundle has been imported.

Everything that the function prints to stdout or stderr goes to the container's stderr: its log.

`time.time`, `time.time_ns`, `datetime.now` and `datetime.utcnow` return the time of the cloud's
clock, as it was set when the invocation began. No other function does (`date.today`,
`time.localtime`); waits, timeouts and `deadline` use this machine's clock.
"""

import datetime as dt
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_machine_time = time.time
_MachineDatetime = dt.datetime


def main(bundle: str, layers: str, handler_name: str) -> None:
    """Handle invocations until stdin ends. The process fails if the bundle cannot be imported."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    clock = CloudClock()
    replace_time_with(clock)
    # As in Lambda: https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    of_layers = [f"{layers}/python/lib/{version}/site-packages", f"{layers}/python"]
    sys.path[0:0] = [bundle, *filter(os.path.isdir, of_layers)]
    module, _, name = handler_name.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    print(json.dumps({"ready": True}), file=replies, flush=True)

    for line in sys.stdin:
        invocation = json.loads(line)
        vars(clock).update(invocation["clock"])
        reply = answer(handler, invocation)
        sys.stdout.flush()
        print(end_of_log(invocation["request_id"]), file=sys.stderr, flush=True)
        print(reply, file=replies, flush=True)


def answer(handler: Callable[[Any, "Context"], Any], invocation: dict[str, Any]) -> str:
    """The reply to an invocation, as a line of JSON. Never raises."""
    context = Context(
        aws_request_id=invocation["request_id"],
        function_name=invocation["function"]["name"],
        invoked_function_arn=invocation["function"]["arn"],
        memory_limit_in_mb=str(invocation["function"]["memory_mb"]),
        deadline=invocation["deadline"],
    )
    try:
        return json.dumps({"result": handler(invocation["event"], context)})
    except Exception as error:  # noqa: BLE001 - any exception becomes the reply
        traceback.print_exc()
        return json.dumps(
            {
                "error": {
                    "errorMessage": str(error),
                    "errorType": type(error).__name__,
                    "requestId": context.aws_request_id,
                    "stackTrace": traceback.format_tb(error.__traceback__),
                }
            }
        )


@dataclass(frozen=True, kw_only=True)
class Context:
    """The context that a handler gets; names and types are Lambda's."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    deadline: float
    """Seconds since 1970 at which the invocation is killed."""
    function_version: str = "$LATEST"
    log_stream_name: str = "local"
    client_context: None = None
    identity: None = None

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is killed; never negative."""
        return max(0, int((self.deadline - _machine_time()) * 1000))


@dataclass
class CloudClock:
    """The local cloud's clock, as it was set when an invocation began."""

    ahead: float = 0.0
    """How many seconds a running clock was ahead of this machine's, at `since`."""
    speed: float = 1.0
    """Seconds that pass in a second of this machine's clock."""
    since: float = 0.0
    """When it began to run at this speed: seconds since 1970, by this machine's clock."""
    standing: float | None = None
    """Seconds since 1970 at which the clock stands still; None while it runs."""

    def time(self) -> float:
        if self.standing is not None:
            return self.standing
        machine = _machine_time()
        return machine + self.ahead + (machine - self.since) * (self.speed - 1)


def replace_time_with(clock: CloudClock) -> None:
    """Make this process use the time of `clock`. Must be called before the bundle is imported."""

    class AnyDatetime(type):
        # C code still creates objects of the original class.
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, _MachineDatetime)

    class CloudDatetime(_MachineDatetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "CloudDatetime":
            return cls.fromtimestamp(clock.time(), tz)

        @classmethod
        def utcnow(cls) -> "CloudDatetime":
            return cls.now(dt.UTC).replace(tzinfo=None)

    dt.datetime = CloudDatetime  # type: ignore[misc]
    time.time = clock.time
    time.time_ns = lambda: int(clock.time() * 1e9)


def end_of_log(request_id: str) -> str:
    """The line after the last log line of an invocation, as Lambda writes it."""
    return f"END RequestId: {request_id}"


if __name__ == "__main__":
    main(*sys.argv[1:])
