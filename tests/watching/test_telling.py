"""How the owner is notified of an audit: by mail, heartbeat, log and metrics."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib import record
from chalicelib.settings import SettingsError
from chalicelib.watching import telling
from chalicelib.watching.audit import Audited
from chalicelib.watching.findings import Kind, Phase
from chalicelib.watching.telling import Teller
from tests.watching.examples import NOW, POLICY
from tests.watching.test_mails import DENIED, SCENES, Scene

URL = "https://example.org/secret"


@dataclass
class Owner:
    """An owner who subscribed a queue to the topic, and has a heartbeat service."""

    teller: Teller
    sqs: Any
    queue: str
    heartbeats: list[str]

    def mails(self) -> list[tuple[str, str]]:
        """The mails since the last call: subject and body."""
        mails = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue).get("Messages"):
            for message in messages:
                mail = json.loads(message["Body"])
                mails.append((mail["Subject"], mail["Message"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return mails

    def tell(self, scene: Scene) -> None:
        self.teller.tell(scene.audited, now=scene.now, seconds=1.5)


@pytest.fixture
def owner(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    record.metrics.clear_metrics()
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="owner")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:owner"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    heartbeats: list[str] = []

    def receive(url: str, *, trouble: str = "") -> str | None:
        assert url == URL
        heartbeats.append(trouble)
        return "status 500" if "heartbeats fail" in heartbeats else None

    monkeypatch.setattr(telling, "send_heartbeat", receive)
    teller = Teller(
        connect=lambda: sns, policy=POLICY, stage="prod", alert_topic=topic, heartbeat_url=URL
    )
    return Owner(teller, sqs, queue, heartbeats)


def metrics(printed: str) -> dict[str, float]:
    """The metrics that were written: names and values."""
    blobs = [blob for line in printed.splitlines() if "_aws" in (blob := json.loads(line))]
    return {
        metric["Name"]: value
        for blob in blobs
        for directive in blob["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        for value in blob[metric["Name"]]
    }


def test_a_mail_arrives_as_it_was_written(owner: Owner) -> None:
    owner.tell(SCENES["contested"])
    mail = SCENES["contested"].mail()
    assert mail
    assert owner.mails() == [(mail.subject, mail.body)]


def test_a_run_that_lambda_repeats_mails_once(owner: Owner) -> None:
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            owner.tell(SCENES["not-checked"])
    assert len(owner.mails()) == 1
    owner.tell(SCENES["missing-digest"])
    assert len(owner.mails()) == 1


def test_every_metric_of_a_good_audit_is_written_including_zeros(
    owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.teller.tell(Audited(), now=NOW, seconds=1.5)
    assert metrics(capsys.readouterr().out) == {
        **{f"{kind.capitalize()}Findings": 0 for kind in Kind},
        "KeysWithoutBackup": 0,
        "FailedHeartbeats": 0,
        "AuditSeconds": 1.5,
    }
    assert owner.heartbeats == [""]
    assert owner.mails() == []


def test_findings_are_counted_until_they_are_over(
    owner: Owner, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    audited = SCENES["mixed-digest"].audited
    audited.empty = {"web1/sql.gpg", "web1/files.gpg"}
    owner.teller.tell(audited, now=SCENES["mixed-digest"].now, seconds=1)
    written = metrics(capsys.readouterr().out)
    kinds = [found.kind for found in audited.findings]
    for kind in Kind:
        assert written[f"{kind.capitalize()}Findings"] == kinds.count(kind)
    assert written["KeysWithoutBackup"] == 2
    [line] = log.getvalue().splitlines()
    [(subject, _)] = owner.mails()
    assert json.loads(line)["message"] == f"audited: {subject}"

    owner.tell(SCENES["missing-over"])
    assert {found.phase for found in SCENES["missing-over"].audited.findings} == {Phase.OVER}
    assert metrics(capsys.readouterr().out)["MissingFindings"] == 0
    assert owner.heartbeats[-1] == ""


def test_a_rule_that_expects_nothing_is_not_without_backup(
    owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would set off the alarm `no-backup` forever, and hide the next server without a backup."""
    files, sql = POLICY.rules[1], POLICY.rules[0]
    owner.teller.policy = replace(POLICY, rules=(sql, replace(files, expect=False)))
    audited = Audited(empty={"web1/sql.gpg", "web1/files.gpg"})
    owner.teller.tell(audited, now=NOW, seconds=1)
    assert metrics(capsys.readouterr().out)["KeysWithoutBackup"] == 1


