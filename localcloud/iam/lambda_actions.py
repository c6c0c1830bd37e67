"""The permissions that Lambda requires for a request."""

import re
from collections.abc import Iterator
from typing import Any

from localcloud.iam.service_checks import ServiceCheck
from localcloud.iam.trust import LAMBDA

# Operations whose action has another name (service authorization reference).
_ACTIONS = {
    "GetLayerVersionByArn": "GetLayerVersion",
    "Invoke": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
}
# A function by its name, its ARN, or a part of it (Lambda API reference, FunctionName).
_FUNCTION = re.compile(
    r"(arn:aws:lambda:)?((?P<region>[a-z]{2}-[a-z-]+-\d):)?((?P<account>\d{12}):)?(function:)?"
    r"(?P<name>[\w-]+)(:(?P<qualifier>\$LATEST|[\w-]+))?"
)


def lambda_checks(
    operation: str, parameters: dict[str, Any], *, region: str, account: str
) -> Iterator[ServiceCheck]:
    """All permissions for the operation; a role for the function must be passed to Lambda, too."""
    name = parameters.get("FunctionName")
    named = _FUNCTION.fullmatch(str(name)) if name else None
    resource = str(parameters.get("Resource", "*"))
    if named:
        region, account = named["region"] or region, named["account"] or account
        resource = f"arn:aws:lambda:{region}:{account}:function:{named['name']}"
        qualifier = named["qualifier"] or parameters.get("Qualifier")
        resource = f"{resource}:{qualifier}" if qualifier else resource
    action = _ACTIONS.get(operation, operation)
    yield ServiceCheck(action=f"lambda:{action}", resource=resource)
    if "Role" in parameters:
        yield ServiceCheck(
            action="iam:PassRole",
            resource=str(parameters["Role"]),
            context={"iam:PassedToService": LAMBDA},
        )
