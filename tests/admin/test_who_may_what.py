"""Who can do what: a table, evaluated from the generated documents and tried request by request.

Every row lists who is allowed; everyone else must be denied. First, IAM's rules are applied to the
documents that `setup` and `chalice deploy` install. Then each principal really sends the request,
with its own credentials, in a local cloud prepared by `setup`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from admin.account import Account
from admin.choices import SetupOptions
from admin.desired.bucket_policies import canonical, incoming_policy, vault_policy
from admin.desired.buckets import desired_settings, vault_lifecycle
from admin.desired.permissions import (
    Document,
    auditor_policy,
    document,
    function_policies,
    promoter_policy,
    server_policy,
    sweeper_policy,
)
from admin.desired.readers import (
    list_uploads,
    read_backups,
    reader_policies,
    retrieve_archived,
)
from admin.setup.plan import execute, make_plan
from localcloud.cloud import Cloud, running
from localcloud.iam.authorization import Credentials
from localcloud.iam.evaluation import Effect, Request, evaluate
from tests.support.project import ENVIRONMENTS, POLICY, STAGE, stage_named

FLEET = replace(POLICY, servers=("web1", "db1"))
OURS, THEIRS = "123456789012", "999999999999"
IN, VAULT = STAGE.settings.incoming_bucket, STAGE.settings.vault_bucket
BUCKET_POLICIES = {IN: incoming_policy(STAGE), VAULT: vault_policy(STAGE, account=OURS)}


# Who


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A principal with credentials: its ARN and its own IAM policy (None if it has none)."""

    arn: str
    policy: Document | None = None
    # The name of that policy if it is a managed policy that `setup` creates.
    managed: str = ""

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]


def user(name: str, policy: Document | None = None, *, account: str = OURS) -> Principal:
    return Principal(arn=f"arn:aws:iam::{account}:user/{name}", policy=policy)


def server(name: str) -> Principal:
    return user(STAGE.server_user(name), server_policy(FLEET, incoming=IN, server=name))


def role(function: str, policy: Document | None = None) -> Principal:
    arn = f"arn:aws:iam::{OURS}:role/{STAGE.function_name(function)}"
    return Principal(arn=arn, policy=policy)


def reader(name: str, managed: str, *allowed: Document) -> Principal:
    return replace(user(name, document(*allowed)), managed=managed)


def allowing(*actions: str, on: tuple[str, ...] = ("*",)) -> Document:
    return document({"Effect": "Allow", "Action": [*actions], "Resource": [*on]})


READING = [*read_backups(STAGE), *list_uploads(STAGE)]
WHOLE_VAULT = (f"arn:aws:s3:::{VAULT}", f"arn:aws:s3:::{VAULT}/*")
PRINCIPALS = {
    "web1": server("web1"),
    "db1": server("db1"),
    "promoter": role("promote", promoter_policy(FLEET, STAGE)),
    "sweep": role("sweep", sweeper_policy(FLEET, STAGE)),
    "audit": role("audit", auditor_policy(STAGE)),
    "reader": reader("reader", STAGE.reader, *READING),
    "retriever": reader("retriever", STAGE.reader_archived, *READING, *retrieve_archived(STAGE)),
    # Far more than anyone needs: the vault's own policy must withstand it.
    "keeper": role("keep", allowing("s3:PutObjectRetention", "s3:*", on=WHOLE_VAULT)),
    "administrator": user("administrator-of-s3", allowing("s3:*")),
    # A user, although it has the name of the promoter's role.
    "careless administrator": user(STAGE.function_name("promote"), allowing("*")),
    "stranger": user("stranger"),
    "other account": user(STAGE.function_name("promote"), allowing("*"), account=THEIRS),
}
# Principals who are limited only by the buckets' own policies.
ADMINS = frozenset({"administrator", "careless administrator"})
NOBODY: frozenset[str] = frozenset()
WEB1, DB1 = ADMINS | {"web1"}, ADMINS | {"db1"}
TAKER = ADMINS | {"promoter"}
LOOKERS = ADMINS | {"promoter", "sweep"}
PEOPLE = {"reader", "retriever"}
READERS = ADMINS | {"promoter", "sweep", "audit", "keeper"} | PEOPLE
KEEPERS = ADMINS | {"keeper"}
WATCHERS = KEEPERS | {"audit"} | PEOPLE
PROMOTER, KEEPER, SWEEP = {"promoter"}, {"keeper"}, {"sweep"}


# What


