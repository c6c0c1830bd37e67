"""A waiter polls until the call succeeds or its time limit is reached."""

import pytest
from botocore.exceptions import ClientError

from admin.waiting import Waiter
from tests.support.sleeping_clock import SleepingClock


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "PutObject")


def waiter(lines: list[str], *, clock: SleepingClock | None = None) -> Waiter:
    clock = clock or SleepingClock()
    return Waiter(seconds=60, tell=lines.append, monotonic=clock.monotonic, sleep=clock.sleep)


def test_a_passing_denial_is_retried() -> None:
    answers = iter([refusal("InvalidAccessKeyId"), refusal("AccessDenied"), None])

    def call() -> str:
        if error := next(answers):
            raise error
        return "done"

    codes = {"InvalidAccessKeyId", "AccessDenied"}
    assert waiter([]).retry_while(codes, "a key", call) == "done"


def test_another_error_is_raised() -> None:
    def call() -> str:
        raise refusal("NoSuchBucket")

    with pytest.raises(ClientError, match="NoSuchBucket"):
        waiter([]).retry_while({"AccessDenied"}, "a key", call)


def test_waiting_ends_at_the_limit_and_reports_less_and_less_often() -> None:
    def call() -> str:
        raise refusal("AccessDenied")

    lines: list[str] = []
    clock = SleepingClock()
    assert waiter(lines, clock=clock).retry_while({"AccessDenied"}, "a key", call) is None
    assert 60 <= clock.seconds < 63
    assert lines[0].startswith("waiting for a key: 2")
    assert 2 <= len(lines) <= 6
