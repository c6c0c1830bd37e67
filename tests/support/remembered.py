"""Remembers what botocore and moto compute for each request, although it is always the same.

That is almost half of a request to the S3 in this process. What is remembered are functions of
their arguments. User agents, the identifiers of requests and the signatures of requests to AWS,
which nothing in this process reads, are replaced by short ones. (The local cloud verifies the
signatures of requests to its port: those stay.)
"""

from functools import cache, lru_cache
from itertools import count
from types import SimpleNamespace
from typing import Any

import botocore.parsers
import moto.core.responses
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from moto.s3.responses import S3Response

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=testing/20261123/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
request_numbers = count(1)
sign_request = RequestSigner.handler
has_bucket_in_its_host = S3Response.subdomain_based_buckets


def remember() -> None:
    """Remember from now on, in this process."""
    parse_timestamp = botocore.parsers.DEFAULT_TIMESTAMP_PARSER
    botocore.parsers.DEFAULT_TIMESTAMP_PARSER = lru_cache(maxsize=4096)(parse_timestamp)
    UserAgentString.to_string = lambda _: "tests"
    RequestSigner.handler = sign_unless_for_s3
    S3Response.subdomain_based_buckets = staticmethod(
        lambda request: is_host_of_bucket(request.headers["host"])
    )
    moto.core.responses.gen_amzn_requestid_long = request_id


def sign_unless_for_s3(signer: RequestSigner, request: Any, **arguments: Any) -> None:
    """Sign a request, unless it is for S3 itself: then moto answers it in this process."""
    if not request.url.startswith("https://") or "s3.amazonaws.com/" not in request.url:
        sign_request(signer, request=request, **arguments)
        return
    has_trailer = "X-Amz-Trailer" in request.headers
    payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" if has_trailer else "UNSIGNED-PAYLOAD"
    request.headers["X-Amz-Content-SHA256"] = payload
    request.headers["Authorization"] = AUTHORIZATION


@cache
def is_host_of_bucket(host: str) -> bool:
    return has_bucket_in_its_host(SimpleNamespace(headers={"host": host}))


def request_id(headers: dict[str, Any]) -> str:
    """Number an answer."""
    headers["x-amzn-requestid"] = number = str(next(request_numbers))
    return number
