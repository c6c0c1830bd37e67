"""What the Lambda API says of functions and of the account, and moto does not know."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote

from moto.awslambda import urls
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse

_PATHS = (
    r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/recursion-config/?$",
    r"{0}/(?P<api_version>[^/]+)/account-settings/?$",
)


@contextmanager
def serving_settings(*, concurrency: int) -> Iterator[None]:
    """Let the Lambda API answer GetAccountSettings, and Get- and PutFunctionRecursionConfig.

    PutFunctionEventInvokeConfig replaces what there was. `concurrency` is how many functions of
    the account run at a time.
    """
    put_invoke_config = LambdaBackend.put_function_event_invoke_config

    def replace_invoke_config(
        self: LambdaBackend, function_name: str, config: dict[str, Any]
    ) -> dict[str, Any]:
        self.get_function(function_name).event_invoke_config.clear()
        return put_invoke_config(self, function_name, config)

    def get_account_settings(self: LambdaResponse) -> str:
        reserved = sum(
            int(function.reserved_concurrency or 0) for function in self.backend.list_functions()
        )
        limit = {
            "ConcurrentExecutions": concurrency,
            "UnreservedConcurrentExecutions": concurrency - reserved,
        }
        return json.dumps({"AccountLimit": limit})

    with (
        mock.patch.dict(urls.url_paths, dict.fromkeys(_PATHS, LambdaResponse.dispatch)),
        mock.patch.multiple(
            LambdaResponse,
            create=True,
            get_account_settings=get_account_settings,
            get_function_recursion_config=_get_recursion,
            put_function_recursion_config=_put_recursion,
        ),
        mock.patch.object(LambdaBackend, "put_function_event_invoke_config", replace_invoke_config),
    ):
        yield


def _get_recursion(self: LambdaResponse) -> str:
    return json.dumps({"RecursiveLoop": vars(_function(self)).get("recursive_loop", "Terminate")})


def _put_recursion(self: LambdaResponse) -> str:
    vars(_function(self))["recursive_loop"] = self._get_param("RecursiveLoop")
    return _get_recursion(self)


def _function(self: LambdaResponse) -> LambdaFunction:
    name = unquote(self.path.rstrip("/").split("/")[-2])
    return self.backend.get_function(name)
