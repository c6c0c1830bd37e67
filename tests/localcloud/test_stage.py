"""Constants on which admin and the local cloud must agree, and the port that both use."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from admin import account
from admin.desired import permissions
from admin.stage import StageError, read_stage
from demo.local import main, show_port, show_ways_in
from localcloud.cloud import ADMINISTRATOR
from localcloud.functions.lambda_functions import REGION
from localcloud.iam import identities
from localcloud.iam.authorization import Credentials
from tests.support.project import POLICY, STAGE


def test_the_commands_use_the_local_clouds_administrator():
    assert ADMINISTRATOR.access_key_id == account.LOCAL_ACCESS_KEY_ID
    assert ADMINISTRATOR.secret_access_key == account.LOCAL_SECRET_ACCESS_KEY
    assert REGION == account.LOCAL_REGION


def test_both_have_the_same_size_limit_for_a_users_policies():
    assert identities.LARGEST_OF_A_USER == permissions.LARGEST_OF_A_USER


def test_every_command_follows_the_chosen_port(project, monkeypatch):
    monkeypatch.setenv("BACKUPS_LOCAL_PORT", "9001")
    stage = read_stage("dev", project=project)
    assert stage.environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9001"
    assert account.open_account(stage).endpoint == "http://127.0.0.1:9001"
    assert "AWS_ENDPOINT_URL" not in read_stage("prod", project=project).environment


@pytest.mark.parametrize("port", ["80", "70000", "-1", "9001x", "\N{SUPERSCRIPT TWO}"])
def test_no_command_takes_a_port_that_is_none(project, monkeypatch, port):
    monkeypatch.setenv("BACKUPS_LOCAL_PORT", port)
    with pytest.raises(StageError, match=f"BACKUPS_LOCAL_PORT is {port}; write a port from 1024"):
        read_stage("dev", project=project)


@pytest.mark.parametrize("port", ["80", "70000", "-1"])
def test_make_local_refuses_such_a_port_in_one_sentence(port):
    result = CliRunner().invoke(main, ["--port", port])
    assert result.exit_code == 2
    assert f"{port} is not 0 or from 1024 to 65535" in result.stderr


def test_make_local_prints_the_variable_for_another_port(monkeypatch, capsys):
    monkeypatch.setattr("demo.local.read_stage", lambda _: STAGE)
    show_port(SimpleNamespace(endpoint="http://127.0.0.1:9001"))
    assert "export BACKUPS_LOCAL_PORT=9001\n" in capsys.readouterr().out
    show_port(SimpleNamespace(endpoint="http://127.0.0.1:9000"))
    assert capsys.readouterr().out == ""


def test_each_server_s_example_follows_its_own_keys(monkeypatch, capsys):
    fleet = replace(POLICY, servers=("web1", "db1"))
    monkeypatch.setattr("demo.local.read_policy", lambda: fleet)
    monkeypatch.setattr("demo.local.read_stage", lambda _: STAGE)
    keys = {name: Credentials(access_key_id=name, secret_access_key="s") for name in fleet.servers}
    cloud = SimpleNamespace(
        endpoint="http://127.0.0.1:9000",
        incoming="backups1",
        vault="backups2",
        servers=keys,
        administrator=keys["web1"],
    )
    show_ways_in(cloud, by_hand=False)
    web1, db1, _ = re.split("For the (?:server db1|administrator)", capsys.readouterr().out)
    for server, lines in (("web1", web1), ("db1", db1)):
        assert f"export AWS_ACCESS_KEY_ID={server}\n" in lines
        assert f" put README.md s3://backups1/{server}/" in lines
