"""The permissions that a service other than S3 requires for a request."""

from collections.abc import Iterable

from localcloud.iam.api_calls import read_api_call
from localcloud.iam.callers import Caller
from localcloud.iam.http_requests import HttpRequest, denied
from localcloud.iam.iam_actions import iam_checks
from localcloud.iam.lambda_actions import lambda_checks
from localcloud.iam.service_checks import ServiceCheck

_PREFIXES = {"monitoring": "cloudwatch", "email": "ses"}


def service_checks(request: HttpRequest, caller: Caller) -> Iterable[ServiceCheck]:
    """All permissions that the service requires; only IAM, Lambda and SNS name their resources.

    Raises Refused if the action cannot be determined.
    """
    parameters = request.parameters
    if request.service == "lambda":
        call = read_api_call(request, service="lambda")
        if call is None:
            raise _unsupported(request)
        region = request.headers["authorization"].split("/")[2]
        return lambda_checks(*call, region=region, account=caller.principal.split(":")[4])
    actions = {parameters.get("Action")} | {
        request.headers.get("x-amz-target", "").rpartition(".")[2] or None
    }
    actions.discard(None)
    if request.raw_path != "/" or len(actions) != 1:
        raise _unsupported(request)
    action = str(actions.pop())
    if request.service == "iam":
        return iam_checks(action, parameters, caller)
    if request.service == "sns" and action == "PublishBatch":
        action = "Publish"  # which is the permission that it needs
    return [
        ServiceCheck(
            action=f"{_PREFIXES.get(request.service, request.service)}:{action}",
            resource=parameters.get("TopicArn") or parameters.get("TargetArn", "*"),
        )
    ]


def _unsupported(request: HttpRequest) -> Exception:
    return denied(f"The local cloud does not support this request to {request.service}")
