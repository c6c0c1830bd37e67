"""Looks up functions of moto's Lambda."""

from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

REGION = "us-east-1"


def find_function(name: str) -> LambdaFunction:
    """The function with this name or ARN. Raises moto's UnknownFunctionException."""
    return _backend().get_function(name)


def code_of_layer(arn: str) -> bytes:
    """The archive of the layer version with this ARN."""
    layer = _backend().layers_versions_by_arn(arn)
    if layer is None:
        raise ValueError(f"The layer version {arn} was deleted; the local cloud does not keep it")
    return bytes(layer.code_bytes)


def reserved_concurrency() -> dict[str, int]:
    """The reserved concurrency of the functions that have one, by ARN."""
    return {
        function.function_arn: int(function.reserved_concurrency)
        for function in _backend().list_functions()
        if function.reserved_concurrency is not None
    }


def _backend() -> LambdaBackend:
    return lambda_backends[DEFAULT_ACCOUNT_ID][REGION]
