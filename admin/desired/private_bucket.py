"""What makes a bucket private: for incoming, the vault and the log of the trail."""

from collections.abc import Iterator

from admin.desired.requirement import Kind, Requirement


def closed_to_the_world(bucket: str) -> Iterator[Requirement]:
    """No public access, no access control lists, and no key but S3's own."""
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    yield Requirement(
        kind=Kind.PUBLIC_ACCESS,
        resource=bucket,
        desired=dict.fromkeys(blocks, True),
        summary=f"{bucket}: block public access",
        why="A single careless policy would expose every backup.",
    )
    yield Requirement(
        kind=Kind.OWNERSHIP,
        resource=bucket,
        desired="BucketOwnerEnforced",
        summary=f"{bucket}: disable access control lists",
        why="Rights belong in policies, and nowhere else.",
    )
    yield Requirement(
        kind=Kind.ENCRYPTION,
        resource=bucket,
        desired="AES256",
        summary=f"{bucket}: encrypt with S3's own keys",
        why="Deleting a KMS key would destroy every backup encrypted with it.",
    )
