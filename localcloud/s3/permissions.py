"""The actions and condition keys of S3 that a bucket policy can name.

These are the ones for buckets and objects in the Service Authorization Reference, "Actions,
resources, and condition keys for Amazon S3", and newer ones for annotations.
"""

# fmt: off
OBJECT_ACTIONS = frozenset({
    "AbortMultipartUpload", "BypassGovernanceRetention", "DeleteObject", "DeleteObjectAnnotation",
    "DeleteObjectTagging", "DeleteObjectVersion", "DeleteObjectVersionAnnotation",
    "DeleteObjectVersionTagging", "GetObject", "GetObjectAcl", "GetObjectAnnotation",
    "GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging",
    "GetObjectTorrent", "GetObjectVersion", "GetObjectVersionAcl", "GetObjectVersionAnnotation",
    "GetObjectVersionAttributes", "GetObjectVersionForReplication", "GetObjectVersionTagging",
    "GetObjectVersionTorrent", "InitiateReplication", "ListMultipartUploadParts",
    "ObjectOwnerOverrideToBucketOwner", "PutObject", "PutObjectAcl", "PutObjectAnnotation",
    "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "PutObjectVersionAcl",
    "PutObjectVersionAnnotation", "PutObjectVersionTagging", "ReplicateDelete", "ReplicateObject",
    "ReplicateTags", "RestoreObject", "UpdateObjectEncryption",
})

BUCKET_ACTIONS = frozenset({
    "CreateBucket", "CreateBucketMetadataTableConfiguration", "DeleteBucket",
    "DeleteBucketMetadataTableConfiguration", "DeleteBucketPolicy", "DeleteBucketWebsite",
    "GetAccelerateConfiguration", "GetAnalyticsConfiguration", "GetBucketAbac", "GetBucketAcl",
    "GetBucketCORS", "GetBucketLocation", "GetBucketLogging", "GetBucketMetadataTableConfiguration",
    "GetBucketNotification", "GetBucketObjectLockConfiguration", "GetBucketOwnershipControls",
    "GetBucketPolicy", "GetBucketPolicyStatus", "GetBucketPublicAccessBlock",
    "GetBucketRequestPayment", "GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite",
    "GetEncryptionConfiguration", "GetIntelligentTieringConfiguration", "GetInventoryConfiguration",
    "GetLifecycleConfiguration", "GetMetricsConfiguration", "GetReplicationConfiguration",
    "ListBucket", "ListBucketMultipartUploads", "ListBucketVersions", "ListTagsForResource",
    "PauseReplication", "PutAccelerateConfiguration", "PutAnalyticsConfiguration", "PutBucketAbac",
    "PutBucketAcl", "PutBucketCORS", "PutBucketLogging", "PutBucketNotification",
    "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy",
    "PutBucketPublicAccessBlock", "PutBucketRequestPayment", "PutBucketTagging",
    "PutBucketVersioning", "PutBucketWebsite", "PutEncryptionConfiguration",
    "PutIntelligentTieringConfiguration", "PutInventoryConfiguration", "PutLifecycleConfiguration",
    "PutMetricsConfiguration", "PutReplicationConfiguration", "TagResource", "UntagResource",
    "UpdateBucketMetadataAnnotationTableConfiguration",
    "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration",
})
# fmt: on

ACTIONS = OBJECT_ACTIONS | BUCKET_ACTIONS

_ACLS = "CreateBucket PutBucketAcl PutObject PutObjectAcl PutObjectVersionAcl"
_ENCRYPTED = "PutObject ReplicateObject UpdateObjectEncryption"
_LISTS = "ListBucket ListBucketVersions"
_LOCKS = "PutObject PutObjectRetention"
_TAGS_OBJECTS = "PutObject PutObjectTagging PutObjectVersionTagging"

