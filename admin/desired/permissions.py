"""The IAM policy of each principal, as pure functions of the policy and the stage.

Chalice's own generator is off: it reads only `app.py`, omits the permissions for a copy, and writes
`Resource: "*"`. `chalice deploy` attaches these instead.
"""

import json
from collections.abc import Sequence
from typing import Any

from admin.stage import Stage, StageError
from chalicelib.policy.policy import Policy

Document = dict[str, Any]

# The limit for all inline policies of a role or a user together, without white space (IAM user
# guide, "IAM quotas").
LARGEST_OF_A_ROLE = 10_240
LARGEST_OF_A_USER = 2_048

# The names of the inline policies of a server's user: what it can do, and the denial of everything
# once its access is revoked, which `setup` does not change.
SERVER_POLICY_NAME = "uploads"
REVOKED = "revoked"

# Ends a server's access. It has no condition, so it also applies to temporary credentials that
# anyone got with a key (sts:GetSessionToken, which no policy can deny): those stay valid for hours
# after the key is deleted.
DENY_EVERYTHING: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": ["*"], "Resource": ["*"]}],
}


def function_policies(policy: Policy, stage: Stage) -> dict[str, Document]:
    """The IAM policy of each function's role, by the function's name in `app.py`.

    Raises StageError if IAM would not accept a policy because of its size.
    """
    policies = {
        "promote": promoter_policy(policy, stage),
        "sweep": sweeper_policy(policy, stage),
        "audit": auditor_policy(stage),
    }
    for function, role_policy in policies.items():
        if (size := size_of(role_policy)) > LARGEST_OF_A_ROLE:
            raise StageError(
                f"the IAM policy of {function} would have {size:,} characters, but IAM accepts "
                f"only {LARGEST_OF_A_ROLE:,}: policy.toml has too many rules for one stage; split "
                "them between two"
            )
    return policies


def promoter_policy(policy: Policy, stage: Stage) -> Document:
    """Move the policy's uploads into free slots. Never delete or overwrite in the vault."""
    take = ["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", "s3:DeleteObjectVersion"]
    return document(
        *_list_incoming(stage),
        allow("TakeUploads", take, _uploads(policy, stage)),
        *look_into_vault(stage),
        *add_to_vault(stage),
        _logs(stage, "promote"),
    )


def sweeper_policy(policy: Policy, stage: Stage) -> Document:
    """Read uploads and stored backups, and invoke `promote`. Never write or remove."""
    promote = f"arn:aws:lambda:*:*:function:{stage.function_name('promote')}"
    return document(
        *_list_incoming(stage),
        # HEAD needs the same action as GET.
        allow("LookAtUploads", ["s3:GetObject", "s3:GetObjectVersion"], _uploads(policy, stage)),
        *look_into_vault(stage),
        allow("InvokePromote", ["lambda:InvokeFunction"], [promote]),
        _logs(stage, "sweep"),
    )


def auditor_policy(stage: Stage) -> Document:
    """List uploads, read the vault and its settings, and send alerts. Never write or remove."""
    return document(
        find_uploads(stage),
        *look_into_vault(stage),
        *watch_vault(stage),
        # S3 refuses this to other accounts, so it is only here, not in the vault's bucket policy.
        allow("ReadItsBucketPolicy", ["s3:GetBucketPolicy"], [_vault(stage)]),
        allow("SendAlerts", ["sns:Publish"], [f"arn:aws:sns:*:*:{stage.topic}"]),
        _logs(stage, "audit"),
    )


def _list_incoming(stage: Stage) -> list[Document]:
    return [
        # Without ListBucket, S3 returns 403 for a missing key; absence must be a 404.
        allow("TellGoneFromForbidden", ["s3:ListBucket"], [_incoming(stage)]),
        find_uploads(stage),
    ]


def find_uploads(stage: Stage) -> Document:
    """The statement for listing uploads with all their versions."""
    return allow("FindOlderUploads", ["s3:ListBucketVersions"], [_incoming(stage)])


def look_into_vault(stage: Stage) -> list[Document]:
    """Statements for what every function can do in the vault: list and compare."""
    vault = _vault(stage)
    return [
        allow("TellFreeFromForbidden", ["s3:ListBucket"], [vault]),
        allow("CompareWithWhatIsStored", ["s3:GetObject"], [f"{vault}/*"]),
        allow("FindUnfinishedCopies", ["s3:ListBucketMultipartUploads"], [vault]),
    ]


