"""The faster functions of the tests handle requests in the same way as botocore and moto."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from inspect import getclosurevars, unwrap
from itertools import product
from typing import Any
from unittest.mock import patch

import boto3
import botocore.regions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.client import ClientCreator
from botocore.credentials import Credentials
from botocore.endpoint_provider import EndpointProvider
from botocore.hooks import _PrefixTrie
from botocore.parsers import RestXMLParser
from hypothesis import given
from hypothesis import strategies as st
from moto.core.request import Request
from moto.sqs import urls

from tests.support import quick_clients, quick_requests

HEADERS = {
    "Host": "backups1.s3.amazonaws.com",
    "Content-Type": "text/plain",
    "Content-Length": "3",
    "Transfer-Encoding": "chunked",
    "x-amz-meta-my_key": b"value",
    "X-Amz-Date": "20261123T030507Z",
}
PATHS = ["", "/", "/backup.tar.gz.gpg", "/a//b%2Fc", "/%20%C3%A4+%3F", "//"]
QUERIES = ["", "versions", "versions&prefix=a%2Fb", "x=%C3%A4&y=+&x=", "X-Amz-Signature=0"]
BODIES = [None, b"", "text", b"\x00bytes"]


@pytest.mark.parametrize("host", ["https://backups1.s3.amazonaws.com", "http://127.0.0.1:9000"])
@pytest.mark.parametrize("path", PATHS)
def test_a_request_is_the_same_as_from_moto(path, host):
    for query, body, headers in product(QUERIES, BODIES, ({}, HEADERS)):
        url = f"{host}{path}?{query}" if query else f"{host}{path}"
        quick = quick_requests.request_of(Request, "PUT", url, headers, body)
        slow = quick_requests.build_request(Request, "PUT", url, headers, body)
        assert read(quick) == read(slow)


def read(request: Request) -> dict:
    found = {**request.environ, "wsgi.input": request.environ["wsgi.input"].read()}
    found.pop("werkzeug.request", None)
    return found | {
        "headers": sorted(request.headers),
        "url": request.url,
        "raw_url": request.raw_url,
        "raw_path": request.raw_path,
        "args": request.args,
    }


def test_an_application_is_created_once_for_the_same_routes(monkeypatch):
    made = quick_requests.app_of("sqs")
    assert quick_requests.app_of("sqs") is made
    assert routes(made) == routes(quick_requests.create_app("sqs"))
    monkeypatch.setitem(urls.url_paths, "{0}/more", next(iter(urls.url_paths.values())))
    changed = quick_requests.app_of("sqs")
    assert routes(changed) == routes(quick_requests.create_app("sqs")) != routes(made)


def routes(app):
    return [(rule.rule, rule.endpoint) for rule in app.url_map.iter_rules()]


NAME = st.sampled_from(["ETag", "etag", "ETAG", "x-amz-Meta-a", "X-Amz-Meta-A", "Date"])


@given(st.lists(st.tuples(NAME, st.text())), NAME)
def test_header_names_are_case_insensitive(pairs, name):
    headers, by_lowercase, written = HeadersDict(), {}, {}
    for key, value in pairs:
        headers[key] = value
        by_lowercase[key.lower()] = value
        written.setdefault(key.lower(), key)
    assert dict(headers) == {written[key]: value for key, value in by_lowercase.items()}
    assert (name in headers) == (name.lower() in by_lowercase)
    assert headers.get(name, "none") == by_lowercase.get(name.lower(), "none")
    assert len(headers) == len(by_lowercase)


@pytest.mark.parametrize("bucket", ["backups1", "back.ups", "Backups_1", None])
@pytest.mark.parametrize("operation", ["HeadObject", "GetBucketLocation", "ListBuckets"])
@pytest.mark.parametrize("style", ["path", "virtual", "auto"])
def test_the_endpoint_parameters_are_the_same_as_from_botocore(operation, bucket, style):
    config = boto3.session.Config(s3={"addressing_style": style})
    client = boto3.client("s3", config=config)
    model = client.meta.service_model.operation_model(operation)
    arguments = {"Bucket": bucket, "Key": "a"} if bucket else {}
    for context in ({}, {"use_global_endpoint": True}, {}):
        asked = (client._ruleset_resolver, model, arguments, context)
        quick = quick_clients.parameters_of_endpoint(*asked)
        assert quick == quick_clients.find_parameters(*asked)


@pytest.mark.parametrize("operation", ["HeadObject", "GetObject", "PutObject", "CopyObject"])
def test_headers_are_parsed_as_by_botocore(operation):
    model = boto3.client("s3").meta.service_model.operation_model(operation)
    shape = model.output_shape
    headers = HeadersDict({"x-amz-meta-a": "b", "ETAG": '"0"', "Last-Modified": TIME})
    for member in shape.members.values():
        name = member.serialization.get("name", "")
        if member.type_name == "string" and name:
            headers[name.upper()] = f"value of {name}"
    answers = []
    for parse in (quick_clients.parse_headers, quick_clients.parse_each_header):
        parsed: dict = {}
        answer = {"headers": headers, "status_code": 200}
        parse(RestXMLParser(), answer, shape, shape.members, parsed)
        answers.append(list(parsed.items()))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 3


TIME = "Mon, 23 Nov 2026 03:05:07 GMT"
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
ANSWERS = [
    b"",
    None,
    b"all our files",
    XML + b"<Error><Code>SlowDown</Code></Error>",
    b"<Error/>",
    XML + b"<CopyObjectResult><ETag>1</ETag></CopyObjectResult>",
    XML + b'<List xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><A/></List>',
    XML + b"<CopyObjectResult><ETag>1</ETag>",
    XML + b"<CopyObjectResult><ETag>1</ETag></CopyObj",
    XML,
]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", ANSWERS)
def test_an_error_with_status_200_is_detected_as_by_botocore(body, status):
    quick = quick_clients.is_error_despite_status(status, body)
    assert quick == quick_clients.is_special_case_error(status, body)


def test_a_signature_is_the_same_as_from_botocore():
    request = AWSRequest(method="GET", url="http://127.0.0.1:9000/")
    request.context["timestamp"] = "20261123T030507Z"
    for secret, region in (("secret", "us-east-1"), ("other", "eu-west-1")):
        signer = SigV4Auth(Credentials("key", secret), "s3", region)
        assert signer.signature("text", request) == quick_clients.sign(signer, "text", request)


QUICK = (quick_clients.model_of_service, quick_clients.methods_of, quick_clients.provider_of)
SLOW = (quick_clients.load_model, quick_clients.create_methods, EndpointProvider)


@contextmanager
def clients_created_by(load_model: Any, create_methods: Any, provider: Any) -> Iterator[None]:
    methods = {"_load_service_model": load_model, "_create_methods": create_methods}
    with (
        patch.multiple(ClientCreator, **methods),
        patch.object(botocore.regions, "EndpointProvider", provider),
    ):
        yield


def read_client(client: Any) -> dict[str, Any]:
    model, operations = client.meta.service_model, client.meta.method_to_api_mapping
    operation = model.operation_model(model.operation_names[0])
    arguments = {"Bucket": "backups1"} if model.service_name == "s3" else {}
    return {
        "attributes": dir(client),
        "operations": operations,
        "methods": {
            name: getclosurevars(unwrap(getattr(type(client), name))).nonlocals["operation_name"]
            for name in operations
        },
        "model": (model.service_name, model.metadata, model.operation_names),
        "endpoint": client._ruleset_resolver.construct_endpoint(operation, arguments, {}),
    }


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "cn-north-1"])
@pytest.mark.parametrize("service", ["s3", "iam", "lambda", "sns"])
def test_a_client_is_the_same_as_from_botocore(service, region):
    with clients_created_by(*SLOW):
        slow = boto3.client(service, region_name=region)
    with clients_created_by(*QUICK):
        clients = [boto3.client(service, region_name=region) for _ in range(2)]
    assert clients[0].meta.service_model is clients[1].meta.service_model
    for client in clients:
        assert read_client(client) == read_client(slow)


def test_a_method_that_a_session_adds_is_only_in_its_clients():
    def add(class_attributes, **_):
        class_attributes["added"] = "by this session"

    session = boto3.Session()
    session.events.register("creating-client-class.s3", add)
    with clients_created_by(*QUICK):
        assert session.client("s3").added
        assert not hasattr(boto3.client("s3"), "added")


def test_a_copy_of_the_handlers_is_the_same_as_from_botocore():
    handlers = boto3.client("s3").meta.events._emitter._handlers
    with patch.object(_PrefixTrie, "_recursive_copy", quick_clients.copy_trie):
        slow = copy(handlers)
    with patch.object(_PrefixTrie, "_recursive_copy", quick_clients.copy_of_trie):
        quick = copy(handlers)
    assert vars(quick) == vars(slow) == vars(handlers)
    # An event that has handlers already, and one that has none.
    for event in ("before-send", "before-send.s3.PutObject"):
        quick.append_item(event, print)
        assert vars(quick) != vars(slow) == vars(handlers)
