"""Everything that the S3 in this process stores for a bucket, as values that can be compared."""

from typing import Any

from moto.s3.models import FakeKey, s3_backends

from tests.support.world import bucket

# An object's bytes are compared as its `value`. moto counts how often they were read.
NOT_COMPARED = {"_value_buffer", "lock", "_tick", "_time_progressed"}


def state_of(name: str, *, except_below: str) -> dict[str, Any]:
    """The bucket's settings, and all of its objects and tags except those below a prefix."""
    attributes = dict(vars(bucket(name)))
    objects, multiparts = attributes.pop("keys"), attributes.pop("multiparts")
    if encryption := attributes["encryption"]:
        # S3 returns this for a rule that was put without it.
        rule = {"BucketKeyEnabled": "false", **encryption["Rule"]}
        attributes["encryption"] = {**encryption, "Rule": rule}
    tags = s3_backends["123456789012"]["aws"].tagger.tags
    return {
        "settings": comparable(attributes),
        "objects": {
            key: comparable(versions)
            for key, versions in dict.items(objects)
            if not key.startswith(except_below)
        },
        "multiparts": {
            id_: comparable(multipart)
            for id_, multipart in multiparts.items()
            if not multipart.key_name.startswith(except_below)
        },
        "tags": {
            arn: dict(each)
            for arn, each in tags.items()
            if f":{name}" in arn and f":{name}/{except_below}" not in arn
        },
    }


def comparable(value: Any) -> Any:
    """Return a copy of the value that compares by content, not by identity."""
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in dict.items(value)}
    if isinstance(value, list | tuple | set):
        return [comparable(each) for each in value]
    if not hasattr(value, "__dict__") or isinstance(value, type):
        return value
    attributes = {
        name: comparable(each) for name, each in vars(value).items() if name not in NOT_COMPARED
    }
    if isinstance(value, FakeKey):
        attributes["value"] = value.value
    return type(value), attributes
