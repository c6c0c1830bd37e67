"""Tests the whole app through Chalice's test client. Read this file first."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib.promotion.copy_plan import MIB
from localcloud.clock import clock
from localcloud.s3.checksums import digest, encoded
from tests.support.world import World

PROJECT = Path(app.__file__).parent
TOPIC = "arn:aws:sns:us-east-1:123456789012:immutable-backups-dev-alerts"
AFTERNOON = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)


@dataclass
class Topic:
    """An SNS that keeps the mails of a topic."""

    mails: list[str]

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> None:  # noqa: N803
        assert TopicArn == TOPIC
        self.mails.append(f"{Subject}\n{Message}")


@pytest.fixture
def mails() -> list[str]:
    return []


@pytest.fixture
def client(world: World, mails: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(app, "promoter", world.promoter)
    with Client(app.app, project_dir=str(PROJECT)) as client:
        sweeper = world.sweeper(lambda event: client.lambda_.invoke("promote", event))
        monkeypatch.setattr(app, "sweeper", sweeper)
        monkeypatch.setattr(app, "auditor", world.auditor())
        teller = replace(app.teller, connect=lambda: Topic(mails), alert_topic=TOPIC)
        monkeypatch.setattr(app, "teller", teller)
        yield client


def promote(client: Client, key: str) -> dict[str, Any]:
    event = client.events.generate_s3_event(bucket="backups1", key=key)
    [outcome] = client.lambda_.invoke("promote", event).payload["outcomes"]
    return outcome


def sweep(client: Client) -> dict[str, Any]:
    """Sweep, with an event that Chalice dates 2015. The sweep invokes `promote` directly."""
    event = client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
    return client.lambda_.invoke("sweep", event).payload


def audit(client: Client, *, at: datetime) -> dict[str, Any]:
    """Audit, with an event that EventBridge dates `at`; return the result as parsed JSON."""
    event = client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
    result = client.lambda_.invoke("audit", event | {"time": f"{at:%Y-%m-%dT%H:%M:%SZ}"}).payload
    return json.loads(json.dumps(result))


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return AFTERNOON

    monkeypatch.setattr(app, "datetime", Clock)


def test_the_nightly_backup_is_stored_under_its_day(client: Client, world: World) -> None:
    world.upload(b"all our files", key="backup.tar.gz.gpg", at=AFTERNOON)
    outcome = promote(client, "backup.tar.gz.gpg")
    assert (outcome["outcome"], outcome["slot"]) == ("promoted", "2026-11-23.tar.gz.gpg")
    assert world.bodies() == {"2026-11-23.tar.gz.gpg": b"all our files"}
    assert world.incoming() == []


def test_the_hourly_dump_is_stored_under_its_hour(client: Client, world: World) -> None:
    world.upload(b"all our tables", key="sql.gz.gpg", at=AFTERNOON)
    assert promote(client, "sql.gz.gpg")["slot"] == "2026-11-23.14.sql.gz.gpg"
    assert world.bodies() == {"2026-11-23.14.sql.gz.gpg": b"all our tables"}


def test_a_second_upload_of_the_day_changes_nothing(client: Client, world: World) -> None:
    world.upload(b"good", at=AFTERNOON)
    promote(client, "backup.tar.gz.gpg")
    before = world.vault()

    world.upload(b"an intruder's", at=AFTERNOON)
    outcome = promote(client, "backup.tar.gz.gpg")

    assert outcome["outcome"] == "contested"
    assert "already holds a different upload" in outcome["reason"]
    assert world.vault() == before
    assert world.incoming() == ["backup.tar.gz.gpg"]


def test_an_upload_that_no_rule_names_is_left_alone(client: Client, world: World) -> None:
    world.upload(b"?", key="holiday.jpg")
    assert promote(client, "holiday.jpg")["outcome"] == "ignored"
    assert world.bodies() == {}
    assert world.incoming() == ["holiday.jpg"]


def test_only_key_and_version_of_an_event_are_used(client: Client, world: World) -> None:
    """Chalice's events are dated 2018, and claim 0 bytes and another object's ETag."""
    event = client.events.generate_s3_event(bucket="backups1", key="backup.tar.gz.gpg")
    [claimed] = event["Records"]
    assert claimed["eventTime"].startswith("2018-")
    assert claimed["s3"]["object"]["size"] == 0

    world.upload(b"the uploaded content", at=AFTERNOON)
    outcome = promote(client, "backup.tar.gz.gpg")

    assert (outcome["slot"], outcome["size"]) == ("2026-11-23.tar.gz.gpg", 20)
    assert world.bodies() == {"2026-11-23.tar.gz.gpg": b"the uploaded content"}


def test_every_record_of_an_event_is_processed(client: Client, world: World) -> None:
    world.upload(b"files", key="backup.tar.gz.gpg", at=AFTERNOON)
    world.upload(b"tables", key="sql.gz.gpg", at=AFTERNOON)
    event = client.events.generate_s3_event(bucket="backups1", key="backup.tar.gz.gpg")
    event["Records"] += client.events.generate_s3_event("backups1", "sql.gz.gpg")["Records"]

    payload = client.lambda_.invoke("promote", event).payload

    assert [outcome["outcome"] for outcome in payload["outcomes"]] == ["promoted", "promoted"]
    assert set(world.bodies()) == {"2026-11-23.tar.gz.gpg", "2026-11-23.14.sql.gz.gpg"}


def test_a_failed_record_blocks_no_other_and_fails_the_invocation(
    client: Client, world: World
) -> None:
    world.upload(b"tables", key="sql.gz.gpg", at=AFTERNOON)
    event = client.events.generate_s3_event(bucket="somebody-elses", key="backup.tar.gz.gpg")
    event["Records"] += [{"s3": "invalid"}]
    event["Records"] += client.events.generate_s3_event("backups1", "sql.gz.gpg")["Records"]

    with pytest.raises(ExceptionGroup, match="2 of 3 uploads were not settled"):
        client.lambda_.invoke("promote", event)

    assert world.bodies() == {"2026-11-23.14.sql.gz.gpg": b"tables"}


def test_an_upload_whose_event_was_lost_is_handed_over_by_the_sweep(
    client: Client, world: World
) -> None:
    world.upload(b"all our files", at=AFTERNOON - timedelta(minutes=20))

    swept = sweep(client)

    assert (swept["waiting"], swept["oldest_waiting_seconds"], swept["handed_over"]) == (1, 1200, 1)
    assert world.bodies() == {"2026-11-23.tar.gz.gpg": b"all our files"}
    assert sweep(client)["waiting"] == 0


def test_a_backup_that_does_not_come_is_found_by_the_audit_of_the_full_hour(
    client: Client, world: World, mails: list[str], stored_this_afternoon: None
) -> None:
    """It was due at 16:15. An audit that runs late, or again, still reports on the full hour."""
    assert audit(client, at=AFTERNOON + timedelta(hours=2, minutes=54)) == {
        "findings": {},
        "not_checked": [],
    }
    audited = audit(client, at=AFTERNOON + timedelta(hours=3, minutes=7))

    assert audited == {"findings": {"missing": 1}, "not_checked": []}
    assert audit(client, at=AFTERNOON + timedelta(hours=3, minutes=50)) == audited
    [mail] = mails
    assert mail.startswith("backups dev: 2026-11-23.15.sql.gz.gpg is missing; it was due")


@pytest.fixture
def stored_this_afternoon(client: Client, world: World) -> Iterator[None]:
    """A dump in the vault, stored in the afternoon."""
    clock.stand_at(AFTERNOON)
    world.upload(b"all our tables", key="sql.gz.gpg", at=AFTERNOON)
    promote(client, "sql.gz.gpg")
    yield
    clock.reset()


def test_an_upload_of_100_mib_is_promoted_within_the_3_seconds_of_the_client(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is copied in five parts in parallel: the first wave of parts always starts."""
    monkeypatch.setattr(app, "promoter", replace(world.promoter, tuning=app.tuning))
    body = bytes(100 * MIB)
    # Passing the checksum keeps botocore and moto from sending it the slow way.
    checksum = encoded(digest(body, "CRC32"))
    world.upload(body, at=AFTERNOON, ChecksumCRC32=checksum)
    assert promote(client, "backup.tar.gz.gpg")["outcome"] == "promoted"
    stored = world.s3.head_object(Bucket="backups2", Key="2026-11-23.tar.gz.gpg")
    assert stored["ContentLength"] == 100 * MIB
    assert stored["ETag"].endswith('-5"')


def test_the_sweep_invokes_promote_of_its_own_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[dict[str, Any]] = []
    client = SimpleNamespace(invoke=lambda **request: sent.append(request))
    monkeypatch.setattr(app, "lambda_client", lambda: client)
    app.invoke_promote({"Records": []})
    [request] = sent
    assert request["FunctionName"] == "immutable-backups-dev-promote"
    assert request["InvocationType"] == "Event"
    assert json.loads(request["Payload"]) == {"Records": []}


def test_the_app_has_no_routes_by_default() -> None:
    """So `chalice deploy` creates no REST API."""
    assert app.app.routes == {}


def test_the_client_has_a_connection_for_each_stream_and_the_planned_timeout() -> None:
    config = app.promoter.vault.s3.meta.config
    assert config.max_pool_connections == app.tuning.streams
    assert config.read_timeout == app.tuning.read_timeout
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}
    timeout = json.loads((PROJECT / ".chalice" / "config.json").read_text())["lambda_timeout"]
    assert 5 * config.read_timeout < timeout
