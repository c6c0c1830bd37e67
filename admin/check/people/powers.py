"""Actions that only administrators need: for each kind of resource, those that give power over it.

Reading gives no power, because backups are encrypted. Neither does cloudwatch:PutMetricData: anyone
who can write to any log can write any metric (embedded metric format), so denying it would not
help. `check` looks at the buckets themselves instead. Nor does sns:Publish, which many programs
have on every topic: it sends false alerts, as such metrics do, but suppresses none. Rights that
lead to another principal's credentials are steps of a way, which `admin.check.reach` searches for.
"""

from dataclasses import dataclass

from admin.check.people.conditions import Context
from admin.check.people.places import Resource
from admin.desired.bucket_policies import CHANGES_TO_STORED_OBJECTS


@dataclass(frozen=True)
class Power:
    """Actions on one kind of resource, and what anyone with one of them could do."""

    resource: Resource
    could: str
    actions: tuple[str, ...]


PASSING = "iam:PassRole"
_LAMBDA_STOPS = (
    "lambda:DeleteFunction",
    "lambda:PutFunctionConcurrency",
    "lambda:PutFunctionEventInvokeConfig",
    "lambda:PutFunctionScalingConfig",
    "lambda:PutRuntimeManagementConfig",
    "lambda:RemovePermission",
    "lambda:UpdateFunctionEventInvokeConfig",
)
_EVENTS_STOPS = (
    "events:DisableRule",
    "events:DeleteRule",
    "events:PutRule",
    "events:PutTargets",
    "events:RemoveTargets",
)
# The worst comes first: a finding names a principal's first power.
POWERS = (
    Power(
        Resource.VAULT,
        "remove the vault's protection, and then every backup",
        ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    ),
    Power(
        Resource.STORED,
        "destroy, hide or unlock stored backups",
        (
            *(action for action in CHANGES_TO_STORED_OBJECTS if "*" not in action),
            "s3:DeleteObjectAnnotation",
            "s3:DeleteObjectVersionAnnotation",
            "s3:PutObjectAnnotation",
            "s3:PutObjectVersionAnnotation",
            "s3:ReplicateObjectAnnotation",
            "s3:PutObjectRetention",
        ),
    ),
    Power(
        Resource.VAULT,
        "make stored backups expire, or leave new ones unprotected",
        (
            "s3:PutLifecycleConfiguration",
            "s3:PutBucketVersioning",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutEncryptionConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketAcl",
            "s3:DeleteBucket",
        ),
    ),
    Power(
        Resource.STORED,
        "fill free slots, so that the real backups are contested",
        ("s3:PutObject",),
    ),
    Power(
        Resource.FUNCTION,
        "run other code with the function's rights",
        ("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    ),
    Power(
        Resource.ROLE,
        "run their own code with the function's rights",
        (PASSING,),
    ),
    Power(
        Resource.UPLOADS,
        "upload as a server, or remove uploads before they are promoted",
        (
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:AbortMultipartUpload",
            "s3:ReplicateObject",
            "s3:ReplicateDelete",
            "s3:UpdateObjectEncryption",
            "s3:PutObjectRetention",
            "s3:PutObjectLegalHold",
        ),
    ),
    Power(
        Resource.INCOMING,
        "make uploads disappear, or stop them",
        (
            "s3:PutBucketPolicy",
            "s3:DeleteBucketPolicy",
            "s3:PutLifecycleConfiguration",
            "s3:PutBucketVersioning",
            "s3:PutBucketNotification",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutEncryptionConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketRequestPayment",
            "s3:PutBucketAcl",
            "s3:DeleteBucket",
        ),
    ),
    Power(Resource.FUNCTION, "stop promotions, or their retries and alarms", _LAMBDA_STOPS),
    Power(Resource.STORED, "abort every copy into the vault", ("s3:AbortMultipartUpload",)),
    Power(
        Resource.ROLE,
        "take away the function's rights",
        (
            "iam:PutRolePermissionsBoundary",
            "iam:DetachRolePolicy",
            "iam:UpdateRole",
            "iam:DeleteRole",
        ),
    ),
    Power(
        Resource.USER,
        "stop the uploads of a server",
        (
            "iam:DeleteAccessKey",
            "iam:PutUserPermissionsBoundary",
            "iam:UpdateUser",
            "iam:DeleteUser",
        ),
    ),
    Power(
        Resource.SCHEDULE,
        "stop the sweep or the audit, so that nobody learns what waits or is missing",
        _EVENTS_STOPS,
    ),
    Power(
        Resource.SIREN,
        "silence the sirens, which report changes to the vault's policy",
        _EVENTS_STOPS,
    ),
    Power(
        Resource.TRAIL,
        "silence the sirens, which need the trail",
        (
            "cloudtrail:StopLogging",
            "cloudtrail:DeleteTrail",
            "cloudtrail:UpdateTrail",
            "cloudtrail:PutEventSelectors",
        ),
    ),
    Power(
        Resource.ALARM,
        "silence the alarms",
        (
            "cloudwatch:DeleteAlarms",
            "cloudwatch:DisableAlarmActions",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:PutAlarmMuteRule",
            "cloudwatch:SetAlarmState",
        ),
    ),
    Power(
        Resource.TOPIC,
        "read the alerts, or keep them from those who need them",
        (
            "sns:DeleteTopic",
            "sns:SetTopicAttributes",
            "sns:SetSubscriptionAttributes",
            "sns:Unsubscribe",
            "sns:PutDataProtectionPolicy",
            "sns:AddPermission",
            "sns:RemovePermission",
            "sns:Subscribe",
        ),
    ),
    Power(
        Resource.LOG_GROUP,
        "delete log records, or stop new ones",
        (
            "logs:DeleteLogGroup",
            "logs:DeleteLogStream",
            "logs:AssociateKmsKey",
            "logs:PutDataProtectionPolicy",
            "logs:PutTransformer",
            "logs:PutSubscriptionFilter",
        ),
    ),
    Power(
        Resource.FUNCTION,
        "run the function at will, at your cost",
        (
            "lambda:InvokeFunction",
            "lambda:InvokeAsync",
            "lambda:InvokeFunctionUrl",
            "lambda:AddPermission",
            "lambda:CreateFunctionUrlConfig",
            "lambda:UpdateFunctionUrlConfig",
            "lambda:PutFunctionRecursionConfig",
        ),
    ),
)


def context_of(action: str) -> Context:
    """What is known about a request: the functions' roles can be passed only to Lambda.

    Whether they trust anyone else is checked elsewhere.
    """
    return {"iam:passedtoservice": "lambda.amazonaws.com"} if action == PASSING else {}


# The only actions on these resources that the denial leaves.
READING = (
    "s3:Get*",
    "s3:List*",
    "lambda:Get*",
    "lambda:List*",
    "iam:Get*",
    "iam:List*",
    "sns:Get*",
    "sns:List*",
    "cloudwatch:Describe*",
    "cloudwatch:List*",
    "logs:Describe*",
    "logs:Filter*",
    "logs:Get*",
    "logs:List*",
    "logs:StartQuery",
    "events:Describe*",
    "events:List*",
    "cloudtrail:Describe*",
    "cloudtrail:Get*",
    "cloudtrail:List*",
    "cloudtrail:Lookup*",
)