@dataclass(frozen=True, kw_only=True)
class Right:
    """One right that S3 checks; `place` is a bucket, or bucket/key."""

    action: str
    place: str
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        return f"arn:aws:s3:::{self.place}"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A request: who is allowed to send it, all rights it needs, and its boto3 method.

    Without a method it is only evaluated: the local cloud does not support the request.
    """

    may: AbstractSet[str]
    rights: tuple[Right, ...]
    method: str | None
    arguments: Mapping[str, Any]

    def make(self, s3: Any) -> None:
        bucket, _, key = self.rights[0].place.partition("/")
        place = {"Bucket": bucket, "Key": key} if key else {"Bucket": bucket}
        arguments = {
            name: current_version() if value is CURRENT else value
            for name, value in self.arguments.items()
        }
        getattr(s3, str(self.method))(**place, **arguments)


# The condition keys that boto3's arguments set.
CONDITION_KEYS = {
    "IfNoneMatch": "s3:if-none-match",
    "IfMatch": "s3:if-match",
    "StorageClass": "s3:x-amz-storage-class",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "SSECustomerAlgorithm": "s3:x-amz-server-side-encryption-customer-algorithm",
}
COPY, COMPLETE = "copy_object", "complete_multipart_upload"
LOCK_OF_BUCKET = "put_object_lock_configuration"
BEGIN, PART, COPY_PART = "create_multipart_upload", "upload_part", "upload_part_copy"


def row(
    may: AbstractSet[str],
    place: str,
    actions: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    by: str | None = None,
    lists: str | None = None,
) -> Attempt:
    """`actions` are the actions on `place`; without `by`, boto3's method is named after the first.

    `lists` is the bucket that must be listed too.
    """
    arguments = arguments or {}
    first, *_ = actions.split()
    method = by or re.sub("(?<!^)(?=[A-Z])", "_", first.replace("ObjectVersion", "Object")).lower()
    writing = {key: arguments[name] for name, key in CONDITION_KEYS.items() if name in arguments}
    writing["s3:ObjectCreationOperation"] = str(method not in (BEGIN, PART, COPY_PART)).lower()
    rights = [
        Right(action=f"s3:{name}", place=place, context=writing if name == "PutObject" else {})
        for name in actions.split()
    ]
    if "CopySource" in arguments:
        rights.append(Right(action="s3:GetObject", place=arguments["CopySource"]))
    if lists:
        rights.append(Right(action="s3:ListBucket", place=lists))
    return Attempt(may=may, rights=tuple(rights), method=method, arguments=arguments)


OWN, OTHERS = f"{IN}/web1/sql.gz.gpg", f"{IN}/db1/sql.gz.gpg"
ABSENT, UNKNOWN = f"{IN}/web1/backup.tar.gz.gpg", f"{IN}/web1/holiday.jpg"
STORED = f"{VAULT}/web1/2026-11-23.02.sql.gz.gpg"
FREE, MISSING = f"{VAULT}/web1/2026-11-24.tar.gz.gpg", f"{VAULT}/web1/2026-11-25.tar.gz.gpg"

NEW, EMPTY, SEEN = {"IfNoneMatch": "*"}, {"IfNoneMatch": ""}, {"IfMatch": '"x"'}
NOT_BEGUN = {"UploadId": "not-begun"}
NUMBER = {**NOT_BEGUN, "PartNumber": 1}
PARTS = {**NOT_BEGUN, "MultipartUpload": {"Parts": [{"ETag": "x", "PartNumber": 1}]}}
BARE = {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
OF_OWN, OF_STORED = {**BARE, "CopySource": OWN}, {**BARE, "CopySource": STORED}
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
UNTIL = datetime(2099, 1, 1, tzinfo=UTC)
LOCKED = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": UNTIL}
LOCK = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}}
HELD, HOLD = {"ObjectLockLegalHoldStatus": "ON"}, {"LegalHold": {"Status": "ON"}}
TAGGED, TAGS = {"Tagging": "tier=x"}, {"Tagging": {"TagSet": [{"Key": "tier", "Value": "x"}]}}
PRIVATE, BYPASS = {"ACL": "private"}, {"BypassGovernanceRetention": True}
CURRENT = object()
RETRIEVAL = {"RestoreRequest": {"Days": 1}}
AT_VERSION, AT_NULL = {"VersionId": CURRENT}, {"VersionId": "null"}

UPLOADS = {
    "upload web1's": row(WEB1, OWN, "PutObject"),
    "upload db1's": row(DB1, OTHERS, "PutObject"),
    "upload a bare name": row(ADMINS, f"{IN}/sql.gz.gpg", "PutObject"),
    "upload an unknown key": row(ADMINS, UNKNOWN, "PutObject"),
    "upload what begins alike": row(ADMINS, f"{OWN}.2", "PutObject"),
    "upload if nothing is there": row(WEB1, OWN, "PutObject", NEW),
    "upload with tags": row(ADMINS, OWN, "PutObject PutObjectTagging", TAGGED),
    "upload with an ACL": row(ADMINS, OWN, "PutObject PutObjectAcl", PRIVATE),
    "upload a part": row(WEB1, OWN, "PutObject", NUMBER, by=PART),
    "upload a part under SSE-C": row(NOBODY, OWN, "PutObject", NUMBER | SSE_C, by=PART),
    "complete web1's": row(WEB1, OWN, "PutObject", PARTS, by=COMPLETE),
    "begin db1's": row(DB1, OTHERS, "PutObject", by=BEGIN),
    "abort web1's": row(WEB1, OWN, "AbortMultipartUpload", NOT_BEGUN),
    "abort db1's": row(DB1, OTHERS, "AbortMultipartUpload", NOT_BEGUN),
    "abort an unknown one": row(ADMINS, UNKNOWN, "AbortMultipartUpload", NOT_BEGUN),
    "list web1's parts": row(WEB1, OWN, "ListMultipartUploadParts", NOT_BEGUN, by="list_parts"),
    "copy a backup into incoming": row(ADMINS, OWN, "PutObject", OF_STORED, by=COPY),
    "read an upload": row(LOOKERS, OWN, "GetObject"),
    "look at an upload": row(LOOKERS, OWN, "GetObject", by="head_object"),
    "read an upload's version": row(LOOKERS, OWN, "GetObjectVersion", AT_NULL),
    "tell a missing upload": row(LOOKERS, ABSENT, "GetObject", by="head_object", lists=IN),
    "read an unknown key": row(ADMINS, UNKNOWN, "GetObject"),
    "remove an upload": row(TAKER, ABSENT, "DeleteObject"),
    "remove an upload that was seen": row(TAKER, OWN, "DeleteObject GetObject", SEEN),
    "remove an upload's version": row(TAKER, ABSENT, "DeleteObjectVersion", AT_NULL),
    "remove an unknown key": row(ADMINS, f"{UNKNOWN}.2", "DeleteObject"),
    "tag an upload": row(ADMINS, OWN, "PutObjectTagging", TAGS),
    "read an upload's tags": row(ADMINS, OWN, "GetObjectTagging"),
    "untag an upload": row(ADMINS, OWN, "DeleteObjectTagging"),
    "share an upload": row(ADMINS, OWN, "PutObjectAcl", PRIVATE),
    **{
        f"{verb} {how}": row(may, OWN, "PutObject", arguments, by=method)
        for verb, method in (("upload", "put_object"), ("begin", BEGIN))
        for how, may, arguments in (
            ("as STANDARD", WEB1, {"StorageClass": "STANDARD"}),
            ("as STANDARD_IA", NOBODY, {"StorageClass": "STANDARD_IA"}),
            ("as GLACIER", NOBODY, {"StorageClass": "GLACIER"}),
            ("under AES256", WEB1, {"ServerSideEncryption": "AES256"}),
            ("under aws:kms", NOBODY, {"ServerSideEncryption": "aws:kms"}),
            ("under aws:kms:dsse", NOBODY, {"ServerSideEncryption": "aws:kms:dsse"}),
            ("under SSE-C", NOBODY, SSE_C),
        )
    },
}

BACKUPS = {
    "read a backup": row(READERS, STORED, "GetObject"),
    "look at a backup": row(READERS, STORED, "GetObject", by="head_object"),
    "tell a free slot": row(READERS, MISSING, "GetObject", by="head_object", lists=VAULT),
    "read a backup's version": row(KEEPERS | PEOPLE, STORED, "GetObjectVersion", AT_VERSION),
    "retrieve a backup": row(KEEPERS | {"retriever"}, STORED, "RestoreObject", RETRIEVAL),
    "read a backup's lock": row(WATCHERS, STORED, "GetObjectRetention"),
    "read a backup's tags": row(KEEPERS, STORED, "GetObjectTagging"),
    # Writing: only the promoter, and only new objects.
    "fill a slot": row(PROMOTER, FREE, "PutObject", NEW),
    "fill a slot that is taken": row(PROMOTER, STORED, "PutObject", NEW),
    "fill a slot unconditionally": row(NOBODY, FREE, "PutObject"),
    "overwrite a backup": row(NOBODY, STORED, "PutObject"),
    "overwrite a backup that was seen": row(NOBODY, STORED, "PutObject", SEEN),
    "fill a slot with an empty condition": row(NOBODY, FREE, "PutObject", EMPTY),
    "overwrite a backup with an empty condition": row(NOBODY, STORED, "PutObject", EMPTY),
    "fill a slot with tags": row(NOBODY, FREE, "PutObject PutObjectTagging", NEW | TAGGED),
    "fill a slot under a lock": row(NOBODY, FREE, "PutObject PutObjectRetention", NEW | LOCKED),
    "fill a slot under a hold": row(NOBODY, FREE, "PutObject PutObjectLegalHold", NEW | HELD),
    "fill a slot with an ACL": row(NOBODY, FREE, "PutObject PutObjectAcl", NEW | PRIVATE),
    "copy into a slot": row(PROMOTER, FREE, "PutObject", OF_OWN | NEW, by=COPY),
    "copy an unknown key into a slot": row(
        NOBODY, FREE, "PutObject", {"CopySource": UNKNOWN} | NEW, by=COPY
    ),
    "copy over a backup": row(NOBODY, STORED, "PutObject", OF_OWN, by=COPY),
    "copy over a backup with an empty condition": row(
        NOBODY, STORED, "PutObject", OF_OWN | EMPTY, by=COPY
    ),
    "copy a backup onto itself": row(NOBODY, STORED, "PutObject", OF_STORED, by=COPY),
    "begin a copy": row(PROMOTER, FREE, "PutObject", by=BEGIN),
    "begin a copy with tags": row(NOBODY, FREE, "PutObject PutObjectTagging", TAGGED, by=BEGIN),
    "begin a copy under a lock": row(
        NOBODY, FREE, "PutObject PutObjectRetention", LOCKED, by=BEGIN
    ),
    "write a part under SSE-C": row(NOBODY, FREE, "PutObject", NUMBER | SSE_C, by=PART),
    "write a part": row(PROMOTER, FREE, "PutObject", NUMBER, by=PART),
    "copy a part": row(PROMOTER, FREE, "PutObject", {**NUMBER, "CopySource": OWN}, by=COPY_PART),
    "complete a new copy": row(PROMOTER, FREE, "PutObject", PARTS | NEW, by=COMPLETE),
    "complete over a backup": row(NOBODY, STORED, "PutObject", PARTS, by=COMPLETE),
    "complete over a backup with an empty condition": row(
        NOBODY, STORED, "PutObject", PARTS | EMPTY, by=COMPLETE
    ),
    **{
        f"{what} under {how}": row(may, FREE, "PutObject", arguments | encryption, by=method)
        for what, arguments, method in (
            ("fill a slot", NEW, "put_object"),
            ("copy into a slot", OF_OWN | NEW, COPY),
            ("begin a copy", {}, BEGIN),
        )
        for how, may, encryption in (
            ("AES256", PROMOTER, {"ServerSideEncryption": "AES256"}),
            ("aws:kms", NOBODY, {"ServerSideEncryption": "aws:kms"}),
            ("aws:kms:dsse", NOBODY, {"ServerSideEncryption": "aws:kms:dsse"}),
            ("SSE-C", NOBODY, SSE_C),
        )
    },
    "abort a copy": row(TAKER | KEEPER, FREE, "AbortMultipartUpload", NOT_BEGUN),
    "list a copy's parts": row(
        KEEPERS, FREE, "ListMultipartUploadParts", NOT_BEGUN, by="list_parts"
    ),
    # Removing, changing and locking: nobody, regardless of their other rights.
    "delete a backup": row(NOBODY, STORED, "DeleteObject"),
    "delete a backup that was seen": row(NOBODY, STORED, "DeleteObject GetObject", SEEN),
    "delete where nothing is": row(NOBODY, MISSING, "DeleteObject"),
    "delete a backup's version": row(NOBODY, STORED, "DeleteObjectVersion", AT_VERSION),
    "delete a version past its lock": row(
        NOBODY, STORED, "DeleteObjectVersion BypassGovernanceRetention", AT_VERSION | BYPASS
    ),
    "lock a backup": row(NOBODY, STORED, "PutObjectRetention", LOCK),
    "change a lock past it": row(
        NOBODY, STORED, "PutObjectRetention BypassGovernanceRetention", LOCK | BYPASS
    ),
    "hold a backup": row(NOBODY, STORED, "PutObjectLegalHold", HOLD),
    "tag a backup": row(NOBODY, STORED, "PutObjectTagging", TAGS),
    "tag a backup's version": row(NOBODY, STORED, "PutObjectVersionTagging", TAGS | AT_VERSION),
    "untag a backup": row(NOBODY, STORED, "DeleteObjectTagging"),
    "untag a backup's version": row(NOBODY, STORED, "DeleteObjectVersionTagging", AT_VERSION),
    "share a backup": row(NOBODY, STORED, "PutObjectAcl", PRIVATE),
    "share a backup's version": row(NOBODY, STORED, "PutObjectVersionAcl", PRIVATE | AT_VERSION),
}

# Changes that are allowed write what `setup` wrote, so that rows do not depend on each other.
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
BLOCKED = {"PublicAccessBlockConfiguration": dict.fromkeys(BLOCKS, True)}
AES256 = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
ENCRYPTED = {"ServerSideEncryptionConfiguration": {"Rules": [AES256]}}
THIRTY_DAYS = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}
LOCKING = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": THIRTY_DAYS}}
KEEPING = {"LifecycleConfiguration": {"Rules": vault_lifecycle(FLEET)}}
VERSIONED = {"VersioningConfiguration": {"Status": "Enabled"}}
# The actions that read a bucket's settings, each with its boto3 method (None: the same name).
SETTINGS = {
    "GetBucketNotification": "get_bucket_notification_configuration",
    "GetBucketObjectLockConfiguration": "get_object_lock_configuration",
    "GetBucketOwnershipControls": None,
    "GetBucketPolicy": None,
    "GetBucketPublicAccessBlock": "get_public_access_block",
    "GetBucketVersioning": None,
    "GetEncryptionConfiguration": "get_bucket_encryption",
    "GetLifecycleConfiguration": "get_bucket_lifecycle_configuration",
    "GetReplicationConfiguration": "get_bucket_replication",
}
BUCKETS = {
    f"{bucket}: {action}": row(may, bucket, action, arguments, by=method)
    for bucket, may, action, method, arguments in (
        (IN, LOOKERS, "ListBucket", "list_objects_v2", {}),
        (IN, LOOKERS | {"audit"} | PEOPLE, "ListBucketVersions", "list_object_versions", {}),
        (VAULT, WATCHERS, "ListBucketVersions", "list_object_versions", {}),
        (IN, ADMINS, "ListBucketMultipartUploads", "list_multipart_uploads", {}),
        (VAULT, READERS, "ListBucket", "list_objects_v2", {}),
        (VAULT, READERS, "ListBucketMultipartUploads", "list_multipart_uploads", {}),
        (VAULT, NOBODY, "PutBucketVersioning", None, VERSIONED),
        (VAULT, NOBODY, "PutBucketObjectLockConfiguration", LOCK_OF_BUCKET, LOCKING),
        (VAULT, NOBODY, "PutLifecycleConfiguration", "put_bucket_lifecycle_configuration", KEEPING),
        *(
            (bucket, may, action, method, arguments)
            # To change the vault, everyone must first change its policy.
            for bucket, readers, holders, changers in (
                (IN, ADMINS, ADMINS, ADMINS),
                (VAULT, WATCHERS, KEEPERS, NOBODY),
            )
            for may, action, method, arguments in (
                *((readers, reading, method, {}) for reading, method in SETTINGS.items()),
                (holders, "GetBucketAcl", None, {}),
                (holders, "GetBucketTagging", None, {}),
                (holders, "PutBucketPolicy", None, {"Policy": json.dumps(BUCKET_POLICIES[bucket])}),
                (holders, "DeleteBucketPolicy", None, {}),
                (changers, "PutBucketPublicAccessBlock", "put_public_access_block", BLOCKED),
                (changers, "PutEncryptionConfiguration", "put_bucket_encryption", ENCRYPTED),
                (changers, "DeleteBucket", None, {}),
            )
        ),
    )
}

# S3 itself performs these, or the local cloud does not support them.
UNKNOWN_HERE = {
    f"{action} in the vault": replace(row(NOBODY, STORED, action), method=None)
    for action in (
        "DeleteObjectAnnotation",
        "DeleteObjectVersionAnnotation",
        "PutObjectAnnotation",
        "PutObjectVersionAnnotation",
        "ReplicateDelete",
        "ReplicateObject",
        "ReplicateObjectAnnotation",
        "ReplicateTags",
        "UpdateObjectEncryption",
    )
}
# The local cloud treats every request as sent over TLS.
PLAIN = {"aws:SecureTransport": "false"}
IN_THE_CLEAR = {
    f"{what} over plain http": replace(
        tried,
        may=NOBODY,
        method=None,
        rights=tuple(replace(one, context={**one.context, **PLAIN}) for one in tried.rights),
    )
    for what, tried in (UPLOADS | BACKUPS | BUCKETS).items()
    if what in ("upload web1's", "read an upload", "fill a slot", "read a backup")
}

ATTEMPTS = UPLOADS | BACKUPS | BUCKETS | UNKNOWN_HERE | IN_THE_CLEAR
# Every principal tries each of them in turn.
ROWS = [pytest.param(tried, id=what) for what, tried in ATTEMPTS.items()]
SENT = [pytest.param(tried, id=what) for what, tried in ATTEMPTS.items() if tried.method]


# From the documents


@pytest.mark.parametrize("tried", ROWS)
def test_the_generated_documents_allow_exactly_this(tried: Attempt) -> None:
    allowed = {who for who, principal in PRINCIPALS.items() if not refused_rights(principal, tried)}
    assert allowed == set(tried.may)


HOLDER = "210987654321"
ELSEWHERE = replace(STAGE, settings=replace(STAGE.settings, vault_owner=HOLDER))
OF_HOLDER: dict[str, Any] = {
    "policies": {**BUCKET_POLICIES, VAULT: vault_policy(ELSEWHERE, account=OURS)},
    "owners": {IN: OURS, VAULT: HOLDER},
}
FUNCTIONS = ("promoter", "sweep", "audit")


@pytest.mark.parametrize("tried", ROWS)
def test_only_the_functions_reach_a_vault_in_another_account(tried: Attempt) -> None:
    """Each has exactly the rights that it has in a vault of its own account."""
    in_vault = [right for right in tried.rights if right.place.partition("/")[0] == VAULT]
    for who, principal in PRINCIPALS.items():
        refused = refused_rights(principal, tried, **OF_HOLDER)
        if who in FUNCTIONS:
            assert refused == refused_elsewhere(principal, tried), who
        elif in_vault:
            assert [right for right in refused if right in in_vault] == in_vault, who
        else:
            assert (not refused) is (who in tried.may), who


@pytest.mark.parametrize("who", FUNCTIONS)
def test_the_vault_s_bucket_policy_limits_the_functions(who: str) -> None:
    """This holds even if its role in the other account has more rights."""
    wide = replace(PRINCIPALS[who], policy=allowing("*"))
    for what, tried in ATTEMPTS.items():
        refused, ordinarily = (
            [one for one in rights if one.place.partition("/")[0] == VAULT]
            for rights in (
                refused_rights(wide, tried, **OF_HOLDER),
                refused_elsewhere(PRINCIPALS[who], tried),
            )
        )
        assert refused == ordinarily, what


def refused_elsewhere(function: Principal, tried: Attempt) -> list[Right]:
    """What a function is denied in another account's vault, where S3 hides the policy from it."""
    refused = refused_rights(function, tried)
    return refused or [
        right for right in tried.rights if right == Right(action="s3:GetBucketPolicy", place=VAULT)
    ]


