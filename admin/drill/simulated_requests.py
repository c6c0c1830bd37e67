"""The requests that the drill simulates with IAM, and the condition keys of each.

A missing header counts, too: without If-None-Match, a write overwrites.
"""

from collections.abc import Mapping

from admin.drill.iam_simulation import SimulatedRequest

IF_FREE = "s3:if-none-match"
CREATES = "s3:ObjectCreationOperation"
ENCRYPTION = "s3:x-amz-server-side-encryption"
OWN_KEY = "s3:x-amz-server-side-encryption-customer-algorithm"
STORAGE_CLASS = "s3:x-amz-storage-class"
# The headers of a write that policies check.
HEADERS = frozenset({IF_FREE, ENCRYPTION, OWN_KEY, STORAGE_CLASS})

PUT, GET = "s3:PutObject", "s3:GetObject"
# Every way to change or remove a stored object, except writing over it.
CHANGES = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:DeleteObjectAnnotation",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionAnnotation",
    "s3:DeleteObjectVersionTagging",
    "s3:PutObjectAcl",
    "s3:PutObjectAnnotation",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionAnnotation",
    "s3:PutObjectVersionTagging",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateObjectAnnotation",
    "s3:ReplicateTags",
    "s3:UpdateObjectEncryption",
)


def act(actions: tuple[str, ...], *resources: str) -> SimulatedRequest:
    """A request that writes no object, and so has none of the headers of a write."""
    return SimulatedRequest(actions=actions, resources=resources, omitted=HEADERS | {CREATES})


def write(*resources: str) -> SimulatedRequest:
    """A server's write, whether or not the object exists."""
    return _write(resources, {})


def write_with_empty_condition(*resources: str) -> SimulatedRequest:
    """A write with an If-None-Match that has no value."""
    return _write(resources, {IF_FREE: ""})


def promote(*resources: str) -> SimulatedRequest:
    """The promoter's write."""
    return _write(resources, {IF_FREE: "*", ENCRYPTION: "AES256"})


def write_under_kms_key(*resources: str) -> SimulatedRequest:
    """A write to a free slot, encrypted with a KMS key."""
    return _write(resources, {IF_FREE: "*", ENCRYPTION: "aws:kms"})


def write_under_own_key(*resources: str) -> SimulatedRequest:
    """A write to a free slot, encrypted with a key that only the writer has (SSE-C)."""
    return _write(resources, {IF_FREE: "*", OWN_KEY: "AES256"})


def write_without_tls(*resources: str) -> SimulatedRequest:
    """The promoter's write over an unencrypted connection."""
    plain = {"aws:SecureTransport": "false"}
    return _write(resources, {IF_FREE: "*", ENCRYPTION: "AES256", **plain})


def _write(resources: tuple[str, ...], context: Mapping[str, str]) -> SimulatedRequest:
    return SimulatedRequest(
        actions=(PUT,),
        resources=resources,
        context={CREATES: "true", **context},
        omitted=HEADERS - context.keys(),
    )
