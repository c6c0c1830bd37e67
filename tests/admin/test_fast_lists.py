"""Lists of versions are parsed as botocore parses them, but faster."""

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from admin.account import isolated_session
from admin.fast_lists import with_fast_lists
from tests.support.wire import retries_at_once

VERSION = """
<Version><Key>web1/a%2Bb%20%26.sql</Key><VersionId>3sL4kqtJlcpXroDTDmJ</VersionId>
<IsLatest>true</IsLatest><LastModified>2026-11-23T12:30:00.000Z</LastModified>
<ETag>&quot;fba9dede5f27731c9771645a39863328-2&quot;</ETag><Size>434234</Size>
<StorageClass>GLACIER</StorageClass></Version>
"""
MARKER = """
<DeleteMarker><Key>web1/a%2Bb%20%26.sql</Key><VersionId>null</VersionId><IsLatest>false</IsLatest>
<LastModified>2026-11-24T12:30:00.000Z</LastModified></DeleteMarker>
"""
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>vault</Name>
<Prefix>web1/</Prefix><KeyMarker></KeyMarker><MaxKeys>1000</MaxKeys>
<EncodingType>url</EncodingType><IsTruncated>{is_truncated}</IsTruncated>
<NextKeyMarker>web1/a%2Bb</NextKeyMarker><NextVersionIdMarker>3sL4</NextVersionIdMarker>
{entries}</ListVersionsResult>"""


class Body:
    """A raw response."""

    def __init__(self, text: str) -> None:
        self._text = text

    def stream(self, **_: Any) -> Any:
        """Everything in one response."""
        yield self._text.encode()


def answers(*bodies: str, is_fast: bool) -> Any:
    """A client whose requests get these responses; the last one repeats."""
    session = isolated_session()
    core = with_fast_lists(session) if is_fast else session
    s3 = boto3.Session(
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        botocore_session=core,
    ).client("s3")
    left = list(bodies)

    def send(request: Any, **_: Any) -> AWSResponse:
        body = left.pop(0) if len(left) > 1 else left[0]
        return AWSResponse(request.url, 200, {}, Body(body))

    s3.meta.events.register("before-send.s3", send)
    return s3


@pytest.mark.parametrize(
    "entries",
    ["", VERSION, MARKER, VERSION + MARKER + VERSION],
    ids=["empty", "a version", "a delete marker", "three"],
)
@pytest.mark.parametrize("is_truncated", ["true", "false"])
def test_a_list_is_what_botocore_makes_of_it(entries: str, is_truncated: str) -> None:
    body = PAGE.format(entries=entries, is_truncated=is_truncated)
    fast, plain = (
        answers(body, is_fast=is_fast).list_object_versions(Bucket="vault")
        for is_fast in (True, False)
    )
    assert fast == plain


def test_what_else_s3_lists_for_a_version_is_left_out() -> None:
    more = "<Owner><ID>1</ID></Owner><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm></Version>"
    bodies = [
        PAGE.format(entries=entry, is_truncated="false")
        for entry in (VERSION, VERSION.replace("</Version>", more))
    ]
    one, other = (
        answers(body, is_fast=True).list_object_versions(Bucket="vault")["Versions"]
        for body in bodies
    )
    assert one == other


@pytest.mark.parametrize(
    "wrong",
    ["<Error><Code>InternalError</Code></Error>", PAGE[:200], ""],
    ids=["an error", "the begin of a list", "nothing"],
)
def test_what_is_no_list_is_requested_again(wrong: str) -> None:
    right = PAGE.format(entries=VERSION, is_truncated="false")
    with retries_at_once():
        s3 = answers(wrong, right, is_fast=True)
        assert len(s3.list_object_versions(Bucket="vault").get("Versions", [])) == bool(wrong)


def test_an_error_with_status_200_is_an_error() -> None:
    s3 = answers("<Error><Code>InternalError</Code></Error>", is_fast=True)
    with retries_at_once(), pytest.raises(ClientError, match="InternalError"):
        s3.list_object_versions(Bucket="vault")
