"""A fast clock: everything that waits for it follows."""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from queue import SimpleQueue

import pytest
from moto import mock_aws

from localcloud.clock import clock
from localcloud.cloud import running
from localcloud.iam.callers import Credentials
from localcloud.s3.backend import corrected
from localcloud.s3.lifecycle import lifecycle_each_night
from localcloud.sessions import Session
from tests.localcloud.small_functions import create
from tests.localcloud.test_ringing import put_alarm
from tests.localcloud.test_topics import client
from tests.support.packages import keep_package_of
from tests.support.project import copy_project

HOUR = timedelta(hours=1)
TEN_HOURS_A_SECOND = 36_000.0
TELLS_TIME = """
import datetime, time
def handler(event, context):
    now = datetime.datetime.now(datetime.timezone.utc)
    return [now.isoformat(), time.time()]
"""


@pytest.fixture
def restored():
    """After the test, the clock follows this machine's clock again."""
    yield
    clock.reset()


def test_a_fast_clock_runs_on_from_the_time_that_it_shows(restored):
    clock.stand_at(datetime(2026, 11, 25, 12, tzinfo=UTC))
    clock.run_at(1e6)
    began = clock.now()
    assert began >= datetime(2026, 11, 25, 12, tzinfo=UTC)
    machine = datetime.now(UTC)
    assert clock.now() - began >= (datetime.now(UTC) - machine) * 1e6
    clock.run_at(1)
    assert clock.now() - began < timedelta(days=365)


def test_waiting_takes_as_much_less_of_this_machine_s_time(restored):
    clock.run_at(TEN_HOURS_A_SECOND)
    seconds = clock.seconds_until(clock.now() + 100 * HOUR)
    assert seconds is not None
    assert 0 < seconds <= 10


def test_a_fast_clock_can_be_moved_and_stopped(restored):
    clock.run_at(TEN_HOURS_A_SECOND)
    before = clock.now()
    clock.advance(1000 * HOUR)
    assert clock.now() >= before + 1000 * HOUR
    clock.stand_at(before)
    assert clock.now() == before


def schedule(cloud, name, expression):
    arn = create(cloud, TELLS_TIME, name=name)
    rule = client(cloud, "events").put_rule(Name=name, ScheduleExpression=expression)["RuleArn"]
    client(cloud, "lambda").add_permission(
        FunctionName=name,
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    client(cloud, "events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])


def test_schedules_and_functions_follow_a_fast_clock():
    results = SimpleQueue()
    with running(speed=TEN_HOURS_A_SECOND, on_result=results.put) as cloud:
        schedule(cloud, "sweep", "rate(15 minutes)")
        schedule(cloud, "audit", "cron(0 * * * ? *)")
        due = {"sweep": set(), "audit": set()}
        while len(due["sweep"]) < 8 or HOUR not in gaps(due["audit"]):
            result = results.get(timeout=60)
            assert result.error is None
            moment = datetime.fromisoformat(result.event["time"])
            due[result.function].add(moment)
            ran = datetime.fromisoformat(result.payload[0])
            assert moment <= ran <= clock.now()
            assert ran.timestamp() <= result.payload[1] <= clock.now().timestamp()
    assert min(gaps(due["sweep"])) == HOUR / 4
    assert min(gaps(due["audit"])) == HOUR
    assert {moment.minute for moment in due["audit"]} == {0}


def gaps(moments):
    return {later - earlier for earlier, later in pairwise(sorted(moments))}


def test_alarms_follow_a_fast_clock():
    messages = SimpleQueue()
    with running(on_message=messages.put) as cloud:
        alerts = client(cloud, "sns").create_topic(Name="alerts")["TopicArn"]
        cloud.metrics.add("N", "Late", 0, service="s")
        put_alarm(cloud, alerts, Period=3600, TreatMissingData="breaching")
        clock.run_at(TEN_HOURS_A_SECOND)
        first, second = messages.get(timeout=60), messages.get(timeout=60)
    assert first.subject.startswith("OK: ")
    # The last data is too old for an alarm that evaluates three hours.
    assert second.subject.startswith("ALARM: ")
    assert changed_at(first) <= first.at
    assert changed_at(first) + HOUR < changed_at(second) <= second.at


def changed_at(message):
    return datetime.fromisoformat(json.loads(message.body)["StateChangeTime"])


def test_lifecycle_follows_a_fast_clock(restored, monkeypatch):
    nights = threading.Semaphore(0)
    monkeypatch.setattr("localcloud.s3.lifecycle.run_lifecycle", nights.release)
    with mock_aws(), corrected(), lifecycle_each_night():
        clock.run_at(1e6)
        for _ in range(3):
            assert nights.acquire(timeout=60)


def test_a_client_with_this_machine_s_clock_can_use_a_cloud_that_is_far_ahead():
    with running() as cloud:
        clock.advance(timedelta(days=400))
        s3 = client(cloud, "s3")
        s3.create_bucket(Bucket="vault")
        s3.put_object(Bucket="vault", Key="slot", Body=b"data")
        answer = s3.head_object(Bucket="vault", Key="slot")
    assert answer["LastModified"] > datetime.now(UTC) + timedelta(days=399)
    sent = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert sent >= answer["LastModified"]


# make local

MOST_AUDITS = 6


def test_make_local_sweeps_and_audits_on_schedule_and_mails_a_gap(tmp_path, packages):
    policy = copy_project(tmp_path) / "chalicelib" / "policy.toml"
    # The hourly backup is the last rule. It becomes missing just before the next audit, not after.
    policy.write_text(policy.read_text() + "due_minutes = 55\n")
    keep_package_of(tmp_path, packages)
    with subprocess.Popen(
        [sys.executable, "-m", "demo.local", "--port", "0", "--speed", "600"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as local:
        try:
            server = server_of(read_until(local.stdout, "and an audit every hour"))
            # An hour can pass here before a function starts. If the next backup was due by then, it
            # was already missing when the first backup was stored, so it is no news.
            server.put_object(Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"files")
            shown = read_until(local.stdout, "  promoted  ")
            server.put_object(Bucket="backups1", Key="sql.gz.gpg", Body=b"tables")
            shown += read_until(local.stdout, "sql.gz.gpg is missing; it was due ")
            local.terminate()
            local.communicate()
        finally:
            local.kill()
    events = Counter(re.findall(r"^\w{3} \d\d:\d\d:\d\d  (\w+) ", shown, re.MULTILINE))
    assert events["promoted"] == 2
    assert 1 <= events["audited"] <= 3
    assert events["swept"] >= 4 * (events["audited"] - 1)


def server_of(exports):
    """Return an S3 client from the `export` lines that a server printed."""
    environment = dict(
        re.findall(r"^export (\w+)=(\S+)$", exports.partition("administrator")[0], re.MULTILINE)
    )
    key = Credentials(
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    return Session(endpoint=environment["AWS_ENDPOINT_URL"], credentials=key).client("s3")


def read_until(lines, text):
    """The lines up to the first that contains the text, which must come within a few audits."""
    read = []
    for line in lines:
        read.append(line)
        if text in line:
            return "".join(read)
        if sum("  audited  " in each for each in read) > MOST_AUDITS:
            break
    raise AssertionError("".join(read))
