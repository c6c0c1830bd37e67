"""Whether a store honours conditions: several clones do not, and no slot is safe in those."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from admin.drill.attacks import NOT_FREE, STATUSES, UNDECIDED, NotAsPromisedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNSAFE = (
    "This store is not safe: of two uploads for one slot the second would replace the first. "
    "Keep no backups there"
)


def conditions_hold(s3: "S3Client", *, bucket: str, prefix: str) -> Iterator[str]:
    """Write conditionally, in every way, where something is and where nothing is, as sentences.

    `bucket` is one in which the caller may write below `prefix`; what it writes there stays.
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
        _write_in_parts(s3, bucket=bucket, key=key)

    _must_go_through("PutObject", lambda: put(taken, b"first"))
    ways = {"PutObject": put, "CopyObject": copy, "CompleteMultipartUpload": complete}
    for operation, write in ways.items():
        _must_be_refused(operation, lambda write=write: write(taken))  # type: ignore[misc]
        # There are stores that answer 412 when they have already overwritten.
        if s3.get_object(Bucket=bucket, Key=taken)["Body"].read() != b"first":
            raise NotAsPromisedError(
                f"{operation} with If-None-Match overwrites nothing",
                happened="the store refused it, and overwrote all the same",
                why=UNSAFE,
            )
        yield f"the store refuses {operation} with If-None-Match where something is"
    _must_go_through("CopyObject", lambda: copy(free))
    yield "the store takes CopyObject with If-None-Match where nothing is"


def _must_be_refused(operation: str, write: Callable[[], Any]) -> None:
    promise = f"{operation} with If-None-Match overwrites nothing"
    try:
        write()
    except ClientError as error:
        if (answer := _answer(error)) != (STATUSES[NOT_FREE], NOT_FREE):
            happened = f"the store answered {answer[0]} {answer[1]}, not {NOT_FREE}"
            raise NotAsPromisedError(promise, happened=happened, why=UNSAFE) from None
    else:
        raise NotAsPromisedError(promise, happened="the store ignores conditions", why=UNSAFE)


def _must_go_through(operation: str, write: Callable[[], Any]) -> None:
    try:
        write()
    except ClientError as error:
        status, code = _answer(error)
        raise NotAsPromisedError(
            f"{operation} with If-None-Match writes where nothing is",
            happened=f"the store answered {status} {code}",
            why="Nothing could ever be promoted there",
        ) from None


def _answer(error: ClientError) -> tuple[int, str]:
    """What the store answered; raises the error again where it was none."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status in UNDECIDED:
        raise error
    return status, error.response["Error"]["Code"]


def _write_in_parts(s3: "S3Client", *, bucket: str, key: str) -> None:
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    place: Any = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    try:
        part = s3.upload_part(**place, PartNumber=1, Body=b"second")
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        s3.complete_multipart_upload(**place, MultipartUpload=parts, IfNoneMatch="*")
    except ClientError:
        # What is refused stays open, and its parts are paid for.
        s3.abort_multipart_upload(**place)
        raise
