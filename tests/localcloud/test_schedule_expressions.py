"""When EventBridge's schedules are due."""

from datetime import UTC, datetime
from itertools import accumulate, repeat

import pytest
from moto.events.exceptions import ValidationException

from localcloud.eventbridge.expressions import schedule

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def due(expression, *, after=NOON, count=3):
    following = schedule(expression)
    moments = accumulate(repeat(None, count), lambda at, _: following(at), initial=after)
    return [f"{moment:%d %H:%M}" for moment in [*moments][1:]]


@pytest.mark.parametrize(
    ("expression", "moments"),
    [
        pytest.param("rate(15 minutes)", ["25 12:15", "25 12:30", "25 12:45"], id="a rate"),
        pytest.param("rate(1 hour)", ["25 13:00", "25 14:00", "25 15:00"], id="one"),
        pytest.param("cron(0 * * * ? *)", ["25 13:00", "25 14:00", "25 15:00"], id="hourly"),
        pytest.param("cron(30 * ? * * *)", ["25 12:30", "25 13:30", "25 14:30"], id="?, on days"),
        pytest.param("cron(0 8 * * ? *)", ["26 08:00", "27 08:00", "28 08:00"], id="daily"),
        pytest.param("cron(5,40 23 * * ? *)", ["25 23:05", "25 23:40", "26 23:05"], id="lists"),
        pytest.param("cron(0 11-13 * * ? *)", ["25 13:00", "26 11:00", "26 12:00"], id="a range"),
        pytest.param("cron(0/25 12 * * ? *)", ["25 12:25", "25 12:50", "26 12:00"], id="steps"),
        pytest.param("cron(*/30 12 * * ? *)", ["25 12:30", "26 12:00", "26 12:30"], id="*/30"),
    ],
)
def test_when_a_schedule_is_due(expression, moments):
    assert due(expression) == moments


def test_a_cron_expression_counts_from_seconds_within_a_minute():
    assert due("cron(0 * * * ? *)", after=NOON.replace(second=1), count=1) == ["25 13:00"]
    assert due("cron(0 * * * ? *)", after=NOON.replace(hour=11, minute=59), count=1) == ["25 12:00"]


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)",
        "rate(1 week)",
        "cron(0 12 * * ?)",
        "cron(0 12 * * * *)",
        "cron(60 * * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 5-24 * * ? *)",
        "cron(x * * * ? *)",
        "cron(0 12 1 * ? *)",
        "cron(0 12 ? * MON-FRI *)",
        "cron(0 12 * * ? 2027)",
        "at(2026-11-25T12:00:00)",
    ],
)
def test_an_unsupported_schedule_is_refused_in_a_sentence(expression):
    with pytest.raises(ValidationException, match="only supports schedules such as") as refused:
        schedule(expression)
    assert expression in refused.value.message
