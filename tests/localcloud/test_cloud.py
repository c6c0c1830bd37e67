"""The local cloud itself: its port, its users, how it starts and ends, and `make local`."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from demo.deployment import DeployError, deploy
from demo.local import show_log_line, show_mail
from demo.stage import running
from localcloud.clock import clock
from localcloud.server import PortTaken
from localcloud.sns.topics import Message
from tests.localcloud.small_functions import FAILS, create
from tests.support.project import copy_project


def test_a_failed_deployment_shows_the_output_of_chalice(cloud, tmp_path):
    copy_project(tmp_path)
    (tmp_path / "app.py").write_text("raise RuntimeError('half an app')")
    cloud.prepare(project_dir=tmp_path)
    with pytest.raises(DeployError, match="half an app"):
        cloud.deploy(project_dir=tmp_path)


SCHEDULED_APP = """
from chalice.app import Chalice, Rate
app = Chalice(app_name="immutable-backups")

@app.schedule(Rate(15, unit=Rate.MINUTES))
def promote(event):
    return event.to_dict()
"""


def test_a_scheduled_function_runs_as_deployed_by_chalice(cloud, tmp_path):
    copy_project(tmp_path)
    (tmp_path / "app.py").write_text(SCHEDULED_APP)
    (tmp_path / "requirements.txt").write_text("")
    deploy(
        tmp_path,
        stage="dev",
        endpoint=cloud.endpoint,
        region="us-east-1",
        credentials=cloud.administrator,
    )
    clock.advance(timedelta(minutes=15))
    cloud.run_schedules()
    cloud.functions.wait_until_quiet(timeout=60)
    [result] = cloud.functions.results
    assert result.error is None
    assert result.payload["detail-type"] == "Scheduled Event"
    [rule] = result.payload["resources"]
    assert rule.endswith(":rule/immutable-backups-dev-promote-event")


def test_a_taken_port_is_one_clear_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(PortTaken, match=f"^Port {port} is taken; .* --port"),
            running(port=port),
        ):
            pass


def test_a_port_is_free_again_after_the_cloud():
    with running() as first:
        port = int(first.endpoint.rpartition(":")[2])
    with running(port=port) as second:
        assert second.endpoint == first.endpoint


def test_only_one_cloud_runs_at_a_time(cloud):
    with pytest.raises(RuntimeError, match="already runs in this process"), running():
        pass


def test_no_thread_is_left_when_a_cloud_has_ended():
    before = threading.enumerate()
    with running() as cloud:
        arn = create(cloud, FAILS)
        cloud.functions.deliver(arn, {})
        cloud.functions.wait_until_stalled(timeout=60)
        assert len(threading.enumerate()) > len(before)
    assert threading.enumerate() == before


def test_a_new_cloud_has_nothing_of_the_previous_cloud(project):
    with running() as cloud:
        clock.stand_at(datetime(2026, 11, 25, 12, tzinfo=UTC))
        cloud.prepare(project_dir=project)
    assert clock.standing is None
    with running() as cloud:
        administrator = cloud.session(cloud.administrator)
        assert administrator.client("s3").list_buckets()["Buckets"] == []
        assert administrator.client("iam").list_users()["Users"] == []


def test_clients_ignore_this_shells_aws_and_proxy_variables(cloud, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert cloud.session(cloud.administrator).client("s3").list_buckets()["Buckets"] == []


# make local

PROGRAM = [sys.executable, "-m", "demo.local"]


@pytest.fixture
def ctrl_c():
    """Programs that are started do not ignore SIGINT, even if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_make_local_prints_exports_to_paste_and_exits_cleanly_on_ctrl_c(started_before, ctrl_c):
    with subprocess.Popen(
        [*PROGRAM, "--port", "0", "--by-hand"],
        cwd=started_before,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as local:
        try:
            printed = []
            for line in local.stdout:
                printed.append(line)
                if ".venv/bin/chalice local" in line:
                    break
            exports = re.findall(r"^export (\w+)=(\S+)$", "".join(printed), flags=re.MULTILINE)
            assert exports.pop(0)[0] == "BACKUPS_LOCAL_PORT"
            server, administrator = dict(exports[:4]), dict(exports[4:8])
            function = dict(exports[8:])
            listing = subprocess.run(
                [sys.executable, "-c", LIST, json.dumps([server, administrator, function])],
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                capture_output=True,
                text=True,
                check=False,
            )
            for line, expected in zip(
                listing.stdout.splitlines(),
                ("AccessDenied", "0 objects", "0 objects"),
                strict=True,
            ):
                assert expected in line
            local.send_signal(signal.SIGINT)
            _, chatter = local.communicate()
        finally:
            local.kill()
    assert local.returncode == 0
    assert "Traceback" not in chatter


# Lists the vault as each user in turn, with only that user's variables.
LIST = """
import boto3, botocore.exceptions, json, os, sys
before = dict(os.environ)
for variables in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update(before, **variables)
    s3 = boto3.Session().client("s3")
    try:
        print(s3.list_objects_v2(Bucket="backups2")["KeyCount"], "objects")
    except botocore.exceptions.ClientError as error:
        print(error)
"""


def test_make_local_reports_that_its_port_is_taken(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = subprocess.run(
            [*PROGRAM, "--port", str(port)],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Error: Port {port} is taken; choose another one with --port.\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(
            {
                "level": "INFO",
                "outcome": "promoted",
                "reason": "It was free.",
                "upload": "a.gpg",
                "slot": "2026.gpg",
                "size": 1234,
            },
            "promoted          a.gpg -> 2026.gpg, 1,234 bytes: It was free.",
            id="promoted",
        ),
        pytest.param(
            {"level": "INFO", "outcome": "gone", "reason": "It is gone.", "upload": "a.gpg"},
            "gone              a.gpg: It is gone.",
            id="gone, without slot or size",
        ),
        pytest.param(
            {"level": "INFO", "message": "...", "versions": 3, "waiting": 2, "handed_over": 1},
            "swept             3 versions in incoming, 2 waiting, 1 handed over to promote",
            id="a pass of the sweep",
        ),
        pytest.param(
            {"level": "INFO", "message": "audited: 2 findings", "findings": [{}, {}]},
            "audited           2 findings",
            id="an audit",
        ),
    ],
)
def test_make_local_shows_what_a_function_does_as_one_line(capsys, line, shown):
    show_log_line(json.dumps(line))
    printed = capsys.readouterr().out
    assert re.fullmatch(r"\w{3} \d\d:\d\d:\d\d  ", printed[:14])
    assert printed[14:] == shown + "\n"


ALARM = {"AlarmName": "a", "AlarmDescription": "A backup waits."}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(
            "What: a gap.\n\nDo: look.\n",
            ["    What: a gap.", "", "    Do: look."],
            id="an audit's",
        ),
        pytest.param(
            json.dumps({**ALARM, "NewStateValue": "ALARM"}),
            ["    A backup waits."],
            id="an alarm's",
        ),
        pytest.param(json.dumps({**ALARM, "NewStateValue": "OK"}), [], id="its end"),
        pytest.param("\x1b[2J[1, 2]", ["    ?[2J[1, 2]"], id="a terminal's commands"),
    ],
)
def test_make_local_shows_a_mail_with_its_text_indented(capsys, body, shown):
    at = datetime(2026, 11, 25, 12, tzinfo=UTC)
    show_mail(Message(at=at, topic_arn="t", subject="web1: a gap", body=body))
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{at.astimezone():%a %H:%M:%S}  mail              web1: a gap"
    assert lines == shown


def test_make_local_omits_metrics_and_shows_other_lines_unchanged(capsys):
    show_log_line('{"_aws": {}, "Promoted": [1.0]}')
    show_log_line('{"level": "ERROR", "message": "no"}')
    show_log_line("Traceback (most recent call last):")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        '{"level": "ERROR", "message": "no"}',
        "Traceback (most recent call last):",
    ]
