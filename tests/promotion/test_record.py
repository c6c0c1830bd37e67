import io
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest

from chalicelib.policy.rules import DRILL_UPLOAD
from tests.support.faults import answers
from tests.support.wire import Wire
from tests.support.world import DAILY, World

CLAIMS = {
    "requestParameters": {"sourceIPAddress": "203.0.113.7"},
    "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
}


def event(key: str = DAILY) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": key}}} | CLAIMS]}


def test_one_line_says_what_happened_to_an_upload(world: World, log: io.StringIO) -> None:
    world.upload(b"files", key=DAILY)
    [record] = world.promoter.promote_all(event(), now=datetime.now(UTC))
    [line] = log.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["level"] == "INFO"
    assert fields["service"] == "immutable-backups-dev"
    assert fields["message"] == "promoted: backup.tar.gz.gpg"
    assert {key: value for key, value in vars(record).items() if value is not None} == {
        key: fields[key]
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
    assert (fields["claimed_ip"], fields["claimed_principal"]) == ("203.0.113.7", "AWS:AIDAEXAMPLE")


def test_outcomes_are_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for body in (b"first", b"second", b""):
        world.upload(body)
        world.promoter.promote_all(event(), now=datetime.now(UTC))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    blobs = [line for line in lines if "_aws" in line]
    metrics = [line["_aws"]["CloudWatchMetrics"][0] for line in blobs]
    assert all(metric["Namespace"] == "ImmutableBackups" for metric in metrics)
    assert all(metric["Dimensions"] == [["service"]] for metric in metrics)
    names = [{value["Name"] for value in metric["Metrics"]} for metric in metrics]
    assert names == [{"Promoted", "BytesPromoted", "PromotionSeconds"}, {"Contested"}, {"Rejected"}]
    assert blobs[0]["BytesPromoted"] == [5.0]


def test_a_drill_s_upload_is_logged_but_not_counted(
    world: World, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in (b"first", b"second", b""):
        world.upload(body, key=DRILL_UPLOAD)
        world.promoter.promote_all(event(DRILL_UPLOAD), now=datetime.now(UTC))
    outcomes = [json.loads(line)["outcome"] for line in log.getvalue().splitlines()]
    assert outcomes == ["promoted", "contested", "rejected"]
    assert "_aws" not in capsys.readouterr().out


def test_an_ignored_upload_writes_no_metric(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.promoter.promote_all(event("holiday.jpg"), now=datetime.now(UTC))
    assert "_aws" not in capsys.readouterr().out


@pytest.mark.parametrize(("body", "level"), [(b"files", "INFO"), (b"", "WARNING")])
def test_a_rejected_upload_is_a_warning(
    world: World, log: io.StringIO, body: bytes, level: str
) -> None:
    world.upload(body)
    world.promoter.promote_all(event(), now=datetime.now(UTC))
    assert json.loads(log.getvalue())["level"] == level


def test_a_failure_is_logged_in_one_line_with_its_cause(
    world: World, log: io.StringIO, wire: Wire
) -> None:
    wire.fail("HeadObject", *[answers(503, "503")] * 3)
    with pytest.raises(ExceptionGroup):
        world.promoter.promote_all(event(), now=datetime.now(UTC))
    [line] = log.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["level"] == "ERROR"
    assert fields["message"].startswith("failed: ClientError: ")
    assert fields["notification"]["s3"]["object"]["key"] == DAILY
    assert "HeadObject" in fields["exception"]


@pytest.mark.parametrize("separator", ["\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x1b[2J"])
def test_no_character_of_a_key_starts_a_second_line(
    world: World, log: io.StringIO, separator: str
) -> None:
    key = f'x{separator}{{"level": "INFO", "outcome": "promoted"}}'
    world.promoter.promote_all(event(quote_plus(key)), now=datetime.now(UTC))
    assert len(log.getvalue().splitlines()) == 1
    assert json.loads(log.getvalue())["upload"] == key
    assert log.getvalue().isascii()
