"""Copies an upload in many parts at once, within one run. A copy that fails leaves no parts."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.policy.decision import Checksum, Upload
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.copy_plan import Part, Tuning, plan_parts, seconds_to_end
from chalicelib.promotion.leftovers import abort, abort_stale_copies, unfinished_copies
from chalicelib.s3_errors import is_transient

# The checksums that S3 can compute over a whole object that arrives in parts.
FULL_OBJECT_IN_PARTS = frozenset({"CRC64NVME", "CRC32", "CRC32C"})
# botocore retries too, but only some hundred times for all requests of a client together: too few
# for many streams, some of which S3 throttles while it scales up. With `pause`, these retries last
# a minute.
PART_ATTEMPTS = 10


class OutOfTimeError(Exception):
    """A copy that could not finish within its run. The message explains what to change."""


@dataclass(kw_only=True)
class CopyInParts:
    """A copy to the vault, made with a multipart upload.

    The first request that fails permanently stops all requests that have not started.
    """

    incoming: Incoming
    vault: Vault
    upload: Upload
    name: str
    tuning: Tuning
    seconds_left: Callable[[], float]
    stopped_by: Exception | None = None

    def __post_init__(self) -> None:
        """Set how many seconds the run has for the copy."""
        self.seconds = self.seconds_left()

    def make(self, carried: dict[str, Any]) -> bool:
        """Copy as `copying.copy` promises; a copy that fails is aborted."""
        checksum = self.upload.checksum
        if checksum and checksum.algorithm not in FULL_OBJECT_IN_PARTS:
            checksum = None
        algorithm: Any = checksum.algorithm if checksum else "CRC64NVME"
        kind: Any = {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}
        begun = self.vault.s3.create_multipart_upload(
            **self.vault.args, Key=self.name, **carried, **kind
        )
        upload_id = begun["UploadId"]
        self.target = {**self.vault.args, "Key": self.name, "UploadId": upload_id}
        try:
            # Leaving the pool waits for running parts; aborting earlier would leave parts behind.
            with ThreadPoolExecutor(max_workers=self.tuning.streams) as pool:
                # Runs in parallel with the parts, so it costs no time.
                listing = pool.submit(unfinished_copies, self.vault)
                etags = list(pool.map(self._copy_part, plan_parts(self.upload.size, self.tuning)))
            verified = self._complete(etags, checksum)
        except BaseException as error:
            # Leave no parts behind; if some remain, the error reports that too.
            try:
                abort(self.vault, self.name, upload_id)
            except (ClientError, BotoCoreError) as second:
                error.add_note(f"Its parts could not be removed either: {second}")
            raise
        abort_stale_copies(
            self.vault,
            filled=self.name,
            listed=lambda: [copy for copy in listing.result() if copy.upload_id != upload_id],
        )
        return verified

    def _copy_part(self, part: Part) -> str:
        """Copy a part and return its ETag. The first wave always starts, however short the time.

        Raises OutOfTimeError, ClientError or BotoCoreError.
        """
        request = {**self.target, **self.incoming.copy_source(self.upload)}
        # S3 accepts ranges only of objects larger than 5 MiB.
        if part.size < self.upload.size:
            request["CopySourceRange"] = f"bytes={part.first}-{part.last}"
        try:
            if part.number > self.tuning.streams:
                self._check_whether_to_begin(part)
            send = partial(self.vault.s3.upload_part_copy, **request, PartNumber=part.number)
            etag: str = self._persist(send, size=part.size)["CopyPartResult"]["ETag"]
        except (ClientError, BotoCoreError, OutOfTimeError) as error:
            self.stopped_by = error
            raise
        return etag

    def _check_whether_to_begin(self, part: Part) -> None:
        """Raise if another part has failed, or if this part could not finish in time."""
        if self.stopped_by:
            raise self.stopped_by
        if not self._has_time(part.size):
            raise OutOfTimeError(
                f"{self.name}: {self.upload.size:,} bytes could not be copied within "
                f"the {self.seconds:,.0f} seconds that this run had; raise lambda_timeout in "
                ".chalice/config.json"
            )

    def _complete(self, etags: list[str], checksum: Checksum | None) -> bool:
        """Complete the object; True if S3 has compared a checksum over the whole object."""
        expected: Any = {f"Checksum{checksum.algorithm}": checksum.value} if checksum else {}
        parts: Any = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, start=1)]
        send = partial(
            self.vault.s3.complete_multipart_upload,
            **self.target,
            **expected,
            IfNoneMatch="*",
            MultipartUpload={"Parts": parts},
            MpuObjectSize=self.upload.size,
            ChecksumType="FULL_OBJECT",
        )
        answer = self._persist(send, size=0)
        return checksum is not None and expected.items() <= answer.items()

    def _persist(self, send: Callable[[], Any], *, size: int) -> Any:
        """Send a request that copies `size` bytes, and retry it while a retry may succeed."""
        for attempt in count(1):
            try:
                return send()
            except (ClientError, BotoCoreError) as error:
                if attempt > 1 and isinstance(error, ClientError):
                    # An earlier attempt may have taken effect, as with botocore's own retries.
                    error.response["ResponseMetadata"]["RetryAttempts"] = attempt
                is_last = attempt == PART_ATTEMPTS or not self._has_time(size)
                if is_last or self.stopped_by or not is_transient(error):
                    raise
            # Spread the retries: the streams were refused at the same moment.
            time.sleep(self.tuning.pause * attempt * random.uniform(0.5, 1))  # noqa: S311
        return None

    def _has_time(self, size: int) -> bool:
        """True if there is time to copy `size` more bytes."""
        return self.seconds_left() >= seconds_to_end(size, self.tuning)
