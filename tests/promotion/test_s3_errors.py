"""What an error says: its code, and whether it may pass."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from chalicelib.s3_errors import error_code, may_pass

URL = {"endpoint_url": "https://s3.example.org"}


def answered(status: int, code: str) -> ClientError:
    said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "UploadPartCopy")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "passes"),
    [
        (answered(500, "InternalError"), "InternalError", True),
        (answered(503, "SlowDown"), "SlowDown", True),
        (answered(503, "ServiceUnavailable"), "ServiceUnavailable", True),
        (ReadTimeoutError(**URL), "", True),
        (ConnectTimeoutError(**URL), "", True),
        (ConnectionClosedError(**URL), "", True),
        (EndpointConnectionError(**URL), "", True),
        (answered(400, "BadDigest"), "BadDigest", False),
        (answered(403, "AccessDenied"), "AccessDenied", False),
        (answered(404, "NoSuchUpload"), "NoSuchUpload", False),
        (answered(409, "ConditionalRequestConflict"), "ConditionalRequestConflict", False),
        (answered(412, "PreconditionFailed"), "PreconditionFailed", False),
        (NoCredentialsError(), "", False),
    ],
    ids=str,
)
def test_what_it_says(error: Exception, code: str, passes: bool) -> None:
    assert (error_code(error), may_pass(error)) == (code, passes)
