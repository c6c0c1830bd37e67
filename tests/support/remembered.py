"""Remembers what botocore and moto compute for each request, although it is always the same.

That is more than a third of a request to the S3 in this process. What is remembered are functions
of their arguments. The user agent and the identifiers of requests, which nothing reads, are
replaced by shorter ones.
"""

from functools import cache, lru_cache
from itertools import count
from types import SimpleNamespace
from typing import Any

import botocore.parsers
import moto.core.responses
from botocore.useragent import UserAgentString
from moto.core.botocore_stubber import backend_index
from moto.s3.responses import S3Response

request_numbers = count(1)
has_bucket_in_its_host = S3Response.subdomain_based_buckets


def remember() -> None:
    """Remember from now on, in this process."""
    parse_timestamp = botocore.parsers.DEFAULT_TIMESTAMP_PARSER
    botocore.parsers.DEFAULT_TIMESTAMP_PARSER = lru_cache(maxsize=4096)(parse_timestamp)
    UserAgentString.to_string = lambda _: "tests"
    S3Response.subdomain_based_buckets = staticmethod(
        lambda request: is_host_of_bucket(request.headers["host"])
    )
    moto.core.responses.gen_amzn_requestid_long = request_id
    # moto compares the address of a request with those of each service, one after the other.
    backend_index.backend_url_patterns.sort(key=lambda entry: entry[0] != "s3")


@cache
def is_host_of_bucket(host: str) -> bool:
    return has_bucket_in_its_host(SimpleNamespace(headers={"host": host}))


def request_id(headers: dict[str, Any]) -> str:
    """Number an answer."""
    headers["x-amzn-requestid"] = number = str(next(request_numbers))
    return number
