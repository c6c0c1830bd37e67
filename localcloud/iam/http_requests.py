"""HTTP requests as they arrive, and the responses to those that are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
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


# The parameters of a presigned URL; everything else in its query belongs to the request.
_PRESIGNED = re.compile(
    r"X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)"
)
_CREDENTIAL = re.compile(
    r"(?P<key>\w+)/\d{8}/(?P<region>[\w-]+)/(?P<service>[a-z0-9-]+)/aws4_request"
)
LONGEST_VALIDITY = 7 * 24 * 3600
"""Seconds for which a presigned URL can be valid."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A request's signature, and what it claims about itself."""

    key: str
    """The ID of the signer's access key."""
    region: str
    service: str
    headers: list[str]
    """The names of the signed headers."""
    value: str
    signed_at: str
    """As in x-amz-date: 20261123T120000Z."""
    token: str | None
    valid_for: timedelta | None = None
    """Only for a presigned URL; other signatures do not expire here."""


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

    @cached_property
    def signature(self) -> Signature | None:
        """The signature in the Authorization header or, for a presigned URL, in the query.

        None if the request has no signature, or no time of signing.
        """
        if "authorization" not in self.headers:
            return _presigned(dict(reversed(parse_qsl(self.raw_query, keep_blank_values=True))))
        signed = _AUTHORIZATION.fullmatch(self.headers["authorization"])
        signed_at = self.headers.get("x-amz-date")
        if signed is None or signed_at is None:
            return None
        return Signature(
            key=signed["key"],
            region=signed["region"],
            service=signed["service"],
            headers=signed["headers"].split(";"),
            value=signed["signature"],
            signed_at=signed_at,
            token=self.headers.get("x-amz-security-token"),
        )

    @property
    def service(self) -> str:
        """The service that the signature is for; S3 if the request is not signed."""
        signed = self.signature
        return signed.service if signed else "s3"

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query, without those of a presigned URL.

        The first value of a repeated parameter, as in moto.
        """
        query = without_signature(self.raw_query)
        return dict(reversed(parse_qsl(query, keep_blank_values=True)))

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query, and of the body if it is a form."""
        content_type = self.headers.get("content-type", "")
        if not content_type.startswith("application/x-www-form-urlencoded"):
            return self.query
        form = parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return self.query | dict(reversed(form))


class Refused(Exception):
    """The request gets this error as its response."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def denied(message: str) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "AccessDenied", message)


def without_signature(raw_query: str) -> str:
    """The query without the parameters of a presigned URL."""
    pairs = raw_query.split("&")
    return "&".join(p for p in pairs if not _PRESIGNED.fullmatch(p.partition("=")[0]))


def _presigned(query: Mapping[str, str]) -> Signature | None:
    credential = _CREDENTIAL.fullmatch(query.get("X-Amz-Credential", ""))
    expires, signed_at = query.get("X-Amz-Expires", ""), query.get("X-Amz-Date", "")
    if (
        credential is None
        or query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256"
        or not re.fullmatch(r"\d{8}T\d{6}Z", signed_at)
        or not re.fullmatch(r"\d{1,6}", expires)
        or not 0 < int(expires) <= LONGEST_VALIDITY
    ):
        return None
    return Signature(
        key=credential["key"],
        region=credential["region"],
        service=credential["service"],
        headers=query.get("X-Amz-SignedHeaders", "").split(";"),
        value=query.get("X-Amz-Signature", ""),
        signed_at=signed_at,
        token=query.get("X-Amz-Security-Token"),
        valid_for=timedelta(seconds=int(expires)),
    )


def read_request(environ: WSGIEnvironment) -> HttpRequest:
    """The request in `environ`, which moto can read again afterwards."""
    environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)  # it would select another account
    body = get_input_stream(environ).read()
    environ["wsgi.input"] = BytesIO(body)
    raw_path, _, raw_query = environ["RAW_URI"].partition("?")
    # WSGI cannot distinguish - from _; moto's server keeps the original names of headers with _.
    originals = environ.get(PRESERVED_HEADER_NAMES_ENVIRON_KEY) or {}
    headers = {
        originals.get(name, name.removeprefix("HTTP_").replace("_", "-")).lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    request = HttpRequest(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        raw_path=raw_path,
        raw_query=raw_query,
        headers=headers,
        body=body,
        source_ip=environ["REMOTE_ADDR"],
    )
    signed = request.signature
    if signed is not None and signed.valid_for is not None:
        # moto finds the account in this header, and a GET without the header returns nothing.
        scope = f"{signed.signed_at[:8]}/{signed.region}/{signed.service}/aws4_request"
        environ["HTTP_AUTHORIZATION"] = (
            f"AWS4-HMAC-SHA256 Credential={signed.key}/{scope}, SignedHeaders=host, Signature="
        )
        query = without_signature(raw_query)
        environ |= {"QUERY_STRING": query, "RAW_URI": f"{raw_path}?{query}" if query else raw_path}
    return request


def refuse(
    request: HttpRequest, refused: Refused, start_response: StartResponse
) -> Iterable[bytes]:
    """Respond with the error, in the format that the service's clients expect."""
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