def watch_vault(stage: Stage) -> list[Document]:
    """Statements for what only the audit can do in the vault: see versions, locks and settings."""
    vault = _vault(stage)
    settings = [
        "s3:GetBucketNotification",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketOwnershipControls",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration",
    ]
    return [
        allow("FindOverwrittenBackups", ["s3:ListBucketVersions"], [vault]),
        allow("SeeLocks", ["s3:GetObjectRetention"], [f"{vault}/*"]),
        allow("CompareItsSettings", settings, [vault]),
    ]


def add_to_vault(stage: Stage) -> list[Document]:
    """Statements for what only the promoter can do in the vault: add new objects."""
    objects = [f"{_vault(stage)}/*"]
    return [
        # The header must have a value: S3 does not document an empty one as a condition. `?*`
        # requires at least one character, and matches a literal `*`.
        allow(
            "FillFreeSlots",
            ["s3:PutObject"],
            objects,
            condition={"StringLike": {"s3:if-none-match": "?*"}},
        ),
        # Requests for a multipart upload and its parts cannot have a condition; its completion has
        # one.
        allow(
            "CopyInParts",
            ["s3:PutObject"],
            objects,
            condition={"Bool": {"s3:ObjectCreationOperation": "false"}},
        ),
        allow("RemoveUnfinishedCopies", ["s3:AbortMultipartUpload"], objects),
    ]


def server_policy(policy: Policy, *, incoming: str, server: str | None = None) -> Document:
    """Upload this server's own keys to the bucket `incoming`, and nothing else.

    `server` is None if the policy lists no servers. Raises ValueError for an unknown server, and
    StageError if IAM would not accept the IAM policy together with a revocation.
    """
    keys = [
        f"arn:aws:s3:::{incoming}/{key}"
        for key, (_, owner) in policy.promotable_keys.items()
        if owner == server
    ]
    if not keys:
        raise ValueError(f"the policy has no server {server!r}")
    actions = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    uploads = document(allow("Upload", actions, keys))
    room = LARGEST_OF_A_USER - size_of(DENY_EVERYTHING)
    if (size := size_of(uploads)) > room:
        raise StageError(
            f"the IAM policy of {server or 'the server'} would have {size:,} characters, but there "
            f"is only room for {room:,}: policy.toml has too many rules for one server, or their "
            "names are too long; split them between two servers"
        )
    return uploads


def size_of(policy: Document) -> int:
    """The size in characters, as IAM counts them."""
    return len(json.dumps(policy, separators=(",", ":")))


def _incoming(stage: Stage) -> str:
    return f"arn:aws:s3:::{stage.settings.incoming_bucket}"


def _vault(stage: Stage) -> str:
    return f"arn:aws:s3:::{stage.settings.vault_bucket}"


def _uploads(policy: Policy, stage: Stage) -> list[str]:
    """Every promoted key; the servers' keys as one pattern per rule, because IAM limits sizes.

    A pattern also matches keys that no server can upload.
    """
    keys = [*policy.promotable_keys]
    if policy.servers:
        of_servers = [f"*/{rule.upload}" for rule in policy.rules]
        keys = [*of_servers, *(key for key in keys if key not in policy.server_keys)]
    return [f"{_incoming(stage)}/{key}" for key in keys]


def _logs(stage: Stage, function: str) -> Document:
    group = f"arn:aws:logs:*:*:log-group:/aws/lambda/{stage.function_name(function)}"
    return allow(
        "WriteOwnLog",
        ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        [group, f"{group}:*"],
    )


def document(*statements: Document) -> Document:
    """An IAM policy document with these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statements(document: Document) -> list[Document]:
    """The statements of a policy document, which can have a single statement instead of a list."""
    return as_list(document["Statement"])


def as_list(value: Any) -> list[Any]:
    """A policy element as a list; IAM and S3 accept and return a single item without one."""
    return value if isinstance(value, list) else [value]


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    condition: Document | None = None,
) -> Document:
    """A statement of an IAM policy."""
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})
