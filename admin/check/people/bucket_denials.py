"""The statements of bucket policies that deny a principal something in any case."""

import json

from admin.account import none_if
from admin.check.people.identities import Principal
from admin.check.people.rights import Policy, denials_for
from admin.desired.permissions import Document, document
from admin.target import Target


def read_bucket_policy(target: Target, bucket: str) -> Document:
    """The bucket's policy; empty if the bucket has none, or does not exist."""
    s3 = target.account.account_of(bucket).client("s3")
    answer = none_if(
        "NoSuchBucket",
        lambda: none_if("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=bucket)),
    )
    return json.loads(answer["Policy"]) if answer else document()


def bucket_denials(policy: Document, principal: Principal) -> tuple[Policy, ...]:
    """The statements of a bucket policy that certainly deny something to the principal."""
    if principal.is_new or principal.renamed:  # its name could be among those that are exempt
        return ()
    return (Policy(denials_for(policy, arn=principal.arn, user_id=principal.id)),)