def test_trouble_goes_to_the_heartbeat_also_when_it_is_not_mailed(owner: Owner) -> None:
    owner.tell(SCENES["missing-hour"])
    owner.mails()
    lasting = Scene(
        SCENES["missing-digest"].now.replace(hour=9), SCENES["missing-digest"].histories
    )
    owner.tell(lasting)
    assert owner.mails() == []
    assert "web1/2026-07-22.files.gpg is missing; it was due" in owner.heartbeats[-1]
    assert (
        owner.heartbeats[-1].splitlines()[0].startswith("backups prod, reminder: web1/2026-07-22")
    )


def test_what_could_not_be_checked_is_mailed_counts_no_zero_and_raises(
    owner: Owner, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        owner.tell(SCENES["not-checked"])
    assert raised.value.exceptions == (DENIED,)
    [(subject, body)] = owner.mails()
    assert "is missing" in subject
    assert "- the uploads of web1/sql.gpg: An error" in body
    assert "NOT CHECKED" in owner.heartbeats[-1]
    # The alarms on these metrics go off, although something else could not be read.
    assert metrics(capsys.readouterr().out) == {"MissingFindings": 1, "FailedHeartbeats": 0}
    assert "could not check the uploads of web1/sql.gpg: ClientError" in log.getvalue()


def test_a_mail_that_cannot_be_sent_is_an_error_but_stops_nothing_else(
    owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = owner.teller.alert_topic
    owner.teller.alert_topic = f"{topic}-of-others"
    with pytest.raises(ExceptionGroup) as raised:
        owner.tell(SCENES["missing"])
    [error] = raised.value.exceptions
    assert isinstance(error, ClientError)
    assert "is missing" in owner.heartbeats[-1]
    assert "NotFound" in owner.heartbeats[-1]
    written = metrics(capsys.readouterr().out)
    assert written["MissingFindings"] == 1
    # The alarm `no-audit` counts these.
    assert "AuditSeconds" not in written
    # The mail was not sent, so the next attempt sends it.
    owner.teller.alert_topic = topic
    owner.tell(SCENES["missing"])
    assert len(owner.mails()) == 1


def test_without_a_topic_every_audit_raises_in_the_end(
    owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.teller.alert_topic = None
    with pytest.raises(ExceptionGroup) as raised:
        owner.teller.tell(Audited(), now=NOW, seconds=1)
    [error] = raised.value.exceptions
    assert isinstance(error, SettingsError)
    assert str(error).startswith("ALERT_TOPIC_ARN is not set")
    assert owner.heartbeats == [str(error)]
    assert "AuditSeconds" not in metrics(capsys.readouterr().out)


def test_a_heartbeat_that_fails_is_counted_and_fails_nothing(
    owner: Owner, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    owner.heartbeats.append("heartbeats fail")
    owner.tell(SCENES["missing"])
    assert metrics(capsys.readouterr().out)["FailedHeartbeats"] == 1
    assert "the heartbeat failed: status 500" in log.getvalue()
    assert "secret" not in log.getvalue()
    assert len(owner.mails()) == 1


def test_without_a_heartbeat_it_is_not_counted(
    owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.teller.heartbeat_url = None
    owner.teller.tell(Audited(), now=NOW, seconds=1)
    assert "FailedHeartbeats" not in metrics(capsys.readouterr().out)
    assert owner.heartbeats == []
