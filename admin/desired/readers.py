"""IAM policies for people and programs that read backups. `setup` attaches them to nobody."""

from collections.abc import Iterator

from admin.desired.permissions import (
    Document,
    allow,
    document,
    find_uploads,
    look_into_vault,
    watch_vault,
)
from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage

# The limit for a managed policy, without white space (IAM user guide, "IAM quotas").
LARGEST_MANAGED_POLICY = 6_144


def reader_policies(stage: Stage, *, account: str) -> Iterator[Requirement]:
    """The policies; `account` is where the functions and incoming are.

    If the vault has its own account, each of the two has a policy for what it holds, and readers
    need credentials for both.
    """
    holder = stage.settings.vault_owner or account
    uploads, backups = list_uploads(stage), read_backups(stage)
    if holder != account:
        yield _policy(stage.reader, account, uploads, "list uploads, for backups status")
    reading = backups if holder != account else [*backups, *uploads]
    yield _policy(stage.reader, holder, reading, "list, verify and restore backups")
    yield _policy(
        stage.reader_archived,
        holder,
        [*reading, *retrieve_archived(stage)],
        "list, verify and restore backups, archived ones too, which costs money",
    )


def list_uploads(stage: Stage) -> list[Document]:
    """The statement for what `backups status` shows about incoming, which reads no upload."""
    return [find_uploads(stage)]


def read_backups(stage: Stage) -> list[Document]:
    """Statements for reading everything in the vault, its settings, and how much it holds."""
    vault = f"arn:aws:s3:::{stage.settings.vault_bucket}"
    return [
        *look_into_vault(stage),
        *watch_vault(stage),
        allow("ReadEveryVersion", ["s3:GetObjectVersion"], [f"{vault}/*"]),
        allow("ReadItsBucketPolicy", ["s3:GetBucketPolicy"], [vault]),
        # GetMetricData has no resources (service authorization reference, "Amazon CloudWatch").
        allow("SeeHowMuchItHolds", ["cloudwatch:GetMetricData"], ["*"]),
    ]


def retrieve_archived(stage: Stage) -> list[Document]:
    """The statement for retrieving archived backups, which S3 bills."""
    objects = f"arn:aws:s3:::{stage.settings.vault_bucket}/*"
    return [allow("RetrieveArchivedBackups", ["s3:RestoreObject"], [objects])]


def _policy(name: str, account: str, allowed: list[Document], what: str) -> Requirement:
    return Requirement(
        kind=Kind.MANAGED_POLICY,
        resource=f"arn:aws:iam::{account}:policy/{name}",
        desired=document(*allowed),
        summary=f"IAM policy {name}: allow its holders to {what}",
        why="It changes nothing, and nobody has it until you attach it: restoring needs no "
        "administrator's rights.",
    )
