"""What S3 itself refuses, to anybody: the bucket policies of incoming and of the vault.

They deny. What is allowed, identity policies say; a mistake there stays harmless here. Only a vault
in an account of its own has to let the functions in.
"""

from admin.desired.permissions import Document, add_to_vault, document, look_into_vault
from admin.stage import Stage

# Every way of changing or removing what is stored, apart from writing a new object. Nobody needs
# any of them: what expires, S3's lifecycle removes, and it needs no permission.
CHANGES_OF_WHAT_IS_STORED = (
    # All of them, on objects and on versions: they are new, and more may come.
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
# Names of statements that earlier versions wrote and this one does not: `setup` takes them out.
FORMER_STATEMENTS = frozenset({"SeeWhatIsCopied"})


def incoming_policy(stage: Stage) -> Document:
    """Uploads in the clear, in an archive class or under a customer's key are refused by S3.

    They could never be promoted: so the server hears of it, instead of nobody.
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
    """Nobody changes or removes what is stored; only the promoter adds, and only what is new.

    `account` is where the functions run; a vault in another one lets them in, each with the rights
    that its own policy gives it. Roles are named by a condition: a principal that does not exist
    yet would be refused, and a role that is made anew would no longer be meant.
    """
    bucket = f"arn:aws:s3:::{stage.settings.vault_bucket}"
    objects = [f"{bucket}/*"]

    def roles(*functions: str) -> dict[str, list[str]]:
        names = [stage.function_name(function) for function in functions]
        return {"aws:PrincipalArn": [f"arn:aws:iam::{account}:role/{name}" for name in names]}

    def only(sid: str, action: str, function: str) -> Document:
        return _deny(sid, [action], objects, {"ArnNotEquals": roles(function)})

    def let_in(statement: Document, *functions: str) -> Document:
        condition = {**statement.get("Condition", {}), "ArnEquals": roles(*functions)}
        its_account = {"AWS": f"arn:aws:iam::{account}:root"}
        return {**statement, "Principal": its_account, "Condition": condition}

    is_elsewhere = stage.settings.vault_owner not in {None, account}
    looks = look_into_vault(stage) if is_elsewhere else []
    adds = add_to_vault(stage) if is_elsewhere else []

    return document(
        _tls_only(bucket),
        _deny("NothingStoredIsChanged", list(CHANGES_OF_WHAT_IS_STORED), objects),
        only("OnlyThePromoterAdds", "s3:PutObject", "promote"),
        only("OnlyTheAuditLocks", "s3:PutObjectRetention", "audit"),
        # A negated operator matches an absent key, so this denies a request without the header and
        # one whose header is empty. Creating a multipart upload and its parts can carry no
        # condition, and create no object; where S3 does not say which it is (IfExists), it denies.
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
        *(let_in(statement, "promote", "sweep") for statement in looks),
        *(let_in(statement, "promote") for statement in adds),
    )


def _only_keys_of_s3(objects: list[str]) -> list[Document]:
    """No write under a key that S3 does not own. Parts of a copy name no encryption at all."""
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
    """A negated operator alone matches an absent key, and so every ordinary upload."""
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
