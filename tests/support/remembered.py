"""Caches values that botocore and moto compute for each request, although they never change.

Computing these values takes most of the time of a request to the S3 in this process. Only pure
functions of their arguments are cached. User agents, request IDs and the signatures of requests to
AWS, which nothing in this process reads, are replaced by short values. (Requests to the port of the
local cloud keep their signatures, because the local cloud verifies them.)

Three more modules speed up requests, in the order of a request: quick_clients, quick_requests and
quick_answers. tests/localcloud compares each module with the original code, and `--plain` runs all
tests with the original code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from functools import cache, lru_cache, partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import botocore.parsers
import moto.awslambda.models
import moto.core.models
import moto.core.responses
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from moto.s3.responses import S3Response

from tests.support.quick_answers import answer_quickly
from tests.support.quick_clients import ask_quickly
from tests.support.quick_requests import read_quickly
from tests.support.times import known_time

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=testing/20261123/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
request_numbers = count(1)
guess_time = botocore.parsers.DEFAULT_TIMESTAMP_PARSER
read_bundle = moto.awslambda.models._zipfile_content
list_methods = moto.core.responses.method_names_from_class
sign_request = RequestSigner.handler
has_bucket_in_its_host = S3Response.subdomain_based_buckets


def remember() -> None:
    """Cache from now on, in this process."""
    ask_quickly()
    read_quickly()
    answer_quickly()
    botocore.parsers.DEFAULT_TIMESTAMP_PARSER = parse_time
    UserAgentString.to_string = lambda _: "tests"
    RequestSigner.handler = sign_unless_for_s3
    S3Response.subdomain_based_buckets = staticmethod(
        lambda request: is_host_of_bucket(request.headers["host"])
    )
    moto.core.responses.gen_amzn_requestid_long = request_id
    # Every client looks up the alias of each of a hundred handlers.
    name_of = cache(partial(EventAliaser._alias_event_name, EventAliaser(HierarchicalEmitter())))
    EventAliaser._alias_event_name = lambda _, name: name_of(name)
    # Calling a handler with too many arguments fails, too.
    HierarchicalEmitter._verify_accept_kwargs = lambda _, handler: None
    # With each request, moto lists the methods of its service. The local cloud adds some.
    names_of = cache(lambda service, _: list_methods(service))
    moto.core.responses.method_names_from_class = lambda service: names_of(
        service, sum(len(vars(each)) for each in service.__mro__)
    )
    # A deployment uploads the same bundle for each function, and moto decodes each upload twice.
    moto.awslambda.models._zipfile_content = lru_cache(maxsize=2)(read_bundle)
    # mock_aws() would also prepare the package requests for the addresses of 140 services, although
    # nothing here sends requests to AWS with it. Any request that it sends anyway fails.
    moto.core.models.backend_index = SimpleNamespace(backend_url_patterns=())


@contextmanager
def as_if_new(client: Any) -> Iterator[Any]:
    """Yield another client like this one. Both get their handlers back after the block."""
    other = object.__new__(type(client))
    vars(other).update(vars(client))
    emitter = client.meta.events._emitter
    before = vars(copy(emitter))
    try:
        yield other
    finally:
        vars(emitter).update(before)


def parse_time(value: Any) -> datetime:
    """Parse a time from S3's lists or headers. botocore guesses the format of any other time."""
    return known_time(value) or guess_time(value)


def sign_unless_for_s3(signer: RequestSigner, request: Any, **arguments: Any) -> None:
    """Sign a request, unless it is for AWS's S3: then moto responds in this process."""
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
    """Use the next number as the ID of a response."""
    headers["x-amzn-requestid"] = number = str(next(request_numbers))
    return number
