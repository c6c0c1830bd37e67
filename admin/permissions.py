"""What each principal may do, as IAM policies: pure functions of the policy and the stage.

Chalice's own generator is off: it reads only `app.py`, knows no permission for a copy, and writes
`Resource: "*"`. These are what `chalice deploy` attaches instead.
"""

import json
from collections.abc import Sequence
from typing import Any

from admin.stage import Stage, StageError
from chalicelib.policy import Policy

Document = dict[str, Any]

# Of all inline policies of a role together, white space not counted (IAM user guide, "IAM quotas").
LARGEST_INLINE_POLICY = 10_240


def function_policies(policy: Policy, stage: Stage) -> dict[str, Document]:
    """The policy of each function's role, by the function's name in `app.py`.

    Raises StageError where IAM would refuse one for its size.
    """
    policies = {"promote": promoter_policy(policy, stage)}
    for function, its_policy in policies.items():
        size = len(json.dumps(its_policy, separators=(",", ":")))
        if size > LARGEST_INLINE_POLICY:
            raise StageError(
                f"the IAM policy of {function} would have {size:,} characters, and IAM takes "
                f"{LARGEST_INLINE_POLICY:,}: the policy has too many servers and rules for one "
                "stage; divide them among two"
            )
    return policies


def promoter_policy(policy: Policy, stage: Stage) -> Document:
    """Move the policy's uploads into free slots. Never delete or overwrite in the vault."""
    incoming = f"arn:aws:s3:::{stage.settings.incoming_bucket}"
    uploads = [f"{incoming}/{key}" for key in policy.claims]
    topic = stage.environment.get("ALERT_TOPIC_ARN")
    # Lambda tells of events that it gave up in the name of the function's own role.
    alerts = [_allow("TellOfFailures", ["sns:Publish"], [topic])] if topic else []
    return document(
        # Without ListBucket S3 answers 403 for a key that is missing, and absence must be a 404.
        _allow("TellGoneFromForbidden", ["s3:ListBucket"], [incoming]),
        _allow(
            "TakeUploads",
            [
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
            ],
            uploads,
        ),
        *promoter_on_vault(stage),
        # A copy that takes longer than one run goes on in a next run of the same function.
        _allow("GoOn", ["lambda:InvokeFunction"], [_arn(stage, "promote")]),
        _logs(stage, "promote"),
        *alerts,
    )


def promoter_on_vault(stage: Stage) -> list[Document]:
    """What the promoter may do in the vault, as statements: look, and add what is new."""
    vault = f"arn:aws:s3:::{stage.settings.vault_bucket}"
    return [
        _allow("TellFreeFromForbidden", ["s3:ListBucket"], [vault]),
        _allow("CompareWithWhatIsStored", ["s3:GetObject"], [f"{vault}/*"]),
        _allow(
            "FillFreeSlots",
            ["s3:PutObject"],
            [f"{vault}/*"],
            condition={"Null": {"s3:if-none-match": "false"}},
        ),
        # Creating a multipart upload and its parts can carry no condition; completing it does.
        _allow(
            "CopyInParts",
            ["s3:PutObject"],
            [f"{vault}/*"],
            condition={"Bool": {"s3:ObjectCreationOperation": "false"}},
        ),
        _allow("FindUnfinishedCopies", ["s3:ListBucketMultipartUploads"], [vault]),
        _allow("RemoveUnfinishedCopies", ["s3:AbortMultipartUpload"], [f"{vault}/*"]),
        _allow("SeeWhatIsCopied", ["s3:ListMultipartUploadParts"], [f"{vault}/*"]),
    ]


def server_policy(policy: Policy, *, incoming: str, server: str | None = None) -> Document:
    """Upload this server's own keys to the bucket `incoming`, begin again, and nothing else.

    `server` is None where the policy lists no servers. Raises ValueError for an unknown one.
    """
    keys = [
        f"arn:aws:s3:::{incoming}/{key}"
        for key, (_, owner) in policy.claims.items()
        if owner == server
    ]
    if not keys:
        raise ValueError(f"the policy has no server {server!r}")
    return document(
        _allow("Upload", ["s3:PutObject"], keys),
        _allow(
            "ManageOwnUnfinishedUploads",
            ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            keys,
        ),
    )


def _arn(stage: Stage, function: str) -> str:
    return f"arn:aws:lambda:*:*:function:{stage.function_name(function)}"


def _logs(stage: Stage, function: str) -> Document:
    group = f"arn:aws:logs:*:*:log-group:/aws/lambda/{stage.function_name(function)}"
    return _allow(
        "WriteOwnLog",
        ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        [group, f"{group}:*"],
    )


def document(*statements: Document) -> Document:
    """A policy document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    condition: Document | None = None,
) -> Document:
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})
