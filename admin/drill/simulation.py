"""Checks the promoter's rights on stored objects with IAM's simulator, without its role."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from admin.account import Account, none_if
from admin.desired.permissions import Document
from admin.drill.attacks import OVERWRITTEN, NotAsPromisedError, StoredObject
from admin.drill.iam_simulation import ALLOWED, DENIALS, EXPLICIT_DENY, simulate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What the promoter must not be able to do to a stored object.
NEVER = (
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:BypassGovernanceRetention",
    "s3:PutObjectRetention",
    "s3:PutObjectLegalHold",
    "s3:PutObjectTagging",
    "s3:DeleteObjectTagging",
    "s3:PutObjectAcl",
)
# Condition keys of a request: an empty If-None-Match, and those of a copy.
EMPTY = {"s3:if-none-match": ""}
AS_A_COPY = {"s3:if-none-match": "*", "s3:x-amz-server-side-encryption": "AES256"}


def can_only_add(
    account: Account, vault_client: "S3Client", *, role: str, stored: StoredObject
) -> Iterator[str]:
    """Check that each kind of policy alone lets the role (an ARN) only add new objects.

    Yields a sentence for each. `vault_client` is an administrator's. Raises NotAsPromisedError.
    """

    def decide(
        actions: Iterable[str], bucket_policy: Document | None, context: Mapping[str, str]
    ) -> dict[str, str]:
        return simulate(
            account,
            role=role,
            actions=actions,
            resource=f"arn:aws:s3:::{stored.vault}/{stored.slot}",
            context={"s3:ObjectCreationOperation": "true", **context},
            bucket_policy=bucket_policy,
        )

    answer = none_if(
        "NoSuchBucketPolicy", lambda: vault_client.get_bucket_policy(Bucket=stored.vault)
    )
    actual: Document | None = json.loads(answer["Policy"]) if answer else None
    for which, bucket_policy, expected in (
        ("its own IAM policy", None, DENIALS),
        # The IAM policy denies these too, but the bucket policy must hold without it.
        ("the vault's bucket policy", actual, {EXPLICIT_DENY}),
    ):
        promise = f"{which} lets the promoter only add new objects (IAM's simulator)"
        for condition, remark in ({}, ""), (EMPTY, " with an empty If-None-Match"):
            decisions = decide(NEVER, bucket_policy, condition)
            if actions := [
                action for action, decision in decisions.items() if decision not in expected
            ]:
                happened = f"it does not deny {', '.join(actions)}{remark}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
        [new] = decide(NEVER[:1], bucket_policy, AS_A_COPY).values()
        if new != ALLOWED:
            happened = f"{NEVER[0]} with If-None-Match is {new}"
            why = "No upload would be promoted from now on"
            raise NotAsPromisedError(promise, happened=happened, why=why)
        yield promise
