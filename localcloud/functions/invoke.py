"""The Lambda API's Invoke, which runs functions in the local cloud's own containers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction

from localcloud.clock import clock
from localcloud.functions.event_queue import Throttled
from localcloud.functions.runner import FunctionError, Functions, RoleRefused


class _TooManyRequests(LambdaClientError):
    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


class _AccessDenied(LambdaClientError):
    code = 403

    def __init__(self, message: str) -> None:
        super().__init__("AccessDeniedException", message)


@contextmanager
def serving_invoke(functions: Functions) -> Iterator[None]:
    """Make the Lambda API's Invoke run `functions` until the block ends; moto would use Docker.

    Queued events are checked again when the API changes a function's concurrency, and when the
    cloud's clock is moved.
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
        except RoleRefused as refused:
            raise _AccessDenied(str(refused)) from None
        except FunctionError as error:
            response_headers["X-Amz-Function-Error"] = "Unhandled"
            return json.dumps(error.args[0]).encode()

    def then_recheck(change: Callable[..., Any]) -> Callable[..., Any]:
        def change_and_recheck(*arguments: Any) -> Any:
            answer = change(*arguments)
            functions.recheck_queue()
            return answer

        return change_and_recheck

    with (
        mock.patch.object(LambdaFunction, "invoke", invoke),
        mock.patch.multiple(
            LambdaBackend,
            put_function_concurrency=then_recheck(LambdaBackend.put_function_concurrency),
            delete_function_concurrency=then_recheck(LambdaBackend.delete_function_concurrency),
        ),
        clock.telling(functions.recheck_queue),
    ):
        yield
