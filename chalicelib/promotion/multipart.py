"""A copy in many parts at once. It ends in its run, and leaves nothing behind if it fails."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.policy.decision import Checksum, Upload
from chalicelib.promotion.buckets import Incoming, Unfinished, Vault
from chalicelib.promotion.copy_plan import Limits, Part, plan_parts, seconds_to_end
from chalicelib.s3_errors import may_pass

# Checksums that S3 can compute over a whole object that arrives in parts; the others it cannot.
FULL_OBJECT_IN_PARTS = frozenset({"CRC64NVME", "CRC32", "CRC32C"})
# botocore tries each request again, but all of a client's together only some hundred times: too few
# for many streams, of which S3 refuses some while it makes room. With `pause` these last a minute.
PART_ATTEMPTS = 10


class OutOfTimeError(Exception):
    """A copy that could not end within its run; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """The copy is made. `verified`: S3 itself has compared its checksum and size to the upload's.

    `others` tells what else is unfinished in the vault; raises what S3 answered to that.
    """

    verified: bool
    others: Callable[[], list[Unfinished]]


def copy_in_parts(
    incoming: Incoming,
    vault: Vault,
    *,
    upload: Upload,
    name: str,
    carried: dict[str, Any],
    limits: Limits,
    seconds_left: Callable[[], float],
) -> Copied:
    """Copy as `copying.copy` promises; whatever fails is aborted."""
    seconds = seconds_left()
    checksum = upload.checksum
    if checksum and checksum.algorithm not in FULL_OBJECT_IN_PARTS:
        checksum = None
    algorithm: Any = checksum.algorithm if checksum else "CRC64NVME"
    begun = vault.s3.create_multipart_upload(
        **vault.args,
        Key=name,
        **carried,
        ChecksumAlgorithm=algorithm,
        ChecksumType="FULL_OBJECT",
    )
    copy = _Copy(
        incoming=incoming,
        vault=vault,
        upload=upload,
        place={**vault.args, "Key": name, "UploadId": begun["UploadId"]},
        limits=limits,
        seconds_left=seconds_left,
        seconds=seconds,
    )
    try:
        # Leaving the pool waits for running parts; aborting earlier would leave parts behind.
        with ThreadPoolExecutor(max_workers=limits.streams) as pool:
            # Runs beside the parts, so it costs no time.
            listing = pool.submit(vault.unfinished)
            etags = list(pool.map(copy.copy_part, plan_parts(upload.size, limits)))
        verified = copy.complete(etags, checksum)
    except BaseException as error:
        # Leave no parts behind; if they stay, the error says so too.
        try:
            vault.abort(name, begun["UploadId"])
        except (ClientError, BotoCoreError) as second:
            error.add_note(f"Its parts could not be removed either: {second}")
        raise
    return Copied(
        verified=verified,
        others=lambda: [one for one in listing.result() if one.upload_id != begun["UploadId"]],
    )


@dataclass(kw_only=True)
class _Copy:
    """One copy in parts, in its multipart upload; `seconds` is what its run had for it.

    The first request that fails for good stops all that have not begun.
    """

    incoming: Incoming
    vault: Vault
    upload: Upload
    place: dict[str, Any]
    limits: Limits
    seconds_left: Callable[[], float]
    seconds: float
    stopped_by: Exception | None = None

    def copy_part(self, part: Part) -> str:
        """The ETag of the part. Parts of the first wave always start, however little time is left.

        Raises OutOfTimeError, ClientError or BotoCoreError.
        """
        # S3 takes ranges only of objects beyond 5 MiB.
        whole = part.size == self.upload.size
        piece: Any = {} if whole else {"CopySourceRange": f"bytes={part.first}-{part.last}"}
        try:
            if part.number > self.limits.streams:
                self._check_whether_to_begin(part)
            etag: str = self._persist(
                lambda: self.vault.s3.upload_part_copy(
                    **self.place,
                    PartNumber=part.number,
                    **piece,
                    **self.incoming.copy_source(self.upload),
                ),
                size=part.size,
            )["CopyPartResult"]["ETag"]
        except (ClientError, BotoCoreError, OutOfTimeError) as error:
            self.stopped_by = error
            raise
        return etag

    def _check_whether_to_begin(self, part: Part) -> None:
        """Raise if another part has failed, or if this one could not end in time."""
        if self.stopped_by:
            raise self.stopped_by
        if not self._has_time(part.size):
            raise OutOfTimeError(
                f"{self.place['Key']}: {self.upload.size:,} bytes could not be copied within "
                f"the {self.seconds:,.0f} seconds that this run had; raise lambda_timeout in "
                ".chalice/config.json"
            )

    def complete(self, etags: list[str], checksum: Checksum | None) -> bool:
        """Let S3 make the object; whether S3 has compared a checksum over all of it."""
        expected: dict[str, Any] = (
            {f"Checksum{checksum.algorithm}": checksum.value} if checksum else {}
        )
        parts: Any = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, start=1)]
        answer = self._persist(
            lambda: self.vault.s3.complete_multipart_upload(
                **self.place,
                IfNoneMatch="*",
                MultipartUpload={"Parts": parts},
                MpuObjectSize=self.upload.size,
                ChecksumType="FULL_OBJECT",
                **expected,
            ),
            size=0,
        )
        return bool(expected) and all(answer.get(name) == expected[name] for name in expected)

    def _persist(self, send: Callable[[], Any], *, size: int) -> Any:
        """The answer to a request that copies `size` bytes, sent again while that may help."""
        for attempt in count(1):
            try:
                return send()
            except (ClientError, BotoCoreError) as error:
                if attempt > 1 and isinstance(error, ClientError):
                    # S3 may have done what an earlier try asked for, as with retries of botocore's.
                    error.response["ResponseMetadata"]["RetryAttempts"] = attempt
                is_last = attempt == PART_ATTEMPTS or not self._has_time(size)
                if is_last or self.stopped_by or not may_pass(error):
                    raise
            # Not all streams at the same moment again.
            time.sleep(self.limits.pause * attempt * random.uniform(0.5, 1))  # noqa: S311
        return None

    def _has_time(self, size: int) -> bool:
        """Whether `size` bytes can still be copied."""
        return self.seconds_left() >= seconds_to_end(size, self.limits)