@pytest.mark.parametrize(
    ("function", "may"), [("promote", SWEEP), ("sweep", NOBODY), ("audit", NOBODY)]
)
def test_only_the_sweep_can_invoke_promote(function: str, may: AbstractSet[str]) -> None:
    """Except by administrators."""
    arn = f"arn:aws:lambda:us-east-1:{OURS}:function:{STAGE.function_name(function)}"
    assert allowed("lambda:InvokeFunction", arn) == may | {"careless administrator"}


def test_only_the_audit_sends_alerts() -> None:
    """Except for administrators. It publishes to the topic of its own stage, and to no other."""
    topic = f"arn:aws:sns:us-east-1:{OURS}:{STAGE.topic}"
    assert allowed("sns:Publish", topic) == {"careless administrator", "audit"}
    for other in (f"{topic}-2", topic.replace("-dev-", "-prod-"), f"{topic}:subscription"):
        assert allowed("sns:Publish", other) == {"careless administrator"}
    for action in ("sns:Subscribe", "sns:SetTopicAttributes", "sns:DeleteTopic"):
        assert allowed(action, topic) == {"careless administrator"}


def allowed(action: str, resource: str) -> set[str]:
    """Who can use an action on something that has no policy of its own."""
    return {
        who
        for who, principal in PRINCIPALS.items()
        if evaluate(
            Request(principal=principal.arn, action=action, resource=resource, context={}),
            identity=[principal.policy] if principal.policy else [],
            owner=OURS,
        )
        is Effect.ALLOW
    }


