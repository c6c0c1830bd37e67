"""Constants on which admin and the local cloud must agree, and the port that both use."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from admin import account
from admin.desired import permissions
from admin.stage import StageError, read_stage
from demo.local import main, show_port
from localcloud.cloud import ADMINISTRATOR
from localcloud.functions.lambda_functions import REGION
from localcloud.iam import identities
from tests.support.project import STAGE


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
