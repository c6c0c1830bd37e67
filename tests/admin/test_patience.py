"""Waiting ends when what was waited for is there, or when patience does."""

import pytest
from botocore.exceptions import ClientError

from admin.waiting import Patience


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "PutObject")


def patience(told: list[str], *, seconds: float = 60) -> Patience:
    return Patience(seconds=seconds, tell=told.append)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes by sleeping only."""
    now = [0.0]
    monkeypatch.setattr("admin.waiting.time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        "admin.waiting.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds)
    )
    return now


def test_a_refusal_that_passes_is_outlasted() -> None:
    answers = iter([refusal("InvalidAccessKeyId"), refusal("AccessDenied"), None])

    def call() -> str:
        if error := next(answers):
            raise error
        return "done"

    codes = {"InvalidAccessKeyId", "AccessDenied"}
    assert patience([]).outlast("a key", call, codes=codes) == "done"


def test_another_refusal_is_not() -> None:
    def call() -> str:
        raise refusal("NoSuchBucket")

    with pytest.raises(ClientError, match="NoSuchBucket"):
        patience([]).outlast("a key", call, codes={"AccessDenied"})


def test_patience_ends_and_what_is_waited_for_is_told_less_and_less(clock: list[float]) -> None:
    def call() -> str:
        raise refusal("AccessDenied")

    told: list[str] = []
    assert patience(told).outlast("a key", call, codes={"AccessDenied"}) is None
    assert 60 <= clock[0] < 63
    assert told[0].startswith("waiting for a key: 2")
    assert 2 <= len(told) <= 6
