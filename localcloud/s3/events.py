"""S3's event notifications for Lambda functions and SNS topics."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import quote_plus

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.s3 import notifications
from moto.s3.exceptions import S3ClientError

from localcloud.clock import utcnow

if TYPE_CHECKING:
    from moto.s3.models import FakeBucket

Deliver = Callable[[str, dict[str, Any]], None]
"""Called with the function's ARN and the event."""

Publish = Callable[[str, dict[str, Any], str, str], None]
"""Called with a topic's ARN, the message, and the bucket's ARN and account."""

Denial = Callable[[str, str, str], str | None]
"""Called with the ARNs of a function or topic and of a bucket, and the bucket's account.

Returns why S3 cannot notify that target for the bucket, or None.
"""

CREATED = "s3:ObjectCreated:"


@dataclass(frozen=True)
class Requester:
    """The sender of the current request, as in S3's events."""

    principal_id: str = "AWS:AIDALOCALADMINISTRATOR"
    source_ip: str = "127.0.0.1"


requester: ContextVar[Requester] = ContextVar("requester", default=Requester())  # noqa: B039
"""Set by the authorization; read when an event is made."""

_moments = itertools.count(time.time_ns())
_waiting: ContextVar[list[Callable[[], None]] | None] = ContextVar("waiting", default=None)


def next_moment() -> str:
    """A string that sorts after all strings returned before."""
    return f"{next(_moments):016X}"


def _allow(_target_arn: str, _bucket_arn: str, _account: str) -> None:
    """Allow every target."""


_denial: Denial = _allow


def refuse_closed_destination(target_arn: str, bucket: FakeBucket) -> None:
    """Raise S3's error if the target does not exist, or does not allow S3 to notify it."""
    if _denial(target_arn, bucket.arn, bucket.account_id):
        raise S3ClientError(
            "InvalidArgument", "Unable to validate the following destination configurations"
        )


@contextmanager
def delivered_to(
    deliver: Deliver | None, *, publish: Publish | None = None, denial: Denial | None = None
) -> Iterator[None]:
    """Send notifications to `deliver`, for functions, and `publish`, for topics.

    None sends none. A bucket's configuration can only name targets for which `denial` returns None.
    """

    def invoke(_account: str, event: dict[str, Any], function_arn: str, _region: str) -> None:
        if deliver is not None:
            _after_the_request(partial(deliver, function_arn, event))

    def send(account: str, message: dict[str, Any], topic_arn: str, _region: str) -> None:
        if publish is not None:
            bucket = f"arn:aws:s3:::{_bucket_name(message)}"
            _after_the_request(partial(publish, topic_arn, message, bucket, account))

    with (
        patch.multiple(
            notifications,
            _get_s3_event=_event,
            _get_test_event=_test_event,
            _invoke_awslambda=invoke,
            _send_sns_message=send,
        ),
        patch(f"{__name__}._denial", denial or _allow),
    ):
        yield


def _after_the_request(call: Callable[[], None]) -> None:
    waiting = _waiting.get()
    if waiting is None:
        call()
    else:
        waiting.append(call)


def _bucket_name(message: dict[str, Any]) -> str:
    if "Records" in message:
        return str(message["Records"][0]["s3"]["bucket"]["name"])
    return str(message["Bucket"])


@contextmanager
def after_the_request() -> Iterator[None]:
    """Hold events back until the request releases its lock, because functions use the object."""
    calls: list[Callable[[], None]] = []
    token = _waiting.set(calls)
    try:
        yield
    finally:
        _waiting.reset(token)
        for call in calls:
            call()


def _event(name: str, bucket: FakeBucket, key: Any, configuration: str) -> dict[str, Any]:
    sender = requester.get()
    described: dict[str, Any] = {"key": quote_plus(key.name, safe="/")}
    if name.startswith(CREATED):
        described |= {"size": key.size, "eTag": key.etag.strip('"')}
    if bucket.versioning_status:
        described["versionId"] = key.version_id
    moment = next_moment()
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": bucket.region_name,
                "eventTime": iso_8601_datetime_with_milliseconds(utcnow()),
                "eventName": name.removeprefix("s3:"),
                "userIdentity": {"principalId": sender.principal_id},
                "requestParameters": {"sourceIPAddress": sender.source_ip},
                "responseElements": {"x-amz-request-id": moment, "x-amz-id-2": moment},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": configuration,
                    "bucket": {
                        "name": bucket.name,
                        "ownerIdentity": {"principalId": bucket.account_id},
                        "arn": bucket.arn,
                    },
                    "object": described | {"sequencer": moment},
                },
            }
        ]
    }


def _test_event(bucket_name: str) -> dict[str, Any]:
    """What S3 sends to each topic of a new configuration.

    S3 user guide, "Event message structure".
    """
    moment = next_moment()
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": iso_8601_datetime_with_milliseconds(utcnow()),
        "Bucket": bucket_name,
        "RequestId": moment,
        "HostId": moment,
    }
