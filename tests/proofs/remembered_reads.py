"""A client that caches S3's responses to reads until a write could change them.

The response to a HEAD or a list depends only on the versions of its keys, or on the unfinished
multipart uploads, and S3 changes neither in place. So a cached response is valid as long as exactly
the same versions and uploads exist. Faults are scheduled exactly as without the cache, and a
request that meets a fault bypasses it. Writes are always sent.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.support.wire import Wire
from tests.support.world import bucket


@dataclass(frozen=True, eq=False)
class RememberedReads:
    """Replaces `client`; its requests go over `wire`, if it has one. Not thread-safe."""

    client: Any
    wire: Wire | None = None
    answers: dict[tuple[Any, ...], tuple[list[Any], bytes]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def head_object(self, **parameters: Any) -> Any:
        return self._read("HeadObject", self.client.head_object, parameters)

    def list_object_versions(self, **parameters: Any) -> Any:
        return self._read("ListObjectVersions", self.client.list_object_versions, parameters)

    def list_multipart_uploads(self, **parameters: Any) -> Any:
        return self._read("ListMultipartUploads", self.client.list_multipart_uploads, parameters)

    def get_paginator(self, operation: str) -> Any:
        paginator = self.client.get_paginator(operation)
        paginator._method = getattr(self, operation)
        return paginator

    def _read(self, operation: str, send: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        # Anything that happens before a request can write.
        is_faulty = self.wire is not None and self.wire.announce(operation)
        contents = contents_of(operation, parameters)
        question = (operation, repr(sorted(parameters.items())), *map(id, contents))
        if is_faulty:
            return send(**parameters)
        if question not in self.answers:
            try:
                answer = send(**parameters)
            except ClientError as error:
                answer = error.response
            # As long as these are kept here, no other object can have the same identity.
            self.answers[question] = contents, pickle.dumps(answer)
        elif self.wire is not None:
            self.wire.withdraw()
        answer = pickle.loads(self.answers[question][1])
        if "Error" in answer:
            raise ClientError(answer, operation)
        return answer


def contents_of(operation: str, parameters: dict[str, Any]) -> list[Any]:
    """Everything that the response to a read depends on."""
    of = bucket(parameters["Bucket"])
    if operation == "ListMultipartUploads":
        return list(of.multiparts.values())
    keys = [parameters["Key"]] if "Key" in parameters else sorted(of.keys)
    prefix = parameters.get("Prefix", "")
    return [
        of.versioning_status,
        *(
            version
            for key in keys
            if key.startswith(prefix)
            for version in dict.get(of.keys, key, ())
        ),
    ]