def refused_rights(
    principal: Principal,
    tried: Attempt,
    *,
    policies: Mapping[str, Document] = BUCKET_POLICIES,
    owners: Mapping[str, str] = {IN: OURS, VAULT: OURS},
) -> list[Right]:
    caller = {
        "aws:PrincipalArn": principal.arn,
        "aws:PrincipalAccount": principal.account,
        "aws:SecureTransport": "true",
    }
    return [
        right
        for right in tried.rights
        if Effect.ALLOW
        is not evaluate(
            Request(
                principal=principal.arn,
                action=right.action,
                resource=right.resource,
                context=caller | dict(right.context),
            ),
            identity=[principal.policy] if principal.policy else [],
            resource=policies[right.place.partition("/")[0]],
            owner=owners[right.place.partition("/")[0]],
        )
    ]


def generated_documents() -> Iterator[tuple[str, Document]]:
    for stage in map(stage_named, ENVIRONMENTS):
        incoming = stage.settings.incoming_bucket
        for policy in (POLICY, FLEET):
            for function, generated in function_policies(policy, stage).items():
                yield f"{stage.name}, {function}", generated
            for name in policy.servers or (None,):
                generated = server_policy(policy, incoming=incoming, server=name)
                yield f"{stage.name}, {name}", generated
        for each in reader_policies(stage, account=OURS):
            yield f"{stage.name}, {each.resource}", each.desired
        yield f"{stage.name}, incoming", incoming_policy(stage)
        yield f"{stage.name}, vault", vault_policy(stage, account=OURS)
        elsewhere = replace(stage, settings=replace(stage.settings, vault_owner=HOLDER))
        yield f"{stage.name}, vault elsewhere", vault_policy(elsewhere, account=OURS)


