"""Checks that a store honours conditional writes, which several S3-compatible stores do not."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from admin.drill.attacks import NOT_FREE, STATUSES, UNDECIDED, NotAsPromisedError
from admin.drill.object_attacks import write_in_parts
from chalicelib.s3_errors import error_code, http_status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNSAFE = (
    "This store is not safe: a second upload for a slot would replace the first. "
    "Keep no backups there"
)


def conditions_hold(s3: "S3Client", *, bucket: str, prefix: str) -> Iterator[str]:
    """Try every kind of conditional write on an existing and on a missing object; yield sentences.

    The caller must be allowed to write to `bucket` below `prefix`; the objects stay there.
    Raises NotAsPromisedError.
    """
    taken, free, source = (f"{prefix}/{name}" for name in ("taken", "free", "source"))
    s3.put_object(Bucket=bucket, Key=source, Body=b"second")
    copy_source: Any = {"Bucket": bucket, "Key": source}

    def put(key: str, body: bytes = b"second") -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")

    def copy(key: str) -> None:
        s3.copy_object(Bucket=bucket, Key=key, CopySource=copy_source, IfNoneMatch="*")

    def complete(key: str) -> None:
        write_in_parts(s3, {"Bucket": bucket, "Key": key}, IfNoneMatch="*")

    _must_succeed("PutObject", lambda: put(taken, b"first"))
    ways = {"PutObject": put, "CopyObject": copy, "CompleteMultipartUpload": complete}
    for operation, write in ways.items():
        _must_be_denied(operation, lambda write=write: write(taken))  # type: ignore[misc]
        # Some stores return 412 although they have overwritten the object.
        if s3.get_object(Bucket=bucket, Key=taken)["Body"].read() != b"first":
            raise NotAsPromisedError(
                f"{operation} with If-None-Match never overwrites",
                happened="the store returned an error, but overwrote the object",
                why=UNSAFE,
            )
        yield f"the store denies {operation} with If-None-Match if the object exists"
    _must_succeed("CopyObject", lambda: copy(free))
    yield "the store accepts CopyObject with If-None-Match if the object does not exist"


def _must_be_denied(operation: str, write: Callable[[], Any]) -> None:
    promise = f"{operation} with If-None-Match never overwrites"
    try:
        write()
    except ClientError as error:
        if (answer := _answer(error)) != (STATUSES[NOT_FREE], NOT_FREE):
            happened = f"the store returned {answer[0]} {answer[1]}, not {NOT_FREE}"
            raise NotAsPromisedError(promise, happened=happened, why=UNSAFE) from None
    else:
        raise NotAsPromisedError(promise, happened="the store ignores the condition", why=UNSAFE)


def _must_succeed(operation: str, write: Callable[[], Any]) -> None:
    try:
        write()
    except ClientError as error:
        status, code = _answer(error)
        raise NotAsPromisedError(
            f"{operation} with If-None-Match creates a missing object",
            happened=f"the store returned {status} {code}",
            why="No upload could be promoted there",
        ) from None


def _answer(error: ClientError) -> tuple[int, str]:
    """Status and code of the response; raises the error again if the store made no decision."""
    if http_status(error) in UNDECIDED:
        raise error
    return http_status(error), error_code(error)
