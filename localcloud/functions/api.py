"""What the Lambda API says of functions and of the account, and moto does not know."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote

from moto.awslambda import urls
from moto.awslambda.exceptions import GenericResourcNotFound
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse

_PATHS = (
    r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/recursion-config/?$",
    r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/urls/?$",
    r"{0}/(?P<api_version>[^/]+)/account-settings/?$",
)
# Of a function's configuration, with the value that takes each of them away.
_FORGOTTEN: dict[str, Any] = {
    "DeadLetterConfig": {"TargetArn": ""},
    "FileSystemConfigs": [],
    "KMSKeyArn": "",
    "LoggingConfig": None,
}


@contextmanager
def serving_settings(*, concurrency: int) -> Iterator[None]:
    """Let the Lambda API answer GetAccountSettings, Get- and PutFunctionRecursionConfig.

    And ListFunctionUrlConfigs, GetPolicy of versions and aliases, and UpdateFunctionConfiguration
    of what moto drops. PutFunctionEventInvokeConfig replaces what there was. `concurrency` is how
    many functions of the account run at a time.
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
            list_function_url_configs=_list_urls,
            get_policy=_get_policy,
        ),
        mock.patch.multiple(
            LambdaFunction,
            get_configuration=_remembering(LambdaFunction.get_configuration),
            update_configuration=_remember(LambdaFunction.update_configuration),
        ),
        mock.patch.object(LambdaBackend, "put_function_event_invoke_config", replace_invoke_config),
    ):
        yield


def _remember(original: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def update_configuration(self: LambdaFunction, updates: dict[str, Any]) -> dict[str, Any]:
        original(self, updates)
        remembered = dict(vars(self).get("remembered", {}))
        remembered |= {name: updates[name] for name in _FORGOTTEN.keys() & updates.keys()}
        vars(self)["remembered"] = {
            name: value for name, value in remembered.items() if value != _FORGOTTEN[name]
        }
        return self.get_configuration()

    return update_configuration


def _remembering(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def get_configuration(self: LambdaFunction, **more: bool) -> dict[str, Any]:
        return {**original(self, **more), **vars(self).get("remembered", {})}

    return get_configuration


def _get_recursion(self: LambdaResponse) -> str:
    return json.dumps({"RecursiveLoop": vars(_function(self)).get("recursive_loop", "Terminate")})


def _put_recursion(self: LambdaResponse) -> str:
    vars(_function(self))["recursive_loop"] = self._get_param("RecursiveLoop")
    return _get_recursion(self)


def _list_urls(self: LambdaResponse) -> str:
    config = _function(self).url_config
    return json.dumps({"FunctionUrlConfigs": [config.to_dict()] if config else []})


def _get_policy(self: LambdaResponse) -> str:
    """Of a function, or of one version or alias; moto keeps the statements of all in one policy."""
    function = _function(self)
    qualifier = self._get_param("Qualifier")
    resource = f"{function.function_arn}:{qualifier}" if qualifier else function.function_arn
    statements = [one for one in function.policy.statements if one["Resource"] == resource]
    if not statements:
        raise GenericResourcNotFound
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return json.dumps({"Policy": json.dumps(policy), "RevisionId": function.policy.revision})


def _function(self: LambdaResponse) -> LambdaFunction:
    name = unquote(self.path.rstrip("/").split("/")[-2])
    return self.backend.get_function(name)
