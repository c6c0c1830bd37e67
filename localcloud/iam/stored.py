"""The contents of moto's S3 on which an authorization depends."""

from typing import Any

from moto.s3.models import FakeBucket, FakeKey, s3_backends


def find_bucket(name: str) -> FakeBucket | None:
    """The bucket with this name, of any account, or None."""
    if name not in s3_backends.bucket_accounts:
        return None
    partition, account = s3_backends.bucket_accounts[name]
    bucket: FakeBucket | None = s3_backends[account][partition].buckets.get(name)
    return bucket


def _key(bucket_name: str, name: str, version: str | None) -> Any:
    bucket = find_bucket(bucket_name)
    if bucket is None:
        return None
    if version is None:
        return bucket.keys.get(name)
    versions = bucket.keys.getlist(name, default=[])
    return next((key for key in versions if str(key.version_id) == version), None)


def is_missing(bucket: str, key: str, version: str | None) -> bool:
    """Whether the bucket exists, and the object is absent or under a delete marker."""
    stored = _key(bucket, key, version)
    return find_bucket(bucket) is not None and (
        stored is None or (version is None and not isinstance(stored, FakeKey))
    )


def is_tagged(bucket_name: str, name: str, version: str | None) -> bool:
    """Whether the object exists and has tags."""
    bucket, key = find_bucket(bucket_name), _key(bucket_name, name, version)
    if bucket is None or not isinstance(key, FakeKey):
        return False
    tagger = s3_backends[bucket.account_id][bucket.partition].tagger
    return bool(tagger.get_tag_dict_for_resource(key.arn))
