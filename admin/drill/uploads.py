"""A drill's own uploads: made as a server makes them, and found again where they were promoted."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from admin.account import Account
from admin.drill.attacks import NotAsPromisedError, Place
from admin.drill.lock import UNVERSIONED
from admin.stage import Stage
from admin.waiting import Patience
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import DRILL, REHEARSAL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD = f"{DRILL}/{REHEARSAL.upload}"
# How many minutes can begin, at most, while somebody looks for a rehearsal.
RECENT = 4


@dataclass(frozen=True, kw_only=True)
class Rehearsals:
    """Both buckets and the promoter, as a drill needs them. Only S3's clock counts."""

    account: Account
    stage: Stage
    policy: Policy
    patience: Patience

    @property
    def keeper(self) -> "S3Client":
        """The administrator of the account that the vault is in."""
        holder = self.account.holding(self.stage.settings.vault_bucket)
        client: S3Client = holder.client("s3")
        return client

    def upload(self, server: "S3Client", body: bytes) -> str:
        """Upload it as the server; its ETag."""
        bucket = self.stage.settings.incoming_bucket
        return server.put_object(Bucket=bucket, Key=UPLOAD, Body=body)["ETag"].strip('"')

    def wait_for_a_free_slot(self) -> None:
        """Return in a minute whose slot no earlier drill has filled."""
        while True:
            names, now = self._stored()
            slot = self.policy.slot_of(UPLOAD, now)
            if slot.name not in names:
                return
            self.patience.tell(f"waiting for the next minute: {slot.name} is filled already")
            time.sleep((slot.end - now).total_seconds())

    def wait_for_promotion(self, etag: str) -> Place:
        """Where the upload with this ETag is stored. Raises NotAsPromisedError if nowhere."""
        settings = self.stage.settings
        for _ in self.patience.tries("the promotion"):
            names, _ = self._stored()
            for slot in names[:RECENT]:
                head = self.keeper.head_object(Bucket=settings.vault_bucket, Key=slot)
                if head["Metadata"].get("source-etag") == etag:
                    return Place(
                        incoming=settings.incoming_bucket,
                        upload=UPLOAD,
                        vault=settings.vault_bucket,
                        slot=slot,
                        version_id=head.get("VersionId", UNVERSIONED),
                        lock_mode=head.get("ObjectLockMode"),
                        locked_until=head.get("ObjectLockRetainUntilDate", head["LastModified"]),
                    )
        raise NotAsPromisedError(
            "an upload is promoted",
            happened=f"nothing was promoted within {self.patience.seconds:.0f} seconds",
            why=f"Look at whether {settings.incoming_bucket} notifies the function (make deploy "
            f"mends that), and into its log, /aws/lambda/{self._promoter}",
        )

    def outcome(self) -> dict[str, Any]:
        """What the promoter says of the upload when it is told of it, as S3 tells it.

        S3's own event may come first. Raises NotAsPromisedError where it fails.
        """
        about = {
            "bucket": {"name": self.stage.settings.incoming_bucket},
            "object": {"key": UPLOAD},
        }
        answer = self.account.client("lambda").invoke(
            FunctionName=self._promoter, Payload=json.dumps({"Records": [{"s3": about}]})
        )
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise NotAsPromisedError(
                "the promoter settles every upload",
                happened=f"it failed: {said.get('errorMessage', said)}",
                why=f"Its log, /aws/lambda/{self._promoter}, says more",
            )
        [outcome] = said["outcomes"]
        return dict(outcome)

    def restore(self, place: Place) -> bytes:
        """What comes out of the vault."""
        return self.keeper.get_object(Bucket=place.vault, Key=place.slot)["Body"].read()

    @property
    def _promoter(self) -> str:
        return self.stage.function_name("promote")

    def _stored(self) -> tuple[list[str], datetime]:
        """The rehearsals in the vault, the newest first; and what time it is, says S3."""
        pages = list(
            self.keeper.get_paginator("list_objects_v2").paginate(
                Bucket=self.stage.settings.vault_bucket, Prefix=f"{DRILL}/"
            )
        )
        found = [
            (one["LastModified"], one["Key"]) for page in pages for one in page.get("Contents", [])
        ]
        now = parsedate_to_datetime(pages[-1]["ResponseMetadata"]["HTTPHeaders"]["date"])
        return [key for _, key in sorted(found, reverse=True)], now
