"""CloudTrail's check of the bucket to which a trail delivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from moto.cloudtrail.models import CloudTrailBackend, Trail
from moto.core.exceptions import JsonRESTError

from localcloud.iam.service_principals import ServiceCall, allows_on
from localcloud.iam.stored import find_bucket
from localcloud.s3.bucket_policies import current_policy

_SERVICE = "cloudtrail.amazonaws.com"


@contextmanager
def checking_buckets() -> Iterator[None]:
    """Make CreateTrail refuse a bucket to which CloudTrail cannot deliver, until the block ends.

    CloudTrail user guide, "Amazon S3 bucket policy for CloudTrail".
    """
    create = CloudTrailBackend.create_trail

    def create_trail(backend: CloudTrailBackend, *arguments: Any) -> Trail:
        trail = create(backend, *arguments)
        if not _can_deliver(trail):
            backend.trails.pop(trail.trail_name)
            raise JsonRESTError(
                "InsufficientS3BucketPolicyException",
                f"Incorrect S3 bucket policy is detected for bucket: {trail.bucket_name}",
            )
        return trail

    with mock.patch.object(CloudTrailBackend, "create_trail", create_trail):
        yield


def _can_deliver(trail: Trail) -> bool:
    bucket = find_bucket(trail.bucket_name)
    policy = current_policy(bucket) if bucket else None
    if policy is None:
        return False
    arn = f"arn:aws:s3:::{trail.bucket_name}"
    prefix = f"{trail.s3_key_prefix}/" if trail.s3_key_prefix else ""
    logs = f"{arn}/{prefix}AWSLogs/{trail.account_id}/"
    source = {"aws:SourceArn": trail.arn, "aws:SourceAccount": trail.account_id}
    owned = {"s3:x-amz-acl": "bucket-owner-full-control"}
    reads = ServiceCall(service=_SERVICE, action="s3:GetBucketAcl", context=source)
    writes = ServiceCall(service=_SERVICE, action="s3:PutObject", context=source | owned)
    statements = policy["Statement"]
    return allows_on(arn, statements, reads) and allows_on(logs, statements, writes)
