"""The attacks on objects. If one succeeds, it has changed only objects below `drill/`."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from admin.account import none_if
from admin.drill.attacks import ACCESS_DENIED, UNKNOWN, Attack, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RUBBISH = b"rubbish"
# Each kind of encryption with a key that can be lost or withheld, as the arguments of a write.
_KMS: dict[str, Any] = {"ServerSideEncryption": "aws:kms"}
_OWN_KEY: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


def write_attacks(s3: "S3Client", stored: StoredObject, *, if_free: str) -> Iterator[Attack]:
    """Every way to overwrite, delete, tag, unlock or encrypt the stored object.

    `if_free` is the error code that a write must get whose condition is a free slot.
    """
    slot: dict[str, Any] = {"Bucket": stored.vault, "Key": stored.slot}
    version = {**slot, "VersionId": stored.version_id}
    yield from _overwriting(s3, stored, if_free=if_free)
    yield from _encrypting(s3, stored)
    if stored.lock_mode:
        # The lock that this version has already, so that nothing changes.
        same: Any = {"Mode": stored.lock_mode, "RetainUntilDate": stored.locked_until}
        yield Attack(
            does="change the lock of a stored backup",
            call=partial(s3.put_object_retention, **version, Retention=same),
        )
    yield Attack(
        does="tag a stored backup",
        call=partial(
            s3.put_object_tagging, **slot, Tagging={"TagSet": [{"Key": "tier", "Value": "hourly"}]}
        ),
    )
    yield from _deleting(s3, version, slot)


def _overwriting(s3: "S3Client", stored: StoredObject, *, if_free: str) -> Iterator[Attack]:
    slot: dict[str, Any] = {"Bucket": stored.vault, "Key": stored.slot}
    put = partial(s3.put_object, **slot, Body=RUBBISH)
    source: Any = {"Bucket": stored.incoming, "Key": stored.upload}
    copy = partial(s3.copy_object, **slot, CopySource=source)
    complete = partial(write_in_parts, s3, slot)
    for does, write in (
        ("overwrite a stored backup", put),
        ("copy over a stored backup", copy),
        ("complete a multipart upload over a stored backup", complete),
    ):
        yield Attack(does=does, call=write)
        # A policy accepts an empty header as a condition, unless it requires a value. AWS does not
        # document whether S3 checks the header or the rights first.
        yield Attack(
            does=f"{does}, with an empty If-None-Match",
            call=partial(write, IfNoneMatch=""),
            codes=(ACCESS_DENIED, UNKNOWN),
        )
    for does, write in (
        ("write", put),
        ("copy", copy),
        ("complete a multipart upload", complete),
    ):
        yield Attack(
            does=f"{does} to a filled slot with If-None-Match",
            call=partial(write, IfNoneMatch="*"),
            codes=(if_free,),
        )


def _encrypting(s3: "S3Client", stored: StoredObject) -> Iterator[Attack]:
    source: Any = {"Bucket": stored.incoming, "Key": stored.upload}
    ways: dict[str, Callable[..., Any]] = {
        "store an object": partial(s3.put_object, Body=RUBBISH, IfNoneMatch="*"),
        "store a copy": partial(s3.copy_object, CopySource=source, IfNoneMatch="*"),
        "start a multipart upload": partial(_begin_and_abort, s3),
    }
    keys = {"a KMS key": _KMS, "its own key (SSE-C)": _OWN_KEY}
    for number, (does, whose) in enumerate(product(ways, keys)):
        free = {"Bucket": stored.vault, "Key": f"{stored.slot}.encrypted{number}"}
        yield Attack(
            does=f"{does} encrypted with {whose}", call=partial(ways[does], **free, **keys[whose])
        )


def _deleting(s3: "S3Client", version: dict[str, Any], slot: dict[str, Any]) -> Iterator[Attack]:
    for does, delete in (
        ("delete a stored backup", partial(s3.delete_object, **slot)),
        ("delete a stored version", partial(s3.delete_object, **version)),
        (
            "delete a stored version, bypassing the lock",
            partial(s3.delete_object, **version, BypassGovernanceRetention=True),
        ),
    ):
        yield Attack(does=does, call=delete)


def read_attacks(s3: "S3Client", stored: StoredObject) -> Iterator[Attack]:
    """What no server needs for a backup: reading, listing, deleting, and uploading other keys."""
    slot: dict[str, Any] = {"Bucket": stored.vault, "Key": stored.slot}
    upload: dict[str, Any] = {"Bucket": stored.incoming, "Key": stored.upload}
    other: dict[str, Any] = {**upload, "Key": f"{stored.upload}.other"}
    for does, call in (
        (f"list {stored.vault}", partial(s3.list_objects_v2, Bucket=stored.vault)),
        ("read a stored backup", partial(s3.get_object, **slot)),
        (f"list {stored.incoming}", partial(s3.list_objects_v2, Bucket=stored.incoming)),
        ("read its own upload", partial(s3.get_object, **upload)),
        ("delete its own upload", partial(s3.delete_object, **upload)),
        ("upload another key", partial(s3.put_object, **other, Body=RUBBISH)),
    ):
        yield Attack(does=does, call=call)


def upload_attacks(s3: "S3Client", stored: StoredObject) -> Iterator[Attack]:
    """Uploads that could never be promoted, so the server must get an error."""
    upload: dict[str, Any] = {"Bucket": stored.incoming, "Key": stored.upload, "Body": RUBBISH}
    arguments: dict[str, Any]
    for how, arguments in (
        ("encrypted with a KMS key", _KMS),
        ("encrypted with its own key (SSE-C)", _OWN_KEY),
        ("in an archive class", {"StorageClass": "DEEP_ARCHIVE"}),
    ):
        yield Attack(does=f"upload {how}", call=partial(s3.put_object, **upload, **arguments))


def write_in_parts(s3: "S3Client", slot: dict[str, Any], **condition: Any) -> None:
    """Write rubbish as a multipart upload of one part, completed under this condition."""
    multipart = _begin(s3, **slot)
    try:
        part = s3.upload_part(**multipart, PartNumber=1, Body=RUBBISH)
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        s3.complete_multipart_upload(**multipart, MultipartUpload=parts, **condition)
    except ClientError:
        _abort(s3, multipart)
        raise


def _begin_and_abort(s3: "S3Client", **arguments: Any) -> None:
    _abort(s3, _begin(s3, **arguments))


def _begin(s3: "S3Client", **arguments: Any) -> dict[str, Any]:
    begun = s3.create_multipart_upload(**arguments)
    return {name: begun[name] for name in ("Bucket", "Key", "UploadId")}


def _abort(s3: "S3Client", multipart: dict[str, Any]) -> None:
    """Abort the upload, because its parts are billed. If denied, the drill aborts it at its end."""
    none_if(ACCESS_DENIED, lambda: s3.abort_multipart_upload(**multipart))
