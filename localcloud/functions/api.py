"""Operations of the Lambda API that moto lacks."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote

from moto.awslambda import urls
from moto.awslambda.exceptions import GenericResourcNotFound, InvalidParameterValueException
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse

from localcloud.iam.trust import trusts_lambda

_PATHS = (
    r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/recursion-config/?$",
    r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/urls/?$",
    r"{0}/(?P<api_version>[^/]+)/account-settings/?$",
)
# Settings of a function that moto drops, each with the value that removes it.
_DROPPED: dict[str, Any] = {
    "DeadLetterConfig": {"TargetArn": ""},
    "FileSystemConfigs": [],
    "KMSKeyArn": "",
    "LoggingConfig": None,
}


@contextmanager
def serving_settings(*, concurrency: int) -> Iterator[None]:
    """Add these operations to the Lambda API until the block ends.

    GetAccountSettings, GetFunctionRecursionConfig and PutFunctionRecursionConfig,
    ListFunctionUrlConfigs, and GetPolicy of versions and aliases. UpdateFunctionConfiguration keeps
    the settings that moto drops, and PutFunctionEventInvokeConfig replaces the configuration. A
    function cannot get a role that does not trust Lambda.
    `concurrency` is how many functions of the account run at a time.
    """
    original_put = LambdaBackend.put_function_event_invoke_config

    def replace_invoke_config(
        backend: LambdaBackend, function_name: str, config: dict[str, Any]
    ) -> dict[str, Any]:
        backend.get_function(function_name).event_invoke_config.clear()
        return original_put(backend, function_name, config)

    original_create = LambdaBackend.create_function
    original_update = LambdaBackend.update_function_configuration

    def create_function(backend: LambdaBackend, spec: dict[str, Any]) -> LambdaFunction:
        _refuse_distrusting(spec["Role"])
        return original_create(backend, spec)

    def update_function_configuration(
        backend: LambdaBackend, function_name: str, qualifier: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        if "Role" in body:
            _refuse_distrusting(body["Role"])
        return original_update(backend, function_name, qualifier, body)

    def get_account_settings(request: LambdaResponse) -> str:
        reserved = sum(
            int(function.reserved_concurrency or 0) for function in request.backend.list_functions()
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
            get_configuration=_with_dropped(LambdaFunction.get_configuration),
            update_configuration=_keeping_dropped(LambdaFunction.update_configuration),
        ),
        mock.patch.multiple(
            LambdaBackend,
            create_function=create_function,
            update_function_configuration=update_function_configuration,
            put_function_event_invoke_config=replace_invoke_config,
        ),
    ):
        yield


def _refuse_distrusting(role: str) -> None:
    if not trusts_lambda(role):
        raise InvalidParameterValueException(
            "The role defined for the function cannot be assumed by Lambda."
        )


def _keeping_dropped(original: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def update_configuration(function: LambdaFunction, updates: dict[str, Any]) -> dict[str, Any]:
        original(function, updates)
        settings = dict(vars(function).get("dropped_settings", {}))
        settings |= {name: updates[name] for name in _DROPPED.keys() & updates.keys()}
        vars(function)["dropped_settings"] = {
            name: value for name, value in settings.items() if value != _DROPPED[name]
        }
        return function.get_configuration()

    return update_configuration


def _with_dropped(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def get_configuration(function: LambdaFunction, **options: bool) -> dict[str, Any]:
        return {**original(function, **options), **vars(function).get("dropped_settings", {})}

    return get_configuration


def _get_recursion(request: LambdaResponse) -> str:
    return json.dumps(
        {"RecursiveLoop": vars(_function(request)).get("recursive_loop", "Terminate")}
    )


def _put_recursion(request: LambdaResponse) -> str:
    vars(_function(request))["recursive_loop"] = request._get_param("RecursiveLoop")
    return _get_recursion(request)


def _list_urls(request: LambdaResponse) -> str:
    config = _function(request).url_config
    return json.dumps({"FunctionUrlConfigs": [config.to_dict()] if config else []})


def _get_policy(request: LambdaResponse) -> str:
    """The policy of a function, version or alias; moto keeps all their statements in one policy."""
    function = _function(request)
    qualifier = request._get_param("Qualifier")
    resource = f"{function.function_arn}:{qualifier}" if qualifier else function.function_arn
    statements = [
        statement for statement in function.policy.statements if statement["Resource"] == resource
    ]
    if not statements:
        raise GenericResourcNotFound
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return json.dumps({"Policy": json.dumps(policy), "RevisionId": function.policy.revision})


def _function(request: LambdaResponse) -> LambdaFunction:
    name = unquote(request.path.rstrip("/").split("/")[-2])
    return request.backend.get_function(name)