def test_no_document_allows_a_delete_in_the_vault_or_anything_by_a_wildcard() -> None:
    incomings = {stage_named(name).settings.incoming_bucket for name in ENVIRONMENTS}
    in_incoming = tuple(f"arn:aws:s3:::{bucket}/" for bucket in incomings)
    of_all_servers = {f"{one}*/{rule.upload}" for one in in_incoming for rule in FLEET.rules}
    for name, generated in generated_documents():
        for statement in generated["Statement"]:
            if statement["Effect"] != "Allow":
                continue
            assert {"Sid", "Effect", "Action", "Resource"} <= statement.keys(), name
            assert not statement.keys() & {"NotAction", "NotResource", "NotPrincipal"}, name
            for action in statement["Action"]:
                assert not set("*?") & set(action), (name, action)
                if action.lower().startswith(("s3:delete", "s3:bypass", "s3:replicate")):
                    for resource in statement["Resource"]:
                        assert resource.startswith(in_incoming), (name, resource)
                        assert resource in of_all_servers or not set("*?") & set(resource), name
            # GetMetricData has no resources.
            if statement["Action"] != ["cloudwatch:GetMetricData"]:
                assert "*" not in statement["Resource"], name


# Request by request


@pytest.fixture(scope="module")
def ready() -> Iterator[Cloud]:
    """A local cloud prepared by `setup`, with uploads in incoming and a backup in the vault."""
    with running(by_hand=True) as cloud:
        set_up(cloud)
        yield cloud


