"""Unfinished multipart uploads of the local S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.s3.exceptions import NoSuchUpload, S3ClientError
from moto.s3.models import FakeMultipart

from localcloud.clock import utcnow
from localcloud.s3.attributes import Attributes, Checksum
from localcloud.s3.checksums import ALGORITHMS, digest, encoded
from localcloud.s3.content import Content, StoredKey
from localcloud.s3.events import next_moment
from localcloud.s3.kms_keys import kms_keys
from localcloud.s3.versions import new_version_id

if TYPE_CHECKING:
    from moto.s3.responses import S3Response

LARGEST_PART_NUMBER = 10_000
FULL_OBJECT_ONLY = {"CRC64NVME"}
COMPOSITE_ONLY = {"SHA1", "SHA256"}


class MultipartUpload(FakeMultipart):
    """An unfinished upload, with when it was initiated and which version it will become.

    Lock and encryption are the bucket's at that moment, even if the bucket changes before the
    upload is completed. `place` among the versions and, if the bucket keeps versions, `version_id`
    are also set then.
    """

    parts: dict[int, StoredKey]  # type: ignore[assignment]

    def __init__(self, request: S3Response, key_name: str) -> None:
        super().__init__(
            key_name,
            {},  # type: ignore[arg-type]
            account_id=request.backend.account_id,
            region_name=request.backend.region_name,
        )
        # Listings are sorted by key and ID, and S3 lists a key's uploads in order of initiation.
        self.place = next_moment()
        self.id = self.place + self.id
        bucket = request.backend.get_bucket(request.bucket_name)
        self.version_id = new_version_id(bucket)
        self.initiated = utcnow()
        self.attributes = Attributes.of_request(request)
        self.chosen_algorithm: str | None = request.headers.get("x-amz-checksum-algorithm")
        self.chosen_type: str | None = request.headers.get("x-amz-checksum-type")
        self.checksum_algorithm = self.chosen_algorithm or "CRC64NVME"
        self.checksum_type = self.chosen_type or (
            "FULL_OBJECT" if self.checksum_algorithm in FULL_OBJECT_ONLY else "COMPOSITE"
        )
        if self.checksum_algorithm not in ALGORITHMS:
            raise S3ClientError("InvalidRequest", "Checksum algorithm provided is unsupported.")
        impossible = FULL_OBJECT_ONLY if self.checksum_type == "COMPOSITE" else COMPOSITE_ONLY
        if self.checksum_algorithm in impossible:
            raise S3ClientError(
                "InvalidRequest",
                f"The {self.checksum_type} checksum type cannot be used with the "
                f"{self.checksum_algorithm.lower()} checksum algorithm.",
            )

    def put_part(self, number: int, content: Content) -> StoredKey:
        kms_keys.refuse_to_encrypt_a_part(self.attributes.encryption)
        part = StoredKey(
            str(number),
            content,
            account_id=self.account_id,
            region_name=self.region_name,
            etag=content.md5(),
            **self.attributes.encryption,
        )
        self.parts[number] = part
        return part

    def checksum(self, parts: list[StoredKey], content: Content) -> Checksum:
        """The checksum of the object that these parts become."""
        if self.checksum_type == "FULL_OBJECT":
            return Checksum.of(content, self.checksum_algorithm)
        digests = b"".join(part.content.digest(self.checksum_algorithm) for part in parts)
        value = encoded(digest(digests, self.checksum_algorithm))
        return Checksum(self.checksum_algorithm, f"{value}-{len(parts)}", "COMPOSITE")


def find_upload(request: S3Response, key_name: str, upload_id: str) -> MultipartUpload:
    """The unfinished upload with this key and ID. Raises NoSuchUpload."""
    upload = request.backend.get_bucket(request.bucket_name).multiparts.get(upload_id)
    if not isinstance(upload, MultipartUpload) or upload.key_name != key_name:
        raise NoSuchUpload(upload_id=upload_id)
    return upload


def find_upload_of_part(request: S3Response) -> tuple[MultipartUpload, int]:
    """The unfinished upload that the request adds a part to, and the part's number."""
    upload = find_upload(request, request.parse_key_name(), request._get_param("uploadId"))
    number = request._get_int_param("partNumber")
    if not 1 <= number <= LARGEST_PART_NUMBER:
        raise S3ClientError(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {LARGEST_PART_NUMBER}, inclusive",
        )
    return upload, number
