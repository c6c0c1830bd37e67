"""The functions of moto's Lambda, as they are configured now."""

from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

REGION = "us-east-1"


def find_function(name: str) -> LambdaFunction:
    """The function with this name or ARN. Raises moto's UnknownFunctionException."""
    return _backend().get_function(name)


def reserved_concurrency() -> dict[str, int]:
    """How many runs at a time each function has for itself, by its ARN, if it has any."""
    return {
        function.function_arn: int(function.reserved_concurrency)
        for function in _backend().list_functions()
        if function.reserved_concurrency is not None
    }


def _backend() -> LambdaBackend:
    return lambda_backends[DEFAULT_ACCOUNT_ID][REGION]