@pytest.fixture(scope="module")
def clients(ready: Cloud) -> dict[str, Any]:
    """Each principal's own S3 client."""
    once = Config(retries={"total_max_attempts": 1})
    clients = {
        who: ready.session(credentials(ready, principal)).client("s3", config=once)
        for who, principal in PRINCIPALS.items()
    }
    for place in (OWN, OTHERS, UNKNOWN):
        row(ADMINS, place, "PutObject").make(clients["administrator"])
    BACKUPS["fill a slot that is taken"].make(clients["promoter"])
    return clients


def test_the_tested_documents_are_those_in_the_account(ready: Cloud) -> None:
    administrator = ready.session(ready.administrator)
    for name in ("web1", "db1"):
        principal = PRINCIPALS[name]
        live = administrator.client("iam").get_user_policy(
            UserName=principal.name, PolicyName="uploads"
        )
        assert live["PolicyDocument"] == principal.policy
    iam = administrator.client("iam")
    for principal in filter(lambda one: one.managed, PRINCIPALS.values()):
        of_version = iam.get_policy_version(PolicyArn=arn_of(principal), VersionId="v1")
        assert of_version["PolicyVersion"]["Document"] == principal.policy
    for bucket, policy in BUCKET_POLICIES.items():
        live = administrator.client("s3").get_bucket_policy(Bucket=bucket)
        statements = json.loads(live["Policy"])["Statement"]
        assert list(map(canonical, statements)) == list(map(canonical, policy["Statement"]))


