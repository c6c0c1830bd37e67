"""The action and resource of a request to a service other than S3."""

import re
from urllib.parse import unquote

from localcloud.iam.http_requests import HttpRequest, denied

_INVOKE = re.compile(r"/[\d-]+/functions/(?P<function>[^/]+)/invocations/?")
_PREFIXES = {"monitoring": "cloudwatch", "email": "ses"}


def service_action(request: HttpRequest, *, account: str) -> tuple[str, str]:
    """The action, and the resource or `*` if that is unknown.

    Raises Refused if the action cannot be determined.
    """
    prefix = _PREFIXES.get(request.service, request.service)
    invoke = _INVOKE.fullmatch(request.raw_path)
    if request.service == "lambda" and request.method == "POST" and invoke:
        region = request.headers["authorization"].split("/")[2]
        name = unquote(invoke["function"])
        arn = name if ":" in name else f"arn:aws:lambda:{region}:{account}:function:{name}"
        qualifier = request.query.get("Qualifier")
        return "lambda:InvokeFunction", f"{arn}:{qualifier}" if qualifier else arn
    parameters = request.parameters
    actions = {parameters.get("Action")} | {
        request.headers.get("x-amz-target", "").rpartition(".")[2] or None
    }
    actions.discard(None)
    if request.raw_path != "/" or len(actions) != 1:
        raise denied(f"The local cloud does not support this request to {request.service}")
    action = actions.pop()
    if prefix == "sns" and action == "PublishBatch":
        action = "Publish"  # which is the permission that it needs
    return f"{prefix}:{action}", parameters.get("TopicArn") or parameters.get("TargetArn", "*")
