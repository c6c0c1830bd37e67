"""`chalice local`: running the app without deploying it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from demo.stage import running
from localcloud.clock import clock
from tests.support.project import POLICY, copy_project

CHALICE = [sys.executable, "-c", "from chalice.cli import main; main()"]


@pytest.fixture(scope="module")
def cloud():
    """A cloud that sends no events by itself."""
    with running(by_hand=True) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def project(cloud, packages, chalice_is_loaded_once, tmp_path_factory):
    """A copy of this project whose stage dev is that cloud."""
    folder = copy_project(tmp_path_factory.mktemp("project"), endpoint=cloud.endpoint)
    cloud.prepare(project_dir=folder)
    cloud.deploy(project_dir=folder, packages=packages)
    return folder


@pytest.fixture(autouse=True)
def emptied(cloud):
    """The next test starts with empty buckets, at this machine's time."""
    yield
    clock.reset()
    for bucket in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.values():
        bucket.keys.clear()


@contextlib.contextmanager
def chalice_local(project, cloud, *, function="promote", **environment):
    role = cloud.role_credentials(function)
    environment |= {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "AWS_ACCESS_KEY_ID": role.access_key_id,
        "AWS_SECRET_ACCESS_KEY": role.secret_access_key,
        "AWS_SESSION_TOKEN": role.session_token,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONUNBUFFERED": "1",
    }
    process, url = start(project, environment)
    threading.Thread(target=process.stdout.read, daemon=True).start()
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def start(project, environment):
    """Chalice needs a port number, and another process can take a free port first."""
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [*CHALICE, "local", "--port", str(port), "--no-autoreload"],
            cwd=project,
            env=environment,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        output = []
        for line in process.stdout:
            output.append(line)
            if "Serving on" in line:
                return process, f"http://127.0.0.1:{port}"
    raise AssertionError("".join(output))


def post(url, body):
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_posted_notification_is_promoted(project, cloud):
    server = cloud.session(cloud.server_credentials).client("s3")
    server.put_object(Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"files")
    notification = {
        "Records": [
            {"s3": {"bucket": {"name": "backups1"}, "object": {"key": "backup.tar.gz.gpg"}}}
        ]
    }
    with chalice_local(project, cloud, BACKUPS_DEV_ROUTES="1") as url:
        status, answer = post(f"{url}/events", notification)
        assert status == 200
        [outcome] = answer["outcomes"]
        assert (outcome["outcome"], outcome["upload"]) == ("promoted", "backup.tar.gz.gpg")

        for nonsense in ([], {}, {"Records": "all"}):
            status, answer = post(f"{url}/events", nonsense)
            assert status == 400
            assert "Post an S3 notification" in answer["Message"]

    administrator = cloud.session(cloud.administrator).client("s3")
    assert (
        administrator.get_object(Bucket="backups2", Key=outcome["slot"])["Body"].read() == b"files"
    )


def test_a_posted_sweep_promotes_waiting_uploads(project, cloud):
    server = cloud.session(cloud.server_credentials).client("s3")
    clock.advance(timedelta(minutes=-10))  # younger uploads are left to their events
    server.put_object(Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"files")
    with chalice_local(project, cloud, BACKUPS_DEV_ROUTES="1") as url:
        status, answer = post(f"{url}/sweep", None)
        assert status == 200
        assert (answer["sweep"]["waiting"], answer["sweep"]["handed_over"]) == (1, 1)
        [outcome] = answer["outcomes"]
        assert (outcome["outcome"], outcome["upload"]) == ("promoted", "backup.tar.gz.gpg")

        status, answer = post(f"{url}/sweep", None)
        assert (status, answer["sweep"]["versions"], answer["outcomes"]) == (200, 0, [])

    administrator = cloud.session(cloud.administrator).client("s3")
    assert (
        administrator.get_object(Bucket="backups2", Key=outcome["slot"])["Body"].read() == b"files"
    )


def test_a_posted_audit_finds_a_contested_upload(project, cloud):
    server = cloud.session(cloud.server_credentials).client("s3")
    promoter = cloud.session(cloud.role_credentials("promote")).client("s3")
    clock.advance(timedelta(hours=-1))
    server.put_object(Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"files")
    slot = POLICY.slot_of("backup.tar.gz.gpg", clock.now()).name
    promoter.put_object(Bucket="backups2", Key=slot, Body=b"another's", IfNoneMatch="*")
    with chalice_local(project, cloud, function="audit", BACKUPS_DEV_ROUTES="1") as url:
        status, answer = post(f"{url}/audit", None)
    assert (status, answer) == (200, {"findings": {"contested": 1}, "not_checked": []})


def test_without_the_variable_there_are_no_routes(project, cloud):
    with chalice_local(project, cloud) as url:
        status, _ = post(f"{url}/events", {"Records": []})
        assert status in {403, 404}
