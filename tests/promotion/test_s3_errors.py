"""The code of an error, and whether the error is transient."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from chalicelib.s3_errors import error_code, is_transient

URL = {"endpoint_url": "https://s3.example.org"}


def client_error(status: int, code: str) -> ClientError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "UploadPartCopy")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (client_error(500, "InternalError"), "InternalError", True),
        (client_error(503, "SlowDown"), "SlowDown", True),
        (client_error(503, "ServiceUnavailable"), "ServiceUnavailable", True),
        (ReadTimeoutError(**URL), "", True),
        (ConnectTimeoutError(**URL), "", True),
        (ConnectionClosedError(**URL), "", True),
        (EndpointConnectionError(**URL), "", True),
        (client_error(400, "BadDigest"), "BadDigest", False),
        (client_error(403, "AccessDenied"), "AccessDenied", False),
        (client_error(404, "NoSuchUpload"), "NoSuchUpload", False),
        (client_error(409, "ConditionalRequestConflict"), "ConditionalRequestConflict", False),
        (client_error(412, "PreconditionFailed"), "PreconditionFailed", False),
        (NoCredentialsError(), "", False),
    ],
    ids=str,
)
def test_code_and_transience(error: Exception, code: str, transient: bool) -> None:
    assert (error_code(error), is_transient(error)) == (code, transient)
