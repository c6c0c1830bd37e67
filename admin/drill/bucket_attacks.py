"""The attacks on the vault's configuration. If one succeeds, it has changed nothing.

Each writes back exactly what was read a moment before. IAM's simulator evaluates everything else:
configurations that the bucket lacks, deleting it, and its notification, because writing that would
make S3 send a test message.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from admin.account import none_if
from admin.drill.attacks import Attack

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The configurations that boto3 reads with `get_` and writes with `put_`: their names, and the error
# code for a bucket that has none ("" if the response is empty instead).
CONFIGURATIONS = {
    "bucket_accelerate_configuration": ("transfer acceleration", ""),
    "bucket_cors": ("CORS rules", "NoSuchCORSConfiguration"),
    "bucket_encryption": (
        "default encryption",
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    "bucket_lifecycle_configuration": ("lifecycle", "NoSuchLifecycleConfiguration"),
    "bucket_logging": ("access log", ""),
    "bucket_ownership_controls": ("object ownership", "OwnershipControlsNotFoundError"),
    "bucket_replication": ("replication", "ReplicationConfigurationNotFoundError"),
    "bucket_request_payment": ("request payment", ""),
    "bucket_versioning": ("versioning", ""),
    "bucket_website": ("website", "NoSuchWebsiteConfiguration"),
    "object_lock_configuration": ("default lock", "ObjectLockConfigurationNotFoundError"),
    "public_access_block": ("public access block", "NoSuchPublicAccessBlockConfiguration"),
}


def bucket_attacks(s3: "S3Client", *, reader: "S3Client", bucket: str) -> Iterator[Attack]:
    """A write of each configuration that the bucket has, read by `reader` right before it."""
    for operation, (name, absent) in CONFIGURATIONS.items():
        read, write = getattr(reader, f"get_{operation}"), f"put_{operation}"
        actual = none_if(absent, partial(read, Bucket=bucket)) or {}
        if arguments := _as_read(s3, write, actual):
            yield Attack(
                does=f"change the {name} of {bucket}",
                call=partial(getattr(s3, write), Bucket=bucket, **arguments),
            )


def _as_read(s3: "S3Client", write: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The arguments with which `write` writes a response back; empty if the response is.

    Some members of a response belong in a structure that the response does not have.
    """
    model: Any = s3.meta.service_model.operation_model(s3.meta.method_to_api_mapping[write])
    members = model.input_shape.members
    arguments = {name: answer[name] for name in members if name in answer}
    for name, shape in members.items():
        inside = {key: answer[key] for key in getattr(shape, "members", ()) if key in answer}
        if inside:
            arguments[name] = inside
    return arguments
