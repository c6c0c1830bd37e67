"""Verifies AWS Signature Version 4."""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from localcloud.iam.http_requests import HttpRequest, Refused, Signature, denied


def verify(request: HttpRequest, signed: Signature, *, secret: str) -> None:
    """Raises Refused unless `signed`, the request's own signature, is the one that AWS computes."""
    _refuse_expired(signed)
    unsigned = {name for name in request.headers if name.startswith("x-amz-")}
    if unsigned.difference(signed.headers) or "host" not in signed.headers:
        raise denied("There were headers present in the request which were not signed")
    computed_hash = hashlib.sha256(request.body).hexdigest()
    claimed_hash = request.headers.get("x-amz-content-sha256", computed_hash)
    if claimed_hash != computed_hash and re.fullmatch(r"[0-9a-f]{64}", claimed_hash):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed",
        )
    expected = _signature(request, signed, secret=secret)
    if not hmac.compare_digest(expected.encode(), signed.value.encode()):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided",
        )


def _refuse_expired(signed: Signature) -> None:
    if signed.valid_for is None:
        return
    try:
        signed_at = datetime.strptime(signed.signed_at, "%Y%m%dT%H%M%S%z")
    except ValueError:
        raise denied("X-Amz-Date is not a time") from None
    # Clients sign by this machine's clock, whatever the cloud's clock says.
    if datetime.now(UTC) > signed_at + signed.valid_for:
        raise denied("Request has expired")


def _signature(request: HttpRequest, signed: Signature, *, secret: str) -> str:
    is_s3 = request.service == "s3"
    path = unquote(request.raw_path) if is_s3 else normalize_url_path(request.raw_path)
    pairs = [pair.partition("=") for pair in request.raw_query.split("&") if pair]
    if signed.valid_for is not None:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    to_sign = AWSRequest(
        method=request.method,
        url="http://host" + quote(path, safe="/-_.~"),  # the signed host is among the headers
        # A list, because a name can be repeated; botocore's types allow only a mapping.
        params=[(unquote(name), unquote(value)) for name, _, value in pairs],  # type: ignore[arg-type]
        # WSGI passes on each byte of a header as one character.
        headers={
            name: request.headers.get(name, "").encode("latin-1").decode("utf-8", "replace")
            for name in signed.headers
        },
        data=request.body,
    )
    to_sign.context["timestamp"] = signed.signed_at
    signer_class = _Signer if signed.valid_for is None else _UrlSigner
    signer = signer_class(Credentials(signed.key, secret), signed.service, signed.region)
    canonical = signer.canonical_request(to_sign)
    return str(signer.signature(signer.string_to_sign(to_sign, canonical), to_sign))


class _Signer(S3SigV4Auth):
    def headers_to_sign(self, request: AWSRequest) -> Any:
        """All headers of this request, which contains only those that its sender signed."""
        return request.headers


class _UrlSigner(_Signer):
    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002
        """A presigned URL is created before the body."""
        return "UNSIGNED-PAYLOAD"
