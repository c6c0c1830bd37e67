"""What an error of S3's says. None of them says by itself what was done and what was not."""

from http import HTTPStatus

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004


def error_code(error: Exception) -> str:
    """AWS's own code for an error (`NoSuchKey`); empty where AWS did not answer."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def http_status(error: ClientError) -> int:
    """The status of the answer (404)."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def may_pass(error: Exception) -> bool:
    """Whether S3 may do it when it is asked later: it is busy, unwell or out of reach."""
    if isinstance(error, ClientError):
        return http_status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, ConnectionError | HTTPClientError)


def may_have_worked(error: Exception) -> bool:
    """Whether S3 may have done what it was asked: an answer of its was lost on the way.

    The error itself can be that of a retry, which met what the first try had done.
    """
    if isinstance(error, ClientError) and error.response["ResponseMetadata"].get("RetryAttempts"):
        return True
    return may_pass(error)
