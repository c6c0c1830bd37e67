"""The deployed app and its alarms notify the owner by mail and heartbeat, on a movable clock.

All tests share one stage: each continues at the time at which the previous one ended.
"""

import json
from dataclasses import replace

import pytest

from admin.check.settings import check
from admin.setup.plan import execute, make_plan, requirements_of
from localcloud.clock import clock
from localcloud.functions import container
from tests.support import impatient_runtime
from tests.support.in_process import requests_in_process
from tests.support.owner import Owner, watched_stage
from tests.support.past_the_door import past_the_door

FIRST = "2026-11-25.10.sql.gz.gpg"
SOMEBODY = "Somebody changed the vault or its monitoring. If you ran backups setup or deploy"


@pytest.fixture(scope="module")
def new_owner(tmp_path_factory, packages, chalice_is_loaded_once):
    """The owner of an account in which the stage has just been deployed, with its first backup."""
    folder = tmp_path_factory.mktemp("watched")
    with requests_in_process(), watched_stage(folder, packages) as owner:
        owner.upload()
        yield owner


@pytest.fixture
def owner(new_owner: Owner) -> Owner:
    """The same owner, after reading all mails."""
    new_owner.mails()
    return new_owner


def subjects(owner: Owner) -> list[str]:
    return [mail.subject for mail in owner.mails()]


def test_each_new_alarm_sends_a_mail_and_three_go_off_at_first(new_owner: Owner) -> None:
    quiet = ["contested", "errors", "incoming-size", "promote-dropped", "rejected"]
    assert sorted(subjects(new_owner)) == [
        "ALARM no-audit",
        "ALARM sirens",  # because of the setup itself
        "ALARM waiting",
        *(f"OK {name}" for name in quiet),
    ]
    new_owner.pass_quarters(1)  # the first sweep
    assert sorted(subjects(new_owner)) == [
        "OK incoming-bytes",
        "OK incoming-versions",
        "OK waiting",
    ]
    new_owner.pass_quarters(2)  # the first audit
    after_audit = ["heartbeat", "no-audit", "overwritten", "settings", "unlocked"]
    assert sorted(subjects(new_owner)) == [f"OK {name}" for name in after_audit]
    new_owner.pass_quarters(5)  # an hour after the setup
    assert subjects(new_owner) == ["OK sirens"]


def test_a_backup_goes_missing_and_comes_again(owner: Owner) -> None:
    """The backup of 11:00 was due at 12:15."""
    owner.pass_quarters(2)
    assert subjects(owner) == []
    assert set(owner.heartbeats.received) == {("GET", "/token", "")}
    owner.pass_quarters(1)
    [mail] = owner.mails()
    missing = "2026-11-25.11.sql.gz.gpg is missing; it was due Wed 25 Nov 2026 12:15 UTC"
    assert mail.subject == f"backups dev: {missing}"
    assert "The newest backup is 2026-11-25.10.sql.gz.gpg, stored 2 hours ago" in mail.text
    *_, heartbeat = owner.heartbeats.received
    assert heartbeat == ("POST", "/token/fail", f"{mail.subject}\n\n{mail.text}")

    kuma = "/api/push/token?status={}&msg={}"
    owner.set_heartbeat_url(owner.heartbeats.url + kuma.format("up", "OK&ping="))
    owner.upload()
    owner.pass_quarters(4)
    assert subjects(owner) == []
    *_, (_, path, _) = owner.heartbeats.received
    lasting = "backups+dev%2C+reminder%3A+sql.gz.gpg+has+2+missing+backups"
    assert path == kuma.format("down", lasting)

    owner.upload()
    owner.pass_quarters(4)
    [mail] = owner.mails()
    assert mail.subject == "backups dev: Backups of sql.gz.gpg are stored again"
    assert "2026-11-25.11.sql.gz.gpg is still missing, and 1 more." in mail.text
    *_, (_, path, _) = owner.heartbeats.received
    assert path == kuma.format("up", "OK&ping=")
    owner.set_heartbeat_url(f"{owner.heartbeats.url}/token")


