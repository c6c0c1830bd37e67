"""Parses a request to S3: its operation, bucket and key."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET

from localcloud.iam.http_requests import HttpRequest, Refused, denied


@dataclass(frozen=True, kw_only=True)
class S3Call:
    """An S3 request with decoded names; `key`, or `bucket` too, is empty if it names none."""

    method: str
    bucket: str = ""
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def subresource(self) -> str:
        """The part of the query that selects the operation: `partNumber&uploadId`; often empty."""
        return "&".join(sorted(self.query.keys() - _MODIFIERS))

    @property
    def operation(self) -> str:
        """S3's name of the operation if it reads or writes objects; otherwise empty."""
        copies = "Copy" if "x-amz-copy-source" in self.headers else ""
        match self.method, bool(self.key), self.subresource:
            case "PUT", True, "":
                return "CopyObject" if copies else "PutObject"
            case "PUT", True, "partNumber&uploadId":
                return f"UploadPart{copies}"
            case operation:
                return _OPERATIONS.get(operation, "")


def read_s3_call(request: HttpRequest) -> S3Call:
    """The parsed request. Raises Refused unless it is path-style: moto could use another bucket."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    path = re.fullmatch(r"/(?:([\w.-]+)(?:/(.*))?)?", request.raw_path, re.ASCII | re.DOTALL)
    if path is None or not (host == "localhost" or _is_ip(host)):
        raise denied("Only path-style requests are supported")
    return S3Call(
        method=request.method,
        bucket=path[1] or "",
        key=unquote(path[2] or ""),
        query=request.query,
        headers=request.headers,
        body=request.body,
    )


def copy_source(call: S3Call) -> tuple[str, str, str | None] | None:
    """The bucket, key and version ID of the source of a CopyObject or UploadPartCopy."""
    if call.method != "PUT" or "x-amz-copy-source" not in call.headers:
        return None
    source = urlsplit(call.headers["x-amz-copy-source"])
    bucket, _, key = unquote(source.path).lstrip("/").partition("/")
    if not bucket or not key:
        raise unknown_call(call)
    return bucket, key, dict(reversed(parse_qsl(source.query))).get("versionId")


def xml_body(call: S3Call) -> ET.Element:
    try:
        return ET.fromstring(call.body)
    except ET.ParseError:
        raise unknown_call(call) from None


def unknown_call(call: S3Call) -> Refused:
    return denied(f"The local cloud does not support this request: {call.method} ?{[*call.query]}")


def unserved_call(call: S3Call) -> Refused:
    return Refused(
        HTTPStatus.NOT_IMPLEMENTED,
        "NotImplemented",
        f"The local cloud has no such configuration: {call.method} ?{call.subresource}",
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# Query parameters that modify an operation. Every other parameter selects an operation.
_MODIFIERS = frozenset(
    """
    versionId x-id id prefix delimiter marker max-keys encoding-type list-type continuation-token
    start-after fetch-owner key-marker version-id-marker upload-id-marker max-uploads
    part-number-marker max-parts max-buckets bucket-region response-cache-control
    response-content-disposition response-content-encoding response-content-language
    response-content-type response-expires
    """.split()  # noqa: SIM905 - a column of 25 lines would say no more
)

# The operations by method, by whether the request names a key, and by subresource.
_OPERATIONS = {
    ("HEAD", True, ""): "HeadObject",
    ("GET", True, ""): "GetObject",
    ("DELETE", True, ""): "DeleteObject",
    ("POST", True, "uploads"): "CreateMultipartUpload",
    ("GET", True, "uploadId"): "ListParts",
    ("POST", True, "uploadId"): "CompleteMultipartUpload",
    ("DELETE", True, "uploadId"): "AbortMultipartUpload",
    ("GET", False, "uploads"): "ListMultipartUploads",
}
