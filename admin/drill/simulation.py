"""The promoter's rights on what is stored, asked of IAM: the drill of who assumes no role."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from admin.account import Account, absent_if
from admin.desired.permissions import Document
from admin.drill.attacks import OVERWRITTEN, NotAsPromisedError, Place
from admin.drill.iam_simulation import ALLOWED, DENIALS, EXPLICIT_DENY, simulate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What the promoter must never do to what is stored.
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
# The conditions of a request: one without a value, and those of a copy.
EMPTY = {"s3:if-none-match": ""}
AS_A_COPY = {"s3:if-none-match": "*", "s3:x-amz-server-side-encryption": "AES256"}


def may_only_add(account: Account, keeper: "S3Client", *, role: str, place: Place) -> Iterator[str]:
    """By either lock alone the role (an ARN) may only add what is new: a sentence for each.

    `keeper` administers the vault. Raises NotAsPromisedError.
    """

    def decide(
        actions: Iterable[str], bucket_policy: Document | None, context: Mapping[str, str]
    ) -> dict[str, str]:
        return simulate(
            account,
            role=role,
            actions=actions,
            resource=f"arn:aws:s3:::{place.vault}/{place.slot}",
            context={"s3:ObjectCreationOperation": "true", **context},
            bucket_policy=bucket_policy,
        )

    answer = absent_if("NoSuchBucketPolicy", lambda: keeper.get_bucket_policy(Bucket=place.vault))
    live: Document | None = json.loads(answer["Policy"]) if answer else None
    for whose, bucket_policy, kept in (
        ("its own policies", None, DENIALS),
        # Denied by its own policies would do; but this lock must hold without that one.
        ("the vault's policy", live, {EXPLICIT_DENY}),
    ):
        promise = f"by {whose} the promoter may only add what is new, says IAM's simulation"
        for condition, said in ({}, ""), (EMPTY, " with an empty If-None-Match"):
            decisions = decide(NEVER, bucket_policy, condition)
            if may := [action for action, decision in decisions.items() if decision not in kept]:
                happened = f"nothing there keeps it from {', '.join(may)}{said}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
        [new] = decide(NEVER[:1], bucket_policy, AS_A_COPY).values()
        if new != ALLOWED:
            happened = f"{NEVER[0]} with If-None-Match is {new}"
            why = "Nothing would be promoted any more"
            raise NotAsPromisedError(promise, happened=happened, why=why)
        yield promise