@pytest.mark.parametrize(
    ("mode", "paths", "failed"),
    [
        pytest.param("", ["/token"], 0, id="up"),
        pytest.param("moved", ["/token", "/elsewhere"], 0, id="redirecting"),
        pytest.param("broken", ["/token"], 1, id="failing"),
        pytest.param("silent", ["/token/silent"], 1, id="slow"),
        pytest.param("refused", [], 1, id="down"),
    ],
)
def test_a_service_for_heartbeats_never_fails_an_audit(
    owner: Owner, mode: str, paths: list[str], failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = owner.heartbeats
    service.received.clear()
    service.mode, service.to = mode, "/elsewhere"
    match mode:
        case "silent":
            monkeypatch.setattr(container, "_RUNTIME", impatient_runtime.__file__)
            # With another configuration, the next run starts in a new container.
            owner.set_heartbeat_url(f"{service.url}/token/silent")
        case "refused":
            owner.set_heartbeat_url("http://127.0.0.1:1/nobody/listens")
    owner.audit_again()
    assert [path for _, path, _ in service.received] == paths
    assert owner.last("FailedHeartbeats") == failed
    service.mode = ""
    owner.set_heartbeat_url(f"{service.url}/token")


def test_a_topic_that_shuts_cloudwatch_out_is_found_and_no_mail_of_an_alarm_comes(
    owner: Owner,
) -> None:
    topic, sns, s3 = owner.target.topic_arn, owner.client("sns"), owner.client("s3")
    policy = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    others = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    shut = json.dumps({"Version": "2012-10-17", "Statement": [others]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=shut)
    found = check(owner.target, now=clock.now(), tell=lambda _: None).findings
    assert any(
        "Topic immutable-backups-dev-alerts for alerts is not" in each.what for each in found
    )

    tags = {"TagSet": [{"Key": "keep", "Value": "no"}]}
    with past_the_door(s3):
        s3.put_object_tagging(Bucket="backups2", Key=FIRST, Tagging=tags)
    owner.pass_quarters(1)
    assert subjects(owner) == []
    assert "dev-alerts-sirens: message not delivered" in "".join(owner.cloud.functions.logs)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def test_without_a_trail_the_next_audit_reports_the_open_door(owner: Owner) -> None:
    owner.upload()
    with past_the_door(owner.client("s3")):
        owner.pass_quarters(3)
        [mail] = owner.mails()
    assert mail.subject == "ALARM settings"
    assert mail.text.startswith("The vault's settings are not those that backups setup left.")
    owner.upload()
    owner.pass_quarters(4)
    assert "OK settings" in subjects(owner)


def test_with_a_trail_siren_and_audit_report_an_overwritten_backup(owner: Owner) -> None:
    make_trail(owner)
    owner.upload()
    slot, s3 = owner.slot(), owner.client("s3")
    owner.pass_quarters(1)
    assert subjects(owner) == []
    with past_the_door(s3):
        s3.put_object(Bucket="backups2", Key=slot, Body=b"rubbish")
    owner.pass_quarters(1)
    [mail] = owner.mails()
    assert mail.subject == "ALARM sirens"
    assert mail.text.startswith(SOMEBODY)
    owner.pass_quarters(2)
    alarm, mail = sorted(owner.mails(), key=lambda mail: mail.subject)
    assert alarm.subject == "ALARM overwritten"
    assert mail.subject.startswith(f"backups dev: {slot} was overwritten")
    assert "SOMEBODY GOT AROUND THE PROTECTION OF THE VAULT" in mail.text


def make_trail(owner: Owner) -> None:
    """As `backups setup --trail --apply` does."""
    target = owner.target
    options = replace(target.stage.options, trail=True)
    plan = make_plan(target.account, requirements_of(target, options), lock_named=False)
    for _ in execute(target.account, plan):
        pass
