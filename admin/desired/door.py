"""The vault's one door: to change its settings, you first have to change its bucket policy.

`setup` opens the door only to its caller, while it makes its changes.
"""

from admin.desired.permissions import Document, as_list

# The Sid of the statement that closes the door.
DOOR = "OneDoor"
# Every way to change a bucket, by IAM's names. Creating a bucket, its tags and its metrics are left
# out, because they weaken nothing; so is the bucket policy: if changing it were denied, nobody
# could ever open the door again.
VAULT_CONFIGURATION = (
    "s3:CreateBucketMetadataTableConfiguration",
    "s3:DeleteBucket",
    "s3:DeleteBucketMetadataTableConfiguration",
    "s3:DeleteBucketWebsite",
    "s3:PauseReplication",
    "s3:PutAccelerateConfiguration",
    "s3:PutAnalyticsConfiguration",
    "s3:PutBucketAbac",
    "s3:PutBucketAcl",
    "s3:PutBucketCORS",
    "s3:PutBucketLogging",
    "s3:PutBucketNotification",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketRequestPayment",
    "s3:PutBucketVersioning",
    "s3:PutBucketWebsite",
    "s3:PutEncryptionConfiguration",
    "s3:PutIntelligentTieringConfiguration",
    "s3:PutInventoryConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
    "s3:UpdateBucketMetadataAnnotationTableConfiguration",
    "s3:UpdateBucketMetadataInventoryTableConfiguration",
    "s3:UpdateBucketMetadataJournalTableConfiguration",
)
# The locks of stored objects are also behind the door: only the vault's default lock sets them.
BEHIND_THE_DOOR = (*VAULT_CONFIGURATION, "s3:PutObjectRetention")
# Who can pass the door while an administrator runs the commands that `backups check` printed.
EVERYONE = "*"


def has_door(statements: list[Document]) -> bool:
    """Whether a bucket policy has the door, open or closed."""
    return any(statement.get("Sid") == DOOR for statement in statements)


def opened_to(user_id: str, statements: list[Document]) -> list[Document]:
    """The statements of the vault's policy, with the door open to one caller, or to EVERYONE.

    `user_id` is the caller's aws:userid, as GetCallerIdentity returns it (IAM user guide,
    "Principal key values"). A request without that key is denied, because the operator is negated.
    """
    to_others = {"StringNotLike": {"aws:userid": user_id}}
    return [
        {**statement, "Condition": to_others} if statement["Sid"] == DOOR else statement
        for statement in statements
    ]


def whom_it_is_open_to(statements: list[Document]) -> str | None:
    """The aws:userid that the door was left open to, or EVERYONE; None if it is closed."""
    for statement in statements:
        match statement.get("Sid"), statement.get("Condition"):
            case door, {"StringNotLike": {"aws:userid": user_id}} if door == DOOR:
                return ", ".join(as_list(user_id))
    return None
