"""The requests that must not be denied: of servers, of the functions, and of `setup` itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from admin.desired.permissions import function_policies, server_policy, statements
from admin.desired.requirement import Kind
from admin.setup.adoption.denials import Request
from admin.setup.plan import Plan
from admin.target import Target

# The action that writes each kind of setting.
_WRITTEN_WITH = {
    Kind.PUBLIC_ACCESS: "PutBucketPublicAccessBlock",
    Kind.OWNERSHIP: "PutBucketOwnershipControls",
    Kind.ENCRYPTION: "PutEncryptionConfiguration",
    Kind.VERSIONING: "PutBucketVersioning",
    Kind.OBJECT_LOCK: "PutBucketObjectLockConfiguration",
    Kind.LIFECYCLE: "PutLifecycleConfiguration",
    Kind.BUCKET_POLICY: "PutBucketPolicy",
}
_DAY = timedelta(days=1)
# From the current slot to that of a year later, so that names of every period occur.
_LATER = (timedelta(0), _DAY, 31 * _DAY, 366 * _DAY)


def uploads(target: Target) -> Iterator[Request]:
    """What backup programs send with each server's key."""
    for server in target.servers:
        user = target.stage.server_user(server)
        policy = server_policy(target.policy, incoming=target.incoming, server=server)
        for statement in statements(policy):
            for resource in statement["Resource"]:
                yield Request(
                    principal=f"arn:aws:iam::{target.account.id}:user/{user}",
                    action="PutObject",
                    resource=resource,
                    keys={
                        "aws:username": user,
                        # Requests with an access key never have them (IAM user guide, "Global
                        # condition keys").
                        "aws:multifactorauthage": None,
                        "aws:multifactorauthpresent": None,
                        "s3:if-none-match": None,
                        "s3:x-amz-server-side-encryption": None,
                        "s3:x-amz-storage-class": None,
                    },
                )


def promotions(target: Target) -> Iterator[Request]:
    """What the functions do according to their IAM policies, with real keys and names."""
    now = datetime.now(UTC)
    keys: dict[str, list[str]] = {
        target.incoming: [*target.policy.server_keys],
        target.vault: [
            target.policy.slot_of(key, now + later).name
            for key in target.policy.server_keys
            for later in _LATER
        ],
    }
    for function, policy in function_policies(target.policy, target.stage).items():
        role = f"arn:aws:iam::{target.account.id}:role/{target.stage.function_name(function)}"
        for statement in statements(policy):
            for bucket, names in keys.items():
                for resource in _within(bucket, statement["Resource"], names):
                    for action in statement["Action"]:
                        yield Request(
                            principal=role,
                            action=action.removeprefix("s3:"),
                            resource=resource,
                            keys={
                                "aws:username": None,
                                # A role's session has the second key, but not the first.
                                "aws:multifactorauthage": None,
                                "aws:multifactorauthpresent": "false",
                                "aws:sourcevpc": None,
                                "aws:sourcevpce": None,
                                "s3:if-none-match": "*",
                                "s3:objectcreationoperation": "true",
                                "s3:x-amz-server-side-encryption": "AES256",
                            },
                        )


def steps(target: Target, plan: Plan) -> Iterator[Request]:
    """What `setup` and `chalice deploy` write to the buckets."""
    written = [
        (change.requirement.resource, _WRITTEN_WITH[change.requirement.kind])
        for change in plan.changes
        if change.requirement.kind in _WRITTEN_WITH
    ]
    # Without this, no later setup could open the door.
    written += [(target.vault, "PutBucketPolicy"), (target.incoming, "PutBucketNotification")]
    callers = {
        bucket: target.account.account_of(bucket).principal()
        for bucket in (target.incoming, target.vault)
    }
    for bucket, action in written:
        yield Request(
            principal=callers[bucket],
            action=action,
            resource=f"arn:aws:s3:::{bucket}",
            keys={},
        )


def _within(bucket: str, resources: list[str], keys: list[str]) -> list[str]:
    """The bucket, or real objects in it, if the statement's resources are in this bucket."""
    arn = f"arn:aws:s3:::{bucket}"
    if arn in resources:
        return [arn]
    if any(resource.startswith(f"{arn}/") for resource in resources):
        return [f"{arn}/{key}" for key in keys]
    return []
