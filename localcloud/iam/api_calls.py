"""The operation of a request to a service other than S3, from AWS's description of the service."""

from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from localcloud.iam.http_requests import HttpRequest


def read_api_call(request: HttpRequest, *, service: str) -> tuple[str, dict[str, Any]] | None:
    """The name of the operation and its parameters; None if the service has no such operation.

    `service` is the name of its description in botocore, which can differ from that in signatures.
    """
    target = f"{request.raw_path}?{request.raw_query}" if request.raw_query else request.raw_path
    sent = Request.from_primitives(
        request.method, f"http://host{target}", request.headers, request.body
    )
    try:
        operation, in_path = get_service_router(service).match(sent)
    except (NotFound, NotImplementedError):
        return None
    parser = PROTOCOL_PARSERS[
        determine_request_protocol(get_service_model(service), sent.content_type)
    ]
    parameters = parser(operation).parse(
        {
            "method": sent.method,
            "values": sent.values,
            "headers": sent.headers,
            "body": sent.data,
            "url_path": sent.path,
            "url_params": in_path,
        }
    )
    return str(operation.name), parameters
