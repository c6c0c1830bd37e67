import io
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.support.faults import answers
from tests.support.wire import Wire
from tests.support.world import DAILY, World

CLAIMS = {
    "requestParameters": {"sourceIPAddress": "203.0.113.7"},
    "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
}


def event(key: str = DAILY) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": key}}} | CLAIMS]}


def test_one_line_says_what_became_of_an_upload(world: World, log: io.StringIO) -> None:
    world.upload(b"files", key=DAILY)
    [record] = world.promoter.promote_all(event(), now=datetime.now(UTC))
    [line] = log.getvalue().splitlines()
    told = json.loads(line)
    assert told["level"] == "INFO"
    assert told["service"] == "immutable-backups-dev"
    assert told["message"] == "promoted: backup.tar.gz.gpg"
    assert {key: value for key, value in vars(record).items() if value is not None} == {
        key: told[key]
        for key in (
            "outcome",
            "reason",
            "upload",
            "slot",
            "rule",
            "size",
            "etag",
            "uploaded_at",
            "checksum",
            "claimed_ip",
            "claimed_principal",
            "seconds",
        )
    }
    assert (told["claimed_ip"], told["claimed_principal"]) == ("203.0.113.7", "AWS:AIDAEXAMPLE")


def test_outcomes_are_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for body in (b"first", b"second", b""):
        world.upload(body)
        world.promoter.promote_all(event(), now=datetime.now(UTC))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    blobs = [line for line in lines if "_aws" in line]
    told = [line["_aws"]["CloudWatchMetrics"][0] for line in blobs]
    assert all(one["Namespace"] == "ImmutableBackups" for one in told)
    assert all(one["Dimensions"] == [["service"]] for one in told)
    names = [{metric["Name"] for metric in one["Metrics"]} for one in told]
    assert names == [{"Promoted", "BytesPromoted", "PromotionSeconds"}, {"Contested"}, {"Rejected"}]
    assert blobs[0]["BytesPromoted"] == [5.0]


def test_what_needs_nobody_counts_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.promoter.promote_all(event("holiday.jpg"), now=datetime.now(UTC))
    assert "_aws" not in capsys.readouterr().out


@pytest.mark.parametrize(("body", "level"), [(b"files", "INFO"), (b"", "WARNING")])
def test_what_somebody_should_know_is_a_warning(
    world: World, log: io.StringIO, body: bytes, level: str
) -> None:
    world.upload(body)
    world.promoter.promote_all(event(), now=datetime.now(UTC))
    assert json.loads(log.getvalue())["level"] == level


def test_a_failure_is_one_line_with_its_cause(world: World, log: io.StringIO, wire: Wire) -> None:
    wire.fail("HeadObject", *[answers(503, "503")] * 3)
    with pytest.raises(ExceptionGroup):
        world.promoter.promote_all(event(), now=datetime.now(UTC))
    [line] = log.getvalue().splitlines()
    told = json.loads(line)
    assert told["level"] == "ERROR"
    assert told["message"].startswith("failed: ClientError: ")
    assert told["notification"]["s3"]["object"]["key"] == DAILY
    assert "HeadObject" in told["exception"]


@pytest.mark.parametrize("separator", ["\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x1b[2J"])
def test_no_character_of_a_key_begins_a_second_line(
    world: World, log: io.StringIO, separator: str
) -> None:
    forged = f'x{separator}{{"level": "INFO", "outcome": "promoted"}}'
    world.promoter.promote_all(event(quote_plus(forged)), now=datetime.now(UTC))
    assert len(log.getvalue().splitlines()) == 1
    assert json.loads(log.getvalue())["upload"] == forged
    assert log.getvalue().isascii()
