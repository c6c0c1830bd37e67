"""HTTP requests as they arrive, and the answers to those that are refused."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY
from werkzeug.wsgi import get_input_stream

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>\w+)"
    r"/(?P<scope>(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[a-z0-9-]+)/aws4_request), *"
    r"SignedHeaders=(?P<headers>[^,\s]+), *Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """A request as it arrived, with lowercase header names and its whole body."""

    method: str
    path: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str

    @property
    def signature(self) -> re.Match[str] | None:
        """The Authorization header, matched into its parts; None if the request is not signed."""
        return _AUTHORIZATION.fullmatch(self.headers.get("authorization", ""))

    @property
    def service(self) -> str:
        """The service that the signature is for; S3 if the request is not signed."""
        signed = self.signature
        return signed["service"] if signed else "s3"

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query; the first value of a repeated parameter, as in moto."""
        return dict(reversed(parse_qsl(self.raw_query, keep_blank_values=True)))

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query, and of the body if it is a form."""
        content_type = self.headers.get("content-type", "")
        if not content_type.startswith("application/x-www-form-urlencoded"):
            return self.query
        form = parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return self.query | dict(reversed(form))


class Refused(Exception):
    """The request is answered with this error."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def denied(message: str) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "AccessDenied", message)


def read_request(environ: WSGIEnvironment) -> HttpRequest:
    """The request in `environ`, which moto can read again afterwards."""
    environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)  # it would select another account
    body = get_input_stream(environ).read()
    environ["wsgi.input"] = BytesIO(body)
    raw_path, _, raw_query = environ["RAW_URI"].partition("?")
    # WSGI cannot tell - from _; moto's server keeps the original names of headers with _.
    originals = environ.get(PRESERVED_HEADER_NAMES_ENVIRON_KEY) or {}
    headers = {
        originals.get(name, name.removeprefix("HTTP_").replace("_", "-")).lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    return HttpRequest(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        raw_path=raw_path,
        raw_query=raw_query,
        headers=headers,
        body=body,
        source_ip=environ["REMOTE_ADDR"],
    )


def refuse(
    request: HttpRequest, refused: Refused, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer with the error, in the format that the service's clients expect."""
    message = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", str(refused))
    error = f"<Code>{refused.code}</Code><Message>{escape(message)}</Message>"
    headers = [("Content-Type", "application/xml")]
    if request.method == "HEAD":
        body = ""
    elif request.service == "s3":
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{error}</Error>'
    elif request.parameters.keys() & {"Action"}:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
    else:
        body = json.dumps({"__type": f"{refused.code}Exception", "message": message})
        headers = [
            ("Content-Type", "application/json"),
            ("x-amzn-ErrorType", f"{refused.code}Exception"),
        ]
    content = body.encode()
    headers.append(("Content-Length", str(len(content))))
    start_response(f"{refused.status.value} {refused.status.phrase}", headers)
    return [content]
