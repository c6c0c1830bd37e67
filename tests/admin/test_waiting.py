"""A waiter polls until the call succeeds, or until its time limit."""

import pytest
from botocore.exceptions import ClientError

from admin.waiting import Waiter


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "PutObject")


def waiter(lines: list[str], *, seconds: float = 60) -> Waiter:
    return Waiter(seconds=seconds, tell=lines.append)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes by sleeping only."""
    now = [0.0]
    monkeypatch.setattr("admin.waiting.time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        "admin.waiting.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds)
    )
    return now


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


def test_waiting_ends_at_the_limit_and_tells_less_and_less_often(clock: list[float]) -> None:
    def call() -> str:
        raise refusal("AccessDenied")

    lines: list[str] = []
    assert waiter(lines).retry_while({"AccessDenied"}, "a key", call) is None
    assert 60 <= clock[0] < 63
    assert lines[0].startswith("waiting for a key: 2")
    assert 2 <= len(lines) <= 6
