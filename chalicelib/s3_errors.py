"""Reads S3 errors. None of them proves whether the request took effect."""

from http import HTTPStatus

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004


def error_code(error: Exception) -> str:
    """AWS's code for the error, such as `NoSuchKey`; empty if AWS did not respond."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def http_status(error: ClientError) -> int:
    """The HTTP status of the response, such as 404."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def is_transient(error: Exception) -> bool:
    """True if a retry may succeed: throttled, 5xx, or no connection."""
    if isinstance(error, ClientError):
        return http_status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, ConnectionError | HTTPClientError)


def may_have_worked(error: Exception) -> bool:
    """True if the request may have taken effect: its response was lost on the way.

    The error can come from a retry, after the first attempt took effect.
    """
    if isinstance(error, ClientError) and error.response["ResponseMetadata"].get("RetryAttempts"):
        return True
    return is_transient(error)
