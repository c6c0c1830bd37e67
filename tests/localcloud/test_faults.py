"""The injected faults begin and end as requested."""

from random import Random
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)

from tests.support.faults import (
    EVERY_FAULT,
    Killed,
    answers,
    by_chance,
    every,
    for_a_while,
    not_implemented,
    slow_down,
)
from tests.support.wire import Wire, retries_at_once

ATTEMPTS = 3  # of botocore, for one call


@pytest.fixture
def bucket(s3: Any) -> str:
    s3.create_bucket(Bucket="backups1")
    return "backups1"


@pytest.fixture
def wire(s3: Any, bucket: str) -> Any:
    with retries_at_once():
        yield Wire(s3)


def put(wire: Wire, key: str = "a") -> None:
    wire.client.put_object(Bucket="backups1", Key=key, Body=b"files")


def keys(wire: Wire) -> list[str]:
    listed = wire.client.list_objects_v2(Bucket="backups1").get("Contents", [])
    return [item["Key"] for item in listed]


# The error that the caller gets, its code if S3 responded, and whether S3 executed the request.
TABLE = {
    "500": (ClientError, "InternalError", False),
    "503": (ClientError, "SlowDown", False),
    "409": (ClientError, "ConditionalRequestConflict", False),
    "an error inside a 200": (ClientError, "InternalError", False),
    "no answer": (ReadTimeoutError, None, False),
    "a slow answer": (ReadTimeoutError, None, True),
    "dropped before the commit": (ConnectionClosedError, None, False),
    "dropped after the commit": (ConnectionClosedError, None, True),
    "500 after the commit": (ClientError, "InternalError", True),
    "503 after the commit": (ClientError, "SlowDown", True),
    "an error inside a 200 after the commit": (ClientError, "InternalError", True),
}


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_each_fault_does_what_its_name_says(wire: Wire, fault: str) -> None:
    error, code, done = TABLE[fault]
    wire.fail("PutObject", *[EVERY_FAULT[fault]] * ATTEMPTS)
    with pytest.raises(error) as caught:
        put(wire)
    if isinstance(caught.value, ClientError):
        assert caught.value.response["Error"]["Code"] == code
    assert keys(wire) == (["a"] if done else [])


def test_an_error_inside_a_200_needs_a_response_with_a_body(wire: Wire) -> None:
    put(wire)
    wire.fail("HeadObject", answers(200, "InternalError"))
    assert wire.client.head_object(Bucket="backups1", Key="a")["ContentLength"] == 5


def test_a_fault_affects_only_its_operation_and_only_as_often_as_requested(wire: Wire) -> None:
    wire.fail("PutObject", None, answers(403, "AccessDenied"))
    put(wire, "a")
    keys(wire)
    with pytest.raises(ClientError, match="AccessDenied"):
        put(wire, "b")
    put(wire, "c")
    assert keys(wire) == ["a", "c"]


def test_throttling_ends_after_a_while(wire: Wire) -> None:
    wire.plan(for_a_while(4, slow_down))
    with pytest.raises(ClientError, match="SlowDown"):
        put(wire)
    put(wire)
    assert wire.sent == ["PutObject"] * 5


def test_the_same_seed_gives_the_same_random_faults(s3: Any, wire: Wire) -> None:
    def history(seed: int) -> list[str]:
        wire.mend()
        wire.plan(by_chance(Random(seed), 0.5, [answers(403, "No")]))
        story = []
        for _ in range(20):
            try:
                put(wire)
                story.append("done")
            except (ClientError, BotoCoreError) as error:
                story.append(str(error))
        return story

    assert history(1) == history(1) != history(2)
    assert {"done"} < set(history(1))


def test_a_killed_client_sends_nothing_until_it_is_restarted(wire: Wire) -> None:
    wire.kill_after(1)
    put(wire, "a")
    for _ in range(2):
        with pytest.raises(Killed):
            put(wire, "b")
    wire.mend()
    put(wire, "c")
    assert keys(wire) == ["a", "c"]


def test_a_single_operation_can_fail_permanently(wire: Wire) -> None:
    put(wire)
    wire.plan(every("CopyObject", not_implemented))
    for _ in range(2):
        with pytest.raises(ClientError, match="NotImplemented") as caught:
            wire.client.copy_object(Bucket="backups1", Key="b", CopySource="backups1/a")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    put(wire, "c")
    assert keys(wire) == ["a", "c"]
    wire.mend()
    wire.client.copy_object(Bucket="backups1", Key="b", CopySource="backups1/a")
