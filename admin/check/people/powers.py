"""What only administrators need: on each kind of resource, the actions that are power over backups.

Reading is no power here: backups are encrypted. Neither is cloudwatch:PutMetricData: everyone who
can write to any log can write any metric of an app (embedded metric format), so nobody could be
denied it. `check` looks at the buckets themselves instead. Nor is sns:Publish, which many programs
have on every topic: it sends false alerts, as such metrics do, and takes none away.
"""

from dataclasses import dataclass

from admin.check.people.places import Resource
from admin.desired.bucket_policies import CHANGES_TO_STORED_OBJECTS


@dataclass(frozen=True)
class Power:
    """Actions on one kind of resource, and what anyone who is allowed one of them could do."""

    resource: Resource
    could: str
    actions: tuple[str, ...]


_LAMBDA_STOPS = (
    "lambda:DeleteFunction",
    "lambda:PutFunctionConcurrency",
    "lambda:PutFunctionEventInvokeConfig",
    "lambda:PutFunctionScalingConfig",
    "lambda:PutRuntimeManagementConfig",
    "lambda:RemovePermission",
    "lambda:UpdateFunctionEventInvokeConfig",
)
# The worst comes first: a finding names the first of a principal's powers.
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
        "let stored backups expire, or leave new ones unprotected",
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
        "run other code with the rights of the function",
        ("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    ),
    Power(
        Resource.ROLE,
        "run code of their own with the rights of the function",
        ("iam:PassRole",),
    ),
    Power(
        Resource.USER,
        "upload in the name of a server",
        (
            "iam:CreateAccessKey",
            "iam:CreateLoginProfile",
            "iam:UpdateLoginProfile",
        ),
    ),
    Power(
        Resource.UPLOADS,
        "upload in the name of a server, or remove uploads before they are promoted",
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
        "let uploads disappear, or stop them",
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
    Power(Resource.FUNCTION, "stop promotions", _LAMBDA_STOPS),
    Power(Resource.STORED, "abort every copy into the vault", ("s3:AbortMultipartUpload",)),
    Power(
        Resource.ROLE,
        "take away the rights of the function",
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
            "iam:UpdateAccessKey",
            "iam:PutUserPermissionsBoundary",
            "iam:UpdateUser",
            "iam:DeleteUser",
        ),
    ),
    Power(
        Resource.SCHEDULE,
        "stop the sweep, so that nothing notices what waits",
        (
            "events:DisableRule",
            "events:DeleteRule",
            "events:PutRule",
            "events:PutTargets",
            "events:RemoveTargets",
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
        "keep the alerts from those who need them, or read them",
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
        "remove the records of what happened, or keep new ones from being written",
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
# All that the denial leaves on these resources.
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
)
