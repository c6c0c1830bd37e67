"""A copy in many parts at once: it can be interrupted and continued, and leaves nothing behind."""

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
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


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A multipart upload that was neither completed nor aborted: parts without an object."""

    key: str
    upload_id: str


@dataclass(frozen=True, kw_only=True)
class Copied:
    """The copy is made. `proven`: S3 itself has compared its size and checksum to the source's.

    `others` tells what else is unfinished in the same bucket; raises what S3 answered to that.
    """

    proven: bool
    others: Callable[[], list[Unfinished]]


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """The time was up, or S3 out of reach: `added` parts were copied, `missing` are.

    `upload_id` goes on with it; `cause` is S3's last error (None: the time was up).
    """

    upload_id: str
    added: int
    missing: int
    cause: Exception | None = None


def copy_in_parts(
    s3: "S3Client",
    *,
    source: Source,
    destination: Destination,
    limits: Limits,
    seconds_left: Callable[[], float] | None,
    upload_id: str | None,
) -> Copied | Interrupted:
    """Copy as `copying.copy` promises. What fails is aborted; what is interrupted is not."""
    plan = plan_parts(source.size, limits)
    resumed = _resume(s3, source, destination, upload_id, plan) if upload_id else None
    upload, there = resumed or (_begin(s3, source, destination), {})
    missing = [part for part in plan if part.number not in there]
    turn = _Turn(seconds_left=seconds_left, limits=limits)
    try:
        # Leaving the pool waits for the parts under way: what is aborted before they end stays.
        with ThreadPoolExecutor(max_workers=limits.streams) as pool:
            # Beside the parts this look takes no time of its own.
            listing = pool.submit(
                unfinished, s3, bucket=destination.bucket, owner=destination.owner
            )
            etags = pool.map(lambda part: upload.copy_part(part, turn), missing)
            there |= {part.number: etag for part, etag in zip(missing, etags, strict=True) if etag}
        lacking = len(plan) - len(there)
        proven = None if lacking else upload.complete(there, turn)
    except BaseException as error:
        upload.abandon(error)
        raise
    if proven is None:
        return Interrupted(
            upload_id=upload.id,
            added=len(missing) - lacking,
            missing=lacking,
            cause=turn.given_up,
        )
    return Copied(
        # What the object carries was said when the upload was begun: not by this run, if resumed.
        proven=proven and not resumed,
        others=lambda: [one for one in listing.result() if one.upload_id != upload.id],
    )


def unfinished(s3: "S3Client", *, bucket: str, owner: str | None) -> list[Unfinished]:
    """Every multipart upload to `bucket` that is not finished."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, **expected_owner(owner)
    )
    return [
        Unfinished(key=upload["Key"], upload_id=upload["UploadId"])
        for page in pages
        for upload in page.get("Uploads", [])
    ]


def abort(s3: "S3Client", what: Unfinished, *, bucket: str, owner: str | None) -> None:
    """Abort it, and with it its parts. That it is finished or aborted already is success."""
    try:
        s3.abort_multipart_upload(
            Bucket=bucket, Key=what.key, UploadId=what.upload_id, **expected_owner(owner)
        )
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise


@dataclass(kw_only=True)
class _Turn:
    """How long a run goes on with a copy, and the error for which it has given up, if it has."""

    limits: Limits
    seconds_left: Callable[[], float] | None
    given_up: Exception | None = None

    def has_time_for(self, part: Part) -> bool:
        """Whether the part can still be started."""
        if self.seconds_left is None:
            return True
        return not self.given_up and self.seconds_left() >= seconds_to_end(part.size, self.limits)

    def give_up(self, error: Exception) -> None:
        """Leave the rest to the next run, if there is one and the error may pass; else raise."""
        if self.seconds_left is None or not may_pass(error):
            raise error
        self.given_up = error


@dataclass(frozen=True, kw_only=True)
class _Upload:
    """The multipart upload of one copy."""

    s3: "S3Client"
    source: Source
    destination: Destination
    id: str

    def copy_part(self, part: Part, turn: _Turn) -> str | None:
        """The ETag of the part; None if it is left to the next run."""
        for attempt in count(1):
            if not turn.has_time_for(part):
                break
            try:
                return self.s3.upload_part_copy(
                    **self.destination.place,
                    UploadId=self.id,
                    PartNumber=part.number,
                    CopySourceRange=f"bytes={part.first}-{part.last}",
                    **self.source.pinned,
                )["CopyPartResult"]["ETag"]
            except (ClientError, BotoCoreError) as error:
                if attempt == PART_ATTEMPTS or not may_pass(error):
                    turn.give_up(error)
                    break
            # Not all streams at the same moment again.
            time.sleep(turn.limits.pause * attempt * random.uniform(0.5, 1))  # noqa: S311
        return None

    def complete(self, etags: Mapping[int, str], turn: _Turn) -> bool | None:
        """Let S3 make the object if size and checksum are right; whether its answer says so.

        None if it is left to the next run.
        """
        checksum = self.source.kept_checksum
        expected: dict[str, Any] = {f"Checksum{checksum[0]}": checksum[1]} if checksum else {}
        parts: Any = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
        try:
            answer: Mapping[str, Any] = self.s3.complete_multipart_upload(
                **self.destination.place,
                UploadId=self.id,
                IfNoneMatch="*",
                MultipartUpload={"Parts": parts},
                MpuObjectSize=self.source.size,
                ChecksumType="FULL_OBJECT",
                **expected,
            )
        except (ClientError, BotoCoreError) as error:
            turn.give_up(error)
            return None
        return all(answer.get(name) == value for name, value in expected.items())

    def abandon(self, error: BaseException) -> None:
        """Leave no parts behind; if they stay, `error` says so too."""
        this, to = Unfinished(key=self.destination.key, upload_id=self.id), self.destination
        try:
            abort(self.s3, this, bucket=to.bucket, owner=to.owner)
        except (ClientError, BotoCoreError) as second:
            error.add_note(f"Its parts could not be removed either: {second}")


def _begin(s3: "S3Client", source: Source, destination: Destination) -> _Upload:
    """A multipart copy carries nothing of the source's but bytes; S3 computes its checksum."""
    algorithm: Any = (source.kept_checksum or ("CRC64NVME", ""))[0]
    begun = s3.create_multipart_upload(
        **destination.place,
        **destination.carried,
        ChecksumAlgorithm=algorithm,
        ChecksumType="FULL_OBJECT",
    )
    return _Upload(s3=s3, source=source, destination=destination, id=begun["UploadId"])


def _resume(
    s3: "S3Client", source: Source, destination: Destination, upload_id: str, plan: list[Part]
) -> tuple[_Upload, dict[int, str]] | None:
    """The upload and the ETags of its parts that are as planned; None if there is none any more."""
    sizes = {part.number: part.size for part in plan}
    pages = s3.get_paginator("list_parts").paginate(**destination.place, UploadId=upload_id)
    try:
        there = {
            part["PartNumber"]: part["ETag"]
            for page in pages
            for part in page.get("Parts", [])
            if part["Size"] == sizes.get(part["PartNumber"])
        }
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise
        return None
    return _Upload(s3=s3, source=source, destination=destination, id=upload_id), there
