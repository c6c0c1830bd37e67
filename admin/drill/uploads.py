"""The drill's uploads: uploaded as a server, found in the vault once promoted, and locked there."""

import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from admin.account import AccountError, none_if
from admin.drill.attacks import NotAsPromisedError, StoredObject
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.rules import DRILL, DRILL_UPLOAD

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024**2
# Bytes of the small upload.
SIZE = 1024
# In total more than the promoter copies in one request; only one part is in memory at a time.
PARTS, PART = 5, 7 * MIB
# How many of the newest slots to look at, because a minute can begin while waiting.
MOST_SLOTS = 4
# S3's version ID for objects in a bucket without versions.
UNVERSIONED = "null"


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """What the server has uploaded: its ETag, and the SHA-256 of its bytes."""

    etag: str
    sha256: str


def _uploaded(etag: str, digest: "hashlib._Hash") -> Uploaded:
    return Uploaded(etag=etag.strip('"'), sha256=digest.hexdigest())


@dataclass(frozen=True, kw_only=True)
class DrillUploads:
    """Both buckets and the promoter, as the drill uses them. All times are S3's."""

    target: Target
    waiter: Waiter

    @property
    def vault_client(self) -> "S3Client":
        """An S3 client of the vault account's administrator."""
        client: S3Client = self.target.vault_account.client("s3")
        return client

    def upload(self, server: "S3Client") -> Uploaded:
        """Upload random bytes as the server."""
        body = secrets.token_bytes(SIZE)
        answer = server.put_object(Bucket=self.target.incoming, Key=DRILL_UPLOAD, Body=body)
        return _uploaded(answer["ETag"], hashlib.sha256(body))

    def upload_in_parts(self, server: "S3Client") -> Uploaded:
        """Upload random bytes as the server in a multipart upload, as large backups are."""
        where: Any = {"Bucket": self.target.incoming, "Key": DRILL_UPLOAD}
        begun = server.create_multipart_upload(
            **where, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
        )
        multipart: Any = {**where, "UploadId": begun["UploadId"]}
        digest, parts = hashlib.sha256(), list[Any]()
        for number in range(1, PARTS + 1):
            body = secrets.token_bytes(PART)
            digest.update(body)
            part = server.upload_part(
                **multipart, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
            )
            checked = {name: part[name] for name in ("ETag", "ChecksumCRC32")}
            parts.append({"PartNumber": number, **checked})
        answer = server.complete_multipart_upload(
            **multipart, MultipartUpload={"Parts": parts}, ChecksumType="FULL_OBJECT"
        )
        return _uploaded(answer["ETag"], digest)

    def wait_for_a_free_slot(self) -> None:
        """Wait for a minute whose slot no earlier drill has filled."""
        while True:
            names, now = self._stored()
            slot = self.target.policy.slot_of(DRILL_UPLOAD, now)
            if slot.name not in names:
                return
            self.waiter.tell(f"waiting for the next minute: {slot.name} is already filled")
            time.sleep((slot.end - now).total_seconds())

    def wait_for_promotion(self, etag: str) -> StoredObject:
        """Wait for the stored copy of this upload; raises NotAsPromisedError if there is none."""
        for _ in self.waiter.polls("the promotion"):
            names, _ = self._stored()
            for slot in names[:MOST_SLOTS]:
                head = self.vault_client.head_object(Bucket=self.target.vault, Key=slot)
                if head["Metadata"].get("source-etag") == etag:
                    _, _, parts = head["ETag"].strip('"').partition("-")
                    return StoredObject(
                        incoming=self.target.incoming,
                        upload=DRILL_UPLOAD,
                        vault=self.target.vault,
                        slot=slot,
                        parts=int(parts) if parts else None,
                        version_id=head.get("VersionId", UNVERSIONED),
                        lock_mode=head.get("ObjectLockMode"),
                        locked_until=head.get("ObjectLockRetainUntilDate", head["LastModified"]),
                    )
        raise NotAsPromisedError(
            "an upload is promoted",
            happened=f"it was not promoted within {self.waiter.seconds:.0f} seconds",
            why=f"Check that {self.target.incoming} notifies the function (make deploy fixes "
            f"that), and read its log, /aws/lambda/{self._promoter}",
        )

    def outcome(self) -> dict[str, Any]:
        """Invoke the promoter for the upload, as S3 does; returns the outcome.

        S3's own event can come first. Raises NotAsPromisedError if the promoter fails.
        """
        about = {
            "bucket": {"name": self.target.incoming},
            "object": {"key": DRILL_UPLOAD},
        }
        client, event = self.target.account.client("lambda"), {"Records": [{"s3": about}]}
        answer = self.waiter.retry_while(
            {"TooManyRequestsException"},
            "the promoter's throttling to end",
            lambda: client.invoke(FunctionName=self._promoter, Payload=json.dumps(event)),
        )
        if answer is None:
            raise AccountError(
                f"{self._promoter} was throttled for {self.waiter.seconds:.0f} seconds; raise its "
                "concurrency, or run the drill again later"
            )
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise NotAsPromisedError(
                "the promoter settles every upload",
                happened=f"it failed: {payload.get('errorMessage', payload)}",
                why=f"See its log, /aws/lambda/{self._promoter}",
            )
        [outcome] = payload["outcomes"]
        return dict(outcome)

    def restore(self, stored: StoredObject) -> str:
        """Read the stored object; return the SHA-256 of its bytes."""
        answer = self.vault_client.get_object(Bucket=stored.vault, Key=stored.slot)
        digest = hashlib.sha256()
        for chunk in answer["Body"].iter_chunks(MIB):
            digest.update(chunk)
        return digest.hexdigest()

    @property
    def _promoter(self) -> str:
        return self.target.stage.function_name("promote")

    def _stored(self) -> tuple[list[str], datetime]:
        """The drill's objects in the vault, newest first, and S3's time."""
        pages = list(
            self.vault_client.get_paginator("list_objects_v2").paginate(
                Bucket=self.target.vault, Prefix=f"{DRILL}/"
            )
        )
        objects = [
            (item["LastModified"], item["Key"])
            for page in pages
            for item in page.get("Contents", [])
        ]
        now = parsedate_to_datetime(pages[-1]["ResponseMetadata"]["HTTPHeaders"]["date"])
        return [key for _, key in sorted(objects, reverse=True)], now


