"""The bucket policies of incoming and of the vault: what S3 denies to everyone.

They only deny; identity policies allow, and a mistake in those does no harm here. Only a vault in a
separate account also has to allow the functions.
"""

from typing import Any

from admin.config.reading import FUNCTIONS
from admin.desired.door import BEHIND_THE_DOOR, DOOR
from admin.desired.permissions import (
    Document,
    add_to_vault,
    as_list,
    document,
    look_into_vault,
    watch_vault,
)
from admin.stage import Stage

# Every way to change or remove a stored object, except writing a new one. Nobody needs any of them:
# S3's lifecycle expires objects without a permission.
CHANGES_TO_STORED_OBJECTS = (
    # All annotation actions, on objects and on versions: annotations are new, and more actions
    # could follow.
    "s3:*Annotation",
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateTags",
    "s3:UpdateObjectEncryption",
)
# Sids of statements that earlier versions wrote and this one does not: `setup` removes them.
FORMER_STATEMENTS = frozenset({"OnlyTheAuditLocks", "SeeWhatIsCopied"})


def incoming_policy(stage: Stage) -> Document:
    """Deny uploads without TLS, in an archive class or encrypted with a customer's key.

    The last two could never be promoted; this way the server gets an error.
    """
    bucket = f"arn:aws:s3:::{stage.settings.incoming_bucket}"
    return document(
        _tls_only(bucket),
        _deny(
            "OnlyStandard",
            ["s3:PutObject"],
            [f"{bucket}/*"],
            _present_but_not("s3:x-amz-storage-class", "STANDARD"),
        ),
        *_only_keys_of_s3([f"{bucket}/*"]),
    )


def vault_policy(stage: Stage, *, account: str) -> Document:
    """Deny every change to the vault and to stored objects; only the promoter adds new ones.

    `account` is where the functions run; a vault in another account allows the functions exactly
    what their own IAM policies do. Roles are named in a condition: S3 accepts no principal that
    does not exist yet, and would not recognize a role that was recreated.
    """
    bucket = f"arn:aws:s3:::{stage.settings.vault_bucket}"
    objects = [f"{bucket}/*"]

    def roles(*functions: str) -> dict[str, list[str]]:
        names = [stage.function_name(function) for function in functions]
        return {"aws:PrincipalArn": [f"arn:aws:iam::{account}:role/{name}" for name in names]}

    def let_in(statement: Document, *functions: str) -> Document:
        condition = {**statement.get("Condition", {}), "ArnEquals": roles(*functions)}
        its_account = {"AWS": f"arn:aws:iam::{account}:root"}
        return {**statement, "Principal": its_account, "Condition": condition}

    has_own_account = stage.settings.vault_owner not in {None, account}
    looks = look_into_vault(stage) if has_own_account else []
    watches = watch_vault(stage) if has_own_account else []
    adds = add_to_vault(stage) if has_own_account else []

    return document(
        _tls_only(bucket),
        _deny(DOOR, list(BEHIND_THE_DOOR), [bucket, *objects]),
        _deny("NothingStoredIsChanged", list(CHANGES_TO_STORED_OBJECTS), objects),
        _deny("OnlyThePromoterAdds", ["s3:PutObject"], objects, {"ArnNotEquals": roles("promote")}),
        # A negated operator also matches a missing key, so this denies requests with no header or
        # an empty one. Requests for a multipart upload and its parts cannot have a condition, and
        # create no object. If S3 does not state whether a request creates an object (IfExists),
        # this denies it.
        _deny(
            "OnlyWhatIsNew",
            ["s3:PutObject"],
            objects,
            {
                "StringNotLike": {"s3:if-none-match": "?*"},
                "BoolIfExists": {"s3:ObjectCreationOperation": "true"},
            },
        ),
        *_only_keys_of_s3(objects),
        *(let_in(statement, *FUNCTIONS) for statement in looks),
        *(let_in(statement, "audit") for statement in watches),
        *(let_in(statement, "promote") for statement in adds),
    )


def canonical(statement: Document) -> Document:
    """The statement in a canonical form, because S3 rewrites statements.

    S3 returns a list with one item as that item, and reorders lists. Here every value is a
    frozenset of strings, and true is "true".
    """
    return {element: _canonical(value) for element, value in statement.items()}


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return canonical(value)
    return frozenset(
        str(item).lower() if isinstance(item, bool) else str(item) for item in as_list(value)
    )


def _only_keys_of_s3(objects: list[str]) -> list[Document]:
    """Deny writes encrypted with keys other than S3's. Parts of a copy name no encryption."""
    return [
        _deny(
            "NoKeysOfCustomers",
            ["s3:PutObject"],
            objects,
            {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}},
        ),
        _deny(
            "NoKmsKeys",
            ["s3:PutObject"],
            objects,
            _present_but_not("s3:x-amz-server-side-encryption", "AES256"),
        ),
    ]


def _tls_only(bucket: str) -> Document:
    return _deny(
        "OnlyTls", ["s3:*"], [bucket, f"{bucket}/*"], {"Bool": {"aws:SecureTransport": "false"}}
    )


def _present_but_not(key: str, value: str) -> Document:
    """Without "Null", a negated operator would match a missing key: every ordinary upload."""
    return {"StringNotEquals": {key: value}, "Null": {key: "false"}}


def _deny(
    sid: str, actions: list[str], resources: list[str], condition: Document | None = None
) -> Document:
    statement = {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resources,
    }
    return statement | ({"Condition": condition} if condition else {})