# The actions with which each key can be combined. BypassGovernanceRetention accepts the keys of
# PutObject as well; a key that ends with / is followed by the key of a tag.
_ACTIONS_OF_KEYS = {
    "s3:delimiter": _LISTS,
    "s3:existingobjecttag/": """
        DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes
        GetObjectTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
        GetObjectVersionTagging PutObjectAcl PutObjectTagging PutObjectVersionAcl
        PutObjectVersionTagging
    """,
    "s3:if-match": "DeleteObject PutObject",
    "s3:if-none-match": "PutObject",
    "s3:inventoryaccessibleoptionalfields": "PutInventoryConfiguration",
    "s3:locationconstraint": "CreateBucket",
    "s3:max-keys": _LISTS,
    "s3:object-lock-legal-hold": "PutObject PutObjectLegalHold",
    "s3:object-lock-mode": _LOCKS,
    "s3:object-lock-remaining-retention-days": _LOCKS,
    "s3:object-lock-retain-until-date": _LOCKS,
    "s3:object-lock-event-hold": _LOCKS,
    "s3:objectcreationoperation": "PutObject",
    "s3:prefix": _LISTS,
    "s3:requestobjecttag/": _TAGS_OBJECTS,
    "s3:requestobjecttagkeys": _TAGS_OBJECTS,
    "s3:versionid": """
        DeleteObjectVersion DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl
        GetObjectVersionAttributes GetObjectVersionTagging GetObjectVersionTorrent
        PutObjectVersionAcl PutObjectVersionTagging
    """,
    "s3:x-amz-acl": _ACLS,
    "s3:x-amz-copy-source": "PutObject",
    "s3:x-amz-grant-full-control": _ACLS,
    "s3:x-amz-grant-read": _ACLS,
    "s3:x-amz-grant-read-acp": _ACLS,
    "s3:x-amz-grant-write": _ACLS,
    "s3:x-amz-grant-write-acp": _ACLS,
    "s3:x-amz-metadata-directive": "PutObject",
    "s3:x-amz-server-side-encryption": _ENCRYPTED,
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _ENCRYPTED,
    "s3:x-amz-server-side-encryption-customer-algorithm": "PutObject ReplicateObject",
    "s3:x-amz-storage-class": "PutObject PutObjectAcl PutObjectVersionAcl",
    "s3:x-amz-website-redirect-location": "PutObject",
}

# Keys of every action; the global ones are in the IAM user guide, "Global condition keys".
_COMMON_KEYS = frozenset(
    """
    aws:calledvia aws:calledviafirst aws:calledvialast aws:currenttime
    aws:ec2instancesourceprivateipv4
    aws:ec2instancesourcevpc aws:epochtime aws:federatedprovider aws:multifactorauthage
    aws:multifactorauthpresent aws:principalaccount aws:principalarn aws:principalisawsservice
    aws:principalorgid aws:principalorgpaths aws:principalservicename aws:principalservicenameslist
    aws:principaltype aws:referer aws:requestedregion aws:resourceaccount aws:resourceorgid
    aws:resourceorgpaths aws:securetransport aws:sourceaccount aws:sourcearn aws:sourceidentity
    aws:sourceip aws:sourceorgid aws:sourceorgpaths aws:sourcevpc aws:sourcevpcarn aws:sourcevpce
    aws:tagkeys aws:tokenissuetime aws:useragent aws:userid aws:username aws:viaawsservice
    aws:vpceaccount aws:vpceorgid aws:vpceorgpaths aws:vpcsourceip
    s3:accessgrantsinstancearn s3:accesspointnetworkorigin s3:authtype s3:dataaccesspointaccount
    s3:dataaccesspointarn s3:resourceaccount s3:signatureage s3:signatureversion s3:tlsversion
    s3:x-amz-content-sha256
    """.split()  # noqa: SIM905 - a column of 50 lines would say no more
)
_COMMON_TAG_KEYS = ("aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "s3:buckettag/")


def actions_of_key(key: str) -> frozenset[str] | None:
    """The actions with which a condition key can be combined; None if S3 has no such key."""
    name = key.lower()
    if name in _COMMON_KEYS or name.startswith(_COMMON_TAG_KEYS):
        return ACTIONS
    prefix, slash, tag = name.partition("/")
    actions = _ACTIONS_OF_KEYS.get(f"{prefix}/" if slash and tag else name)
    if actions is None:
        return None
    names = frozenset(actions.split())
    return names | {"BypassGovernanceRetention"} if "PutObject" in names else names
