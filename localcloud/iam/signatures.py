"""Signature Version 4 of a request's header: who changes the request breaks it."""

import hashlib
import hmac
import re
from http import HTTPStatus
from urllib.parse import quote, unquote

from botocore.utils import normalize_url_path

from localcloud.iam.http_requests import HttpRequest, Refused, denied


def verify(request: HttpRequest, signed: re.Match[str], *, secret: str) -> None:
    """Raises Refused unless `signed`, of `request`, is the signature that AWS computes for it."""
    names = signed["headers"].split(";")
    loose = {name for name in request.headers if name.startswith("x-amz-")} - set(names)
    if loose or "host" not in names:
        raise denied("There were headers present in the request which were not signed")
    sent_hash = hashlib.sha256(request.body).hexdigest()
    said_hash = request.headers.get("x-amz-content-sha256", sent_hash)
    if said_hash != sent_hash and re.fullmatch(r"[0-9a-f]{64}", said_hash):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed",
        )
    if request.service == "s3":
        path = quote(unquote(request.raw_path), safe="/-_.~")
    else:
        path = quote(normalize_url_path(request.raw_path), safe="/-_.~")
    pairs = [pair.partition("=") for pair in request.raw_query.split("&") if pair]
    query = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in pairs
    )
    canonical = "\n".join(
        [
            request.method,
            path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
            "",
            signed["headers"],
            said_hash,
        ]
    )
    to_sign = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            signed["scope"],
            # WSGI hands on each byte of a header as one character.
            hashlib.sha256(canonical.encode("latin-1")).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in [*signed["scope"].split("/"), to_sign]:
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), signed["signature"]):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided",
        )
