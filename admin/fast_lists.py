"""Reads S3's lists of versions in a fraction of botocore's time."""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from xml.etree import ElementTree as ET

import botocore.session
from botocore.utils import parse_timestamp

_LISTS = {"Version": "Versions", "DeleteMarker": "DeleteMarkers"}


def with_fast_lists(session: botocore.session.Session) -> botocore.session.Session:
    """The session, whose clients parse lists of versions and their times faster.

    For each version, they read the fields in _FIELDS.
    """
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_parse_time)
    session.register("before-parse.s3.ListObjectVersions", _read_versions)
    return session


def _read_versions(**answer: Any) -> None:
    """botocore's hook on a response: take the versions out, and leave the rest to botocore."""
    response, read = answer["response_dict"], answer["customized_response_dict"]
    # botocore has checked the response already: if it is not a complete list, its status has been
    # changed.
    if response["status_code"] != HTTPStatus.OK or not response["body"]:
        return
    root = ET.fromstring(response["body"])  # noqa: S314 - as botocore does
    rest, namespace = [], root.tag.find("}") + 1
    for node in root:
        if name := _LISTS.get(node.tag[namespace:]):
            read.setdefault(name, []).append(_entry(node, namespace))
        else:
            rest.append(node)
    root[:] = rest
    response["body"] = ET.tostring(root)


def _entry(node: ET.Element, namespace: int) -> dict[str, Any]:
    """A version or a delete marker. All names begin with a namespace of this length."""
    return {
        name: read(child.text or "")
        for child in node
        if (read := _FIELDS.get(name := child.tag[namespace:]))
    }


def _parse_time(value: Any) -> datetime:
    """Parse a time in the format of S3's lists, such as 2026-11-23T12:30:00.000Z."""
    if isinstance(value, str) and value.endswith("Z"):
        return datetime.fromisoformat(value)
    return parse_timestamp(value)


_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "Key": str,
    "VersionId": str,
    "IsLatest": "true".__eq__,
    "LastModified": _parse_time,
    "ETag": str,
    "Size": int,
    "StorageClass": str,
}