@pytest.mark.parametrize("tried", SENT)
def test_each_request_is_allowed_or_denied_accordingly(
    ready: Cloud, clients: dict[str, Any], tried: Attempt
) -> None:
    for who, principal in PRINCIPALS.items():
        before = backup()
        denied = refusal(tried, clients[who])
        if denied is None and tried.method == "delete_bucket_policy":
            set_up(ready)
        assert (denied is None) is (who in tried.may), f"{who}: {denied}"
        if denied:
            # The right for which the request was denied is one that the table lists.
            refused = refused_rights(principal, tried)
            named = [f'perform: {one.action} on resource: "{one.resource}"' for one in refused]
            assert denied == "HEAD" or any(one in denied for one in named), f"{who}: {denied}"
        assert backup() == before, who


def test_the_bucket_policies_stop_a_promoter_with_more_rights(
    ready: Cloud, clients: dict[str, Any]
) -> None:
    wide = replace(PRINCIPALS["promoter"], policy=allowing("*"))
    sent = {
        what: tried
        for what, tried in ATTEMPTS.items()
        if tried.method and tried.method != "delete_bucket_policy"
    }
    expected = {what for what, tried in sent.items() if tried.may & {"promoter", "administrator"}}
    # Everyone else is denied this copy by some policy.
    expected.add("copy an unknown key into a slot")
    assert {what for what, tried in sent.items() if not refused_rights(wide, tried)} == expected

    iam, before = ready.session(ready.administrator).client("iam"), backup()
    widening = {"RoleName": wide.name, "PolicyName": "wide"}
    iam.put_role_policy(**widening, PolicyDocument=json.dumps(wide.policy))
    try:
        answers = {what: refusal(tried, clients["promoter"]) for what, tried in sent.items()}
    finally:
        iam.delete_role_policy(**widening)
    assert {what for what, denied in answers.items() if denied is None} == expected
    assert backup() == before


