"""Changes the vault like an intruder who removes its bucket policy first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def past_the_door(s3: Any, bucket: str = "backups2") -> Iterator[None]:
    """Within the block, the bucket has no policy; afterwards its policy is restored."""
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    try:
        yield
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