def lock_holds(vault_client: "S3Client", stored: StoredObject) -> str:
    """A sentence stating until when the object is locked. `vault_client` is an administrator's.

    A vault without a default lock is the owner's choice, which the sentence states. Raises
    NotAsPromisedError if the vault keeps no versions, or if its default lock does not lock.
    """
    if stored.version_id == UNVERSIONED:
        raise NotAsPromisedError(
            "the vault keeps every version of an object",
            happened="versioning is not enabled",
            why="No object can be locked there, and an overwritten object is lost",
        )
    if stored.lock_mode:
        until = f"{stored.locked_until:%Y-%m-%d %H:%M}"
        return f"the stored object is locked until {until} ({stored.lock_mode.lower()})"
    configuration = none_if(
        "ObjectLockConfigurationNotFoundError",
        lambda: vault_client.get_object_lock_configuration(Bucket=stored.vault),
    )
    if configuration is None or "Rule" not in configuration["ObjectLockConfiguration"]:
        return "the stored object is not locked: the vault has no default lock"
    default = configuration["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    raise NotAsPromisedError(
        "the stored object is locked",
        happened=f"it is not, though the vault's default lock is {default['Mode'].lower()}",
        why="Without a lock only the vault's bucket policy protects it. (S3 shows locks only to "
        "those "
        "with s3:GetObjectRetention; make sure that you have it)",
    )