def test_a_copy_in_parts_goes_through_under_the_policies(
    ready: Cloud, clients: dict[str, Any]
) -> None:
    """Only its first request names the encryption; parts and completion have no header for it."""
    s3 = clients["promoter"]
    slot = {"Bucket": VAULT, "Key": "web1/2026-11-23.03.sql.gz.gpg"}
    copy = s3.create_multipart_upload(**slot, ServerSideEncryption="AES256")["UploadId"]
    part = s3.upload_part_copy(**slot, UploadId=copy, PartNumber=1, CopySource=OWN)
    parts = {"Parts": [{"ETag": part["CopyPartResult"]["ETag"], "PartNumber": 1}]}
    complete = partial(s3.complete_multipart_upload, **slot, UploadId=copy, MultipartUpload=parts)
    for condition in ({}, EMPTY):
        with pytest.raises(ClientError, match=r"AccessDenied.*explicit deny in a resource-based"):
            complete(**condition)
    complete(**NEW)
    assert s3.head_object(**slot)["ServerSideEncryption"] == "AES256"


def refusal(tried: Attempt, s3: Any) -> str | None:
    """Why the request is denied; None if it is allowed, even if it fails for another reason."""
    try:
        tried.make(s3)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code, message = (error.response["Error"].get(part) for part in ("Code", "Message"))
        if status >= 500:
            raise
        if code == "AccessDenied":
            return str(message)
        return "HEAD" if code == "403" else None  # a response to HEAD has no body
    return None


def backup() -> list[tuple[Any, ...]]:
    """The versions of the stored backup, which no attempt can change."""
    bucket = s3_backends[OURS]["aws"].buckets[VAULT]
    versions = bucket.keys.getlist(STORED.partition("/")[2])
    tags = s3_backends[OURS]["aws"].tagger
    return [
        (
            one.version_id,
            one.value,
            one.metadata,
            one.lock_mode,
            one.lock_legal_status,
            tags.get_tag_dict_for_resource(one.arn),
        )
        for one in versions
    ]


def current_version() -> str:
    return str(backup()[-1][0])


def set_up(cloud: Cloud) -> None:
    account = Account(
        session=cloud.session(cloud.administrator).boto3_session(), endpoint=cloud.endpoint
    )
    settings = desired_settings(
        FLEET, STAGE, SetupOptions(), account=account.id, region=account.region
    )
    for _ in execute(account, make_plan(account, settings, lock_named=False)):
        pass


def credentials(cloud: Cloud, principal: Principal) -> Credentials:
    """Credentials of a principal, which is created first if `setup` does not create it."""
    policy = json.dumps(principal.policy) if principal.policy else ""
    if principal.account == THEIRS:
        # Created without the endpoint: this account's administrator has no access to another
        # account.
        backend = iam_backends[THEIRS]["aws"]
        backend.create_user("us-east-1", principal.name)
        backend.put_user_policy(principal.name, "own", policy)
        key = backend.create_access_key(principal.name)
        return Credentials(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)
    administrator = cloud.session(cloud.administrator)
    iam = administrator.client("iam")
    if ":role/" in principal.arn:
        anybody = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
        trust = json.dumps(document(anybody))
        iam.create_role(RoleName=principal.name, AssumeRolePolicyDocument=trust)
        if policy:
            iam.put_role_policy(RoleName=principal.name, PolicyName="own", PolicyDocument=policy)
        session = administrator.client("sts").assume_role(
            RoleArn=principal.arn, RoleSessionName="run"
        )
        return held(session["Credentials"])
    if principal not in (PRINCIPALS["web1"], PRINCIPALS["db1"]):
        iam.create_user(UserName=principal.name)
        if principal.managed:
            iam.attach_user_policy(UserName=principal.name, PolicyArn=arn_of(principal))
        elif policy:
            iam.put_user_policy(UserName=principal.name, PolicyName="own", PolicyDocument=policy)
    return held(iam.create_access_key(UserName=principal.name)["AccessKey"])


def arn_of(principal: Principal) -> str:
    """The ARN of a principal's managed policy."""
    return f"arn:aws:iam::{principal.account}:policy/{principal.managed}"


def held(answer: Mapping[str, Any]) -> Credentials:
    return Credentials(
        access_key_id=answer["AccessKeyId"],
        secret_access_key=answer["SecretAccessKey"],
        session_token=answer.get("SessionToken"),
    )
