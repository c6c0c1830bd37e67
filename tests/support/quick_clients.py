"""Speeds up botocore's clients and requests by caching values that depend only on few arguments.

The clients of a service share what botocore derives from the service's description: the model, the
methods and the rules for endpoints. botocore derives them again for each client.
"""

import hmac
import logging
import re
from functools import lru_cache, partial
from itertools import count
from types import SimpleNamespace
from typing import Any, Self

import botocore.awsrequest
import botocore.endpoint
import botocore.handlers
import botocore.regions
from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import HeadersDict
from botocore.client import ClientCreator
from botocore.endpoint_provider import EndpointProvider
from botocore.hooks import NodeList, _PrefixTrie
from botocore.model import ServiceModel, StructureShape
from botocore.parsers import BaseRestParser
from botocore.regions import EndpointRulesetResolver

from tests.support.replacing import replace

find_parameters = EndpointRulesetResolver._get_provider_params
parse_each_header = BaseRestParser._parse_non_payload_attrs
sign = SigV4Auth.signature
load_model = ClientCreator._load_service_model
create_methods = ClientCreator._create_methods
copy_trie = _PrefixTrie._recursive_copy
is_special_case_error = botocore.handlers._looks_like_special_case_error
# The root element of an XML document, after the optional XML declaration.
ROOT = re.compile(rb"(?:<\?xml [^>]*\?>\s*)?<(\w+)[ >]")
created: dict[tuple[Any, ...], tuple[Any, tuple[Any, ...]]] = {}
ENDPOINTS = 1000
"""The maximum number of endpoints that a client caches."""


def ask_quickly() -> None:
    """Install the faster functions in this process."""
    replace(ClientCreator, _load_service_model=model_of_service, _create_methods=methods_of)
    replace(botocore.regions, EndpointProvider=provider_of)
    replace(_PrefixTrie, _recursive_copy=copy_of_trie)
    replace(EndpointRulesetResolver, _get_provider_params=parameters_of_endpoint)
    replace(BaseRestParser, _parse_non_payload_attrs=parse_headers)
    replace(botocore.handlers, _looks_like_special_case_error=is_error_despite_status)
    replace(botocore.awsrequest, _HeaderKey=header_key)
    replace(HeadersDict, __contains__=has_header, get=find_header)
    # The signers in C prepare each request four times before they sign it.
    AUTH_TYPE_MAPS.update(v4=SigV4Auth, s3v4=S3SigV4Auth)
    replace(SigV4Auth, signature=signature)
    # For each request, botocore gets a random UUID from the kernel, which nobody reads.
    replace(botocore.endpoint, uuid=SimpleNamespace(uuid4=partial(next, count(1))))
    # botocore logs about 40 debug lines for each request, which nobody reads.
    for name in logging.root.manager.loggerDict:
        if name.startswith("botocore."):
            replace(logging.getLogger(name), debug=ignore)


def model_of_service(
    creator: ClientCreator, service_name: str, api_version: str | None = None
) -> ServiceModel:
    """Return the model of a service, created once for each description that is loaded."""
    description = creator._loader.load_service_model(
        service_name, "service-2", api_version=api_version
    )
    return created_once(ServiceModel, description, service_name)


def methods_of(creator: ClientCreator, service_model: ServiceModel) -> dict[str, Any]:
    """Return the methods of a client, created once for each model. Its session may add others."""
    if "methods" not in vars(service_model):
        service_model.methods = create_methods(creator, service_model)
    return dict(service_model.methods)


def provider_of(
    ruleset_data: Any, partition_data: Any, excluded_params: Any = None
) -> EndpointProvider:
    """Return the rules for the endpoints of a service, created once for each description."""
    return created_once(EndpointProvider, ruleset_data, partition_data, excluded_params)


def created_once(kind: Any, *arguments: Any) -> Any:
    """Return an object created from these descriptions of a service, which never change."""
    key = (kind, *(each if isinstance(each, str) else id(each) for each in arguments))
    if key not in created:
        # The arguments are kept, so that no other object gets their IDs.
        created[key] = kind(*arguments), arguments
    return created[key][0]


def copy_of_trie(trie: _PrefixTrie, node: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the handlers' tree without the general-purpose `copy` for each list."""
    copied = dict(node)
    for key, value in node.items():
        if type(value) is dict:
            copied[key] = copy_of_trie(trie, value)
        elif type(value) is NodeList:
            copied[key] = NodeList(*map(list, value))
    return copied


def signature(signer: SigV4Auth, text: str, request: Any) -> str:
    """Sign the text with the signing key of the day, which is cached."""
    key = signing_key(
        signer.credentials.secret_key,
        request.context["timestamp"][:8],
        signer._region_name,
        signer._service_name,
    )
    return hmac.digest(key, text.encode(), "sha256").hex()


@lru_cache
def signing_key(secret: str, *scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def ignore(*_: Any, **__: Any) -> None:
    pass


def parameters_of_endpoint(
    resolver: EndpointRulesetResolver, operation_model: Any, call_args: Any, request_context: Any
) -> dict[str, Any]:
    """Return the parameters that determine the endpoint, cached by the arguments that matter."""
    builtins = resolver._get_customized_builtins(operation_model, call_args, request_context)
    names = resolver._get_dynamic_context_params(operation_model).values()
    values = tuple(call_args.get(name) for name in names)
    if operation_model.operation_context_parameters or not all(
        isinstance(value, str | None) for value in values
    ):
        return find_parameters(resolver, operation_model, call_args, request_context)
    known = vars(resolver).setdefault("parameters", {})
    key = (operation_model.name, values, *builtins.values())
    if key not in known:
        if len(known) == ENDPOINTS:
            known.clear()
        known[key] = find_parameters(resolver, operation_model, call_args, request_context)
    return known[key]


class HeaderKey(str):
    """A header name that compares and hashes in lowercase, but prints as written."""

    __slots__ = ("written",)

    def __new__(cls, name: str) -> Self:
        key = super().__new__(cls, name.lower())
        key.written = name
        return key

    def __str__(self) -> str:
        return self.written


header_key = lru_cache(maxsize=4096)(HeaderKey)


def has_header(headers: HeadersDict, name: str) -> bool:
    return header_key(name) in headers._dict


def find_header(headers: HeadersDict, name: str, default: Any = None) -> Any:
    return headers._dict.get(header_key(name), default)


def parse_headers(
    parser: BaseRestParser, response: Any, shape: StructureShape, members: Any, parsed: Any
) -> None:
    """Parse the members of a response that are not in its body."""
    headers = response["headers"]
    for name, member, location, header in located_members(shape):
        if location == "statusCode":
            parsed[name] = parser._parse_shape(member, response["status_code"])
        elif location == "headers":
            parsed[name] = parser._parse_header_map(member, headers)
        elif location == "header" and header in headers:
            parsed[name] = parser._parse_shape(member, headers[header])


def located_members(shape: StructureShape) -> list[tuple[str, Any, str, str]]:
    if "located" not in vars(shape):
        shape.located = [
            (name, member, member.serialization["location"], member.serialization.get("name", name))
            for name, member in shape.members.items()
            if member.serialization.get("location") is not None
        ]
    return shape.located


def is_error_despite_status(status: int, body: bytes | None) -> bool:
    """Whether a response from S3 with status 200 contains an error or is truncated.

    botocore parses the whole body for this check, and later parses the body again.
    """
    root = ROOT.match(body or b"")
    if root and root[1] != b"Error" and body.endswith(b"</%b>" % root[1]):
        return False
    return is_special_case_error(status, body)
