"""A trail of our own, which `setup --trail` creates if the account has none.

EventBridge receives API calls only where a trail logs management events (EventBridge user guide,
"AWS service events delivered via AWS CloudTrail").
"""

from collections.abc import Iterator

from admin.choices import TRAIL_PRICE, SetupOptions
from admin.config.reading import APP_NAME
from admin.desired.permissions import Document, document
from admin.desired.private_bucket import closed_to_the_world
from admin.desired.requirement import Kind, Requirement

# One trail for all stages of an account in a Region: only the first copy of the events is free.
NAME = APP_NAME
# The same as for the functions' logs.
DAYS_KEPT = 90
# Read events change nothing, and would be most of what is stored.
WRITES = [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]


def trail_arn(*, account: str, region: str) -> str:
    """The ARN of the trail in an account (12 digits) and region."""
    return f"arn:aws:cloudtrail:{region}:{account}:trail/{NAME}"


def trail(options: SetupOptions, *, account: str, region: str) -> Iterator[Requirement]:
    """The trail and its bucket, if they were chosen."""
    if not options.trail:
        return
    bucket = f"{NAME}-trail-{account}-{region}"
    yield Requirement(
        kind=Kind.BUCKET,
        resource=bucket,
        desired={"region": region},
        summary=f"bucket {bucket}",
        why="CloudTrail writes its log to it.",
    )
    yield from closed_to_the_world(bucket)
    yield Requirement(
        kind=Kind.LIFECYCLE,
        resource=bucket,
        desired=[
            {
                "ID": f"{APP_NAME}-expire",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "Expiration": {"Days": DAYS_KEPT},
            }
        ],
        summary=f"{bucket}: expire logs after {DAYS_KEPT} days",
        why="Otherwise they would be billed forever.",
    )
    yield Requirement(
        kind=Kind.BUCKET_POLICY,
        resource=bucket,
        desired=_log_policy(bucket, account=account, region=region)["Statement"],
        summary=f"{bucket}: let CloudTrail write its log",
        why="CloudTrail does not create a trail without this.",
    )
    yield Requirement(
        kind=Kind.TRAIL,
        resource=trail_arn(account=account, region=region),
        desired={"S3BucketName": bucket, "IsLogging": True, "EventSelectors": WRITES},
        summary=f"trail {NAME}, which logs API calls that change something",
        why=f"EventBridge receives API calls only where a trail logs them. {TRAIL_PRICE}.",
    )


def _log_policy(bucket: str, *, account: str, region: str) -> Document:
    """Source: CloudTrail user guide, "Amazon S3 bucket policy for CloudTrail"."""
    arn = f"arn:aws:s3:::{bucket}"
    only_ours = {"aws:SourceArn": trail_arn(account=account, region=region)}
    allowed = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    return document(
        {
            "Sid": "AWSCloudTrailAclCheck20150319",
            **allowed,
            "Action": "s3:GetBucketAcl",
            "Resource": arn,
            "Condition": {"StringEquals": only_ours},
        },
        {
            "Sid": "AWSCloudTrailWrite20150319",
            **allowed,
            "Action": "s3:PutObject",
            "Resource": f"{arn}/AWSLogs/{account}/*",
            "Condition": {
                "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", **only_ours}
            },
        },
    )
