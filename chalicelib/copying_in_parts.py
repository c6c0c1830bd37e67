"""A copy in many parts at once. It ends in its run, and leaves nothing behind if it fails."""

import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.copy_ends import Destination, Source, expected_owner
from chalicelib.part_plan import Limits, Part, plan_parts, seconds_to_end
from chalicelib.s3_errors import error_code, may_pass

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# botocore tries each request again, but all of a client's together only some hundred times: too few
# for many streams, of which S3 refuses some while it makes room. With `pause` these last a minute.
PART_ATTEMPTS = 10


class OutOfTimeError(Exception):
    """A copy that could not end within its run; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A multipart upload that was neither completed nor aborted: parts without an object."""

    key: str
    upload_id: str
    begun: datetime


@dataclass(frozen=True, kw_only=True)
class Copied:
    """The copy is made. `verified`: S3 itself has compared its checksum and size to the source's.

    `others` tells what else is unfinished in the same bucket; raises what S3 answered to that.
    """

    verified: bool
    others: Callable[[], list[Unfinished]]


def copy_in_parts(
    s3: "S3Client",
    *,
    source: Source,
    destination: Destination,
    limits: Limits,
    seconds_left: Callable[[], float] | None,
) -> Copied:
    """Copy as `copying.copy` promises; whatever fails is aborted."""
    plan = plan_parts(source.size, limits)
    copy = _begin(s3, source, destination, limits, seconds_left or (lambda: math.inf))
    try:
        # Leaving the pool waits for running parts; aborting earlier would leave parts behind.
        with ThreadPoolExecutor(max_workers=limits.streams) as pool:
            # Runs beside the parts, so it costs no time.
            listing = pool.submit(
                unfinished, s3, bucket=destination.bucket, owner=destination.owner
            )
            etags = list(pool.map(copy.copy_part, plan))
        verified = copy.complete(etags)
    except BaseException as error:
        copy.abandon(error)
        raise
    return Copied(
        verified=verified,
        others=lambda: [one for one in listing.result() if one.upload_id != copy.id],
    )


def unfinished(s3: "S3Client", *, bucket: str, owner: str | None) -> list[Unfinished]:
    """Every multipart upload to `bucket` that is not finished."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, **expected_owner(owner)
    )
    return [
        Unfinished(key=upload["Key"], upload_id=upload["UploadId"], begun=upload["Initiated"])
        for page in pages
        for upload in page.get("Uploads", [])
    ]


def abort(s3: "S3Client", *, key: str, upload_id: str, bucket: str, owner: str | None) -> None:
    """Abort it, and with it its parts. That it is finished or aborted already is success."""
    try:
        s3.abort_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload_id, **expected_owner(owner)
        )
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise


@dataclass(kw_only=True)
class _Copy:
    """One copy in parts: its multipart upload `id`, and the `seconds` that its run had for it.

    The first request that fails for good stops all that have not begun.
    """

    s3: "S3Client"
    source: Source
    destination: Destination
    limits: Limits
    seconds_left: Callable[[], float]
    seconds: float
    id: str
    stopped_by: Exception | None = None

    def copy_part(self, part: Part) -> str:
        """The ETag of the part. Parts of the first wave always start, however little time is left.

        Raises OutOfTimeError, ClientError or BotoCoreError.
        """
        # S3 takes ranges only of objects beyond 5 MiB.
        whole = part.size == self.source.size
        piece: Any = {} if whole else {"CopySourceRange": f"bytes={part.first}-{part.last}"}
        try:
            if part.number > self.limits.streams:
                self._check_time(part.size)
            etag: str = self._persist(
                lambda: self.s3.upload_part_copy(
                    **self.destination.place,
                    UploadId=self.id,
                    PartNumber=part.number,
                    **piece,
                    **self.source.pinned,
                ),
                size=part.size,
            )["CopyPartResult"]["ETag"]
        except (ClientError, BotoCoreError, OutOfTimeError) as error:
            self.stopped_by = error
            raise
        return etag

    def complete(self, etags: list[str]) -> bool:
        """Let S3 make the object; whether S3 has compared a checksum over all of it."""
        checksum = self.source.checksum_in_parts
        expected: dict[str, Any] = {f"Checksum{checksum[0]}": checksum[1]} if checksum else {}
        parts: Any = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, start=1)]
        answer = self._persist(
            lambda: self.s3.complete_multipart_upload(
                **self.destination.place,
                UploadId=self.id,
                IfNoneMatch="*",
                MultipartUpload={"Parts": parts},
                MpuObjectSize=self.source.size,
                ChecksumType="FULL_OBJECT",
                **expected,
            ),
            size=0,
        )
        return bool(expected) and all(answer.get(name) == expected[name] for name in expected)

    def abandon(self, error: BaseException) -> None:
        """Leave no parts behind; if they stay, `error` says so too."""
        to = self.destination
        try:
            abort(self.s3, key=to.key, upload_id=self.id, bucket=to.bucket, owner=to.owner)
        except (ClientError, BotoCoreError) as second:
            error.add_note(f"Its parts could not be removed either: {second}")

    def _persist(self, send: Callable[[], Any], *, size: int) -> Any:
        """The answer to a request that copies `size` bytes, sent again while that may help."""
        for attempt in range(1, PART_ATTEMPTS):
            try:
                return send()
            except (ClientError, BotoCoreError) as error:
                if not may_pass(error):
                    raise
            # Not all streams at the same moment again.
            time.sleep(self.limits.pause * attempt * random.uniform(0.5, 1))  # noqa: S311
            self._check_time(size)
        return send()

    def _check_time(self, size: int) -> None:
        """Raise unless `size` bytes can still be copied."""
        if self.stopped_by:
            raise self.stopped_by
        if self.seconds_left() < seconds_to_end(size, self.limits):
            raise OutOfTimeError(
                f"{self.destination.key}: {self.source.size:,} bytes could not be copied within "
                f"the {self.seconds:,.0f} seconds that this run had; raise lambda_timeout in "
                ".chalice/config.json"
            )


def _begin(
    s3: "S3Client",
    source: Source,
    destination: Destination,
    limits: Limits,
    seconds_left: Callable[[], float],
) -> _Copy:
    """A multipart copy carries nothing of the source's but bytes; S3 computes its checksum."""
    algorithm: Any = (source.checksum_in_parts or ("CRC64NVME", ""))[0]
    begun = s3.create_multipart_upload(
        **destination.place,
        **destination.carried,
        ChecksumAlgorithm=algorithm,
        ChecksumType="FULL_OBJECT",
    )
    return _Copy(
        s3=s3,
        source=source,
        destination=destination,
        limits=limits,
        seconds_left=seconds_left,
        seconds=seconds_left(),
        id=begun["UploadId"],
    )
