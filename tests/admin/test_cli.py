import errno
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.exceptions import EndpointConnectionError
from click.testing import CliRunner

import admin.cli
from admin.account import (
    Account,
    AccountError,
    local_account,
    open_account,
    translated_errors,
)
from admin.cli import cli
from admin.config.reading import APP_NAME, FUNCTIONS
from admin.stage import StageError, read_stage, refuse_unfinished
from chalicelib.policy.file import parse_policy
from chalicelib.policy.rules import Archive
from tests.support.project import POLICY, STAGE, stage_named

LONDON = """
timezone = "Europe/London"
servers = ["web1"]
[[rule]]
upload = "sql.gz.gpg"
store_as = "%Y-%m-%d.%H.sql.gz.gpg"
min_bytes = 1000
max_bytes = 5000000
"""
SMALL = "small if below half of the usual size"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, arguments)


def test_the_policy_is_explained_in_plain_english() -> None:
    output = run("policy").stdout
    assert "Uploads to backups1 are promoted to backups2" in output
    assert "backup.tar.gz.gpg: stored once a day as %Y-%m-%d.tar.gz.gpg" in output
    assert "sql.gz.gpg: stored once an hour" in output
    assert "1 byte or more (no max_bytes); STANDARD; times in Etc/UTC" in output
    assert "Backups never expire.\n" in output


@pytest.mark.parametrize(
    ("settings", "sentence", "data"),
    [
        pytest.param(
            "",
            "missing if not stored within 15 minutes after its slot ends; " + SMALL,
            (None, True, True),
            id="by default",
        ),
        pytest.param(
            "due_minutes = 1440",
            "missing if not stored within 1,440 minutes after its slot begins; " + SMALL,
            (1440, True, True),
            id="due earlier or later",
        ),
        pytest.param(
            'expect = "6h"',
            "missing if the newest backup is older than 6 hours; " + SMALL,
            (None, "6h", True),
            id="by age",
        ),
        pytest.param(
            "expect = false\nsmall = false",
            "never counts as missing",
            (None, False, False),
            id="nothing",
        ),
    ],
)
def test_what_counts_as_missing_is_explained(
    settings: str, sentence: str, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: parse_policy(LONDON + settings))
    assert f"\n  {sentence}\n" in run("policy").stdout
    [upload] = json.loads(run("policy", "--json").stdout)["uploads"]
    assert (upload["due_minutes"], upload["expect"], upload["small"]) == data


@pytest.mark.parametrize(
    ("keeping", "sentence", "data"),
    [
        pytest.param({}, "Backups never expire.\n", (None, None), id="forever"),
        pytest.param(
            {"keep_days": 400},
            "Backups expire after 400 days.\n",
            (400, None),
            id="for a while",
        ),
        pytest.param(
            {"archive": Archive(after_days=90, to="DEEP_ARCHIVE")},
            "Backups never expire. After 90 days they move to DEEP_ARCHIVE (read 12 to 48 hours "
            "after a restore request). S3 moves no backup below 128 KB.\n",
            (None, {"after_days": 90, "to": "DEEP_ARCHIVE"}),
            id="forever, in an archive",
        ),
        pytest.param(
            {"keep_days": 400, "archive": Archive(after_days=30, to="GLACIER_IR")},
            "Backups expire after 400 days. After 30 days they move to GLACIER_IR (read at "
            "once, for a larger fee). S3 moves no backup below 128 KB.\n",
            (400, {"after_days": 30, "to": "GLACIER_IR"}),
            id="for a while, in an archive",
        ),
    ],
)
def test_the_retention_is_explained(
    keeping: dict[str, Any], sentence: str, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(POLICY, **keeping))
    assert sentence in run("policy").stdout
    description = json.loads(run("policy", "--json").stdout)
    assert (description["keep_days"], description["archive"]) == data


def test_the_names_at_a_given_time_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: parse_policy(LONDON))
    first, second = (run("policy", "--at", f"2026-10-25T0{hour}:30:00Z").stdout for hour in (0, 1))
    assert "web1/sql.gz.gpg  ->  web1/2026-10-25.01.sql.gz.gpg" in first
    assert "web1/sql.gz.gpg  ->  web1/2026-10-25.01b.sql.gz.gpg" in second
    assert "1,000 to 5,000,000 bytes" in run("policy").stdout


def test_json_has_the_whole_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: parse_policy(LONDON))
    description = json.loads(run("policy", "--json", "--at", "2026-10-25T00:30:00+00:00").stdout)
    assert (description["incoming"], description["vault"], description["timezone"]) == (
        "backups1",
        "backups2",
        "Europe/London",
    )
    [upload] = description["uploads"]
    assert upload["server"] == "web1"
    assert [slot["name"] for slot in upload["slots"]] == [
        "web1/2026-10-25.01.sql.gz.gpg",
        "web1/2026-10-25.01b.sql.gz.gpg",
        "web1/2026-10-25.02.sql.gz.gpg",
    ]
    assert upload["slots"][0]["start"] == "2026-10-25T01:00:00+01:00"
    assert upload["slots"][0]["end"] == "2026-10-25T01:00:00+00:00"
    assert upload["slots"][0]["due"] == "2026-10-25T01:15:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--at", "tonight"], "'tonight' is not a time; write it like", id="no time"),
        pytest.param(["--at", "2026-10-25T00:30:00"], "has no time zone", id="naive"),
        pytest.param(
            ["--at", "9999-12-31T00:00:00Z"], "outside the years 1970 to 9000", id="the last year"
        ),
        pytest.param(["--stage", "staging"], 'no stage "staging", only dev, prod', id="no stage"),
        pytest.param(["--sage", "dev"], "No such option", id="a typo"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], sentence: str) -> None:
    result = run("policy", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(sentence, result.stderr), result.stderr


def test_a_wrong_policy_is_a_sentence_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: parse_policy("time = 1"))
    result = run("policy")
    assert (result.exit_code, result.stderr) == (
        2,
        'Error: "time" is not a setting; did you mean "timezone"?\n',
    )


@pytest.mark.parametrize("command", [[], ["policy"]])
def test_help_starts_with_an_example(command: list[str]) -> None:
    lines = run(*command, "--help").stdout.splitlines()
    assert lines[2].strip().startswith("Example: backups policy")


def test_an_incomplete_stage_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".chalice").mkdir()
    config = tmp_path / ".chalice" / "config.json"
    with pytest.raises(StageError, match="cannot be read"):
        read_stage("dev", project=tmp_path)
    config.write_text('{"stages": {"dev": {}}}')
    with pytest.raises(StageError, match="stage dev: INCOMING_BUCKET is not set"):
        read_stage("dev", project=tmp_path)


def test_policies_are_written_once() -> None:
    output = run("policies").stdout
    assert output.splitlines() == [
        ".chalice/policy-dev-promote.json: unchanged",
        ".chalice/policy-dev-sweep.json: unchanged",
        ".chalice/policy-dev-audit.json: unchanged",
    ]
    result = run("policies", "--stage", "nowhere")
    assert result.exit_code == 2
    assert "only dev, prod" in result.stderr


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "http://127.1.2.3"],
)
def test_only_the_stage_dev_can_use_a_local_cloud(endpoint: str) -> None:
    shell = {"AWS_ENDPOINT_URL": endpoint}
    refuse_unfinished(STAGE, shell)
    prod = replace(STAGE, name="prod")
    with pytest.raises(StageError, match=r"AWS_ENDPOINT_URL of this shell is http.*unset it"):
        refuse_unfinished(prod, shell)


def test_a_region_of_another_partition_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS would refuse only the step that writes a bucket policy."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    prod = replace(STAGE, name="prod", environment={})
    with pytest.raises(AccountError, match="us-gov-west-1 is a region of aws-us-gov"):
        open_account(prod, region="us-gov-west-1")


@pytest.mark.parametrize("command", ["setup", "check", "drill", "credentials"])
@pytest.mark.parametrize("option", ["profile", "region"])
def test_a_profile_or_region_selects_no_local_cloud(command: str, option: str) -> None:
    """Otherwise the local cloud's good results would be mistaken for those of that account."""
    result = run(command, f"--{option}", "work")
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: --{option} selects an AWS {option}, but the stage dev is the local cloud; did you "
        "mean --stage prod?\n"
    )


@pytest.mark.parametrize("command", ["policy", "setup", "check", "drill", "credentials"])
def test_every_command_refuses_a_name_that_aws_would_not_accept(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = replace(POLICY, servers=("a" * 60,))
    monkeypatch.setattr(admin.cli, "read_policy", lambda: fleet)
    result = run(command)
    assert result.exit_code == 2
    assert result.stderr.startswith(f'Error: the server "{"a" * 60}" would get the IAM user')


@pytest.mark.parametrize("command", ["setup", "check", "drill"])
def test_without_a_local_cloud_the_error_says_how_to_start_one(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = local_account("http://127.0.0.1:1")
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: nowhere)
    result = run(command)
    assert result.exit_code == 3
    assert (
        "No local cloud listens at http://127.0.0.1:1; start it with `make local`" in result.stderr
    )
    assert "did you mean --stage prod?" in result.stderr


def test_unreachable_aws_is_not_mistaken_for_a_local_cloud() -> None:
    error = EndpointConnectionError(endpoint_url="https://s3.eu-west-1.amazonaws.com/")
    with pytest.raises(AccountError, match="AWS cannot be reached"), translated_errors():
        raise error


def test_the_example_buckets_are_never_created() -> None:
    with pytest.raises(StageError, match="change-me-backups1 is only an example"):
        refuse_unfinished(stage_named("prod"), {})


def test_a_stage_can_have_an_endpoint_that_is_not_local() -> None:
    prod = replace(STAGE, name="prod", environment={})
    refuse_unfinished(prod, {"AWS_ENDPOINT_URL": "https://s3.example.org"})


def test_a_stage_configured_for_a_local_cloud_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".chalice").mkdir()
    variables = {
        "INCOMING_BUCKET": "incoming",
        "VAULT_BUCKET": "vault",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    }
    functions = {
        function: {"iam_policy_file": f"policy-prod-{function}.json"} for function in FUNCTIONS
    }
    prod = {"environment_variables": variables, "lambda_functions": functions}
    functions_of_all = {"lambda_timeout": 900, "lambda_memory_size": 1024, "autogen_policy": False}
    config = {"app_name": APP_NAME, **functions_of_all, "stages": {"prod": prod}}
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(config))
    stage = read_stage("prod", project=tmp_path)
    with pytest.raises(StageError, match=r"of stage prod of \.chalice/config"):
        refuse_unfinished(stage, {})


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("command", "work", "sentence"),
    [
        ("setup", "set_up", "run the same command again to make the others"),
        ("deploy", "deploy_app", "run the same command again to complete it"),
        ("check", "show_check", "not everything was checked"),
        ("credentials", "show_new_key", "run the same command again to complete it"),
        ("drill", "run_drill", "the next one removes anything that is left"),
        ("policies", "write_policies", "run it again"),
    ],
)
def test_ctrl_c_has_its_own_status_and_says_what_is_left(
    command: str, work: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """click's status, 1, would mean that something is wrong with the backups."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(admin.cli, "set_up", lambda *_, **__: None)
    monkeypatch.setattr(admin.cli, work, interrupted)
    result = run(command)
    assert result.exit_code == 130
    assert "Aborted" not in result.stderr
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("Interrupted: ")
    assert sentence in line


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        pytest.param("n\n", 2, "Error: Nothing was changed.", id="no"),
        pytest.param("", 2, "Error: The question got no answer", id="no terminal"),
    ],
)
def test_a_question_without_a_yes_is_not_a_finding(
    account: Account, answer: str, status: int, sentence: str
) -> None:
    result = CliRunner().invoke(cli, ["setup", "--apply"], input=answer)
    assert (result.exit_code, "Aborted" in result.stderr) == (status, False)
    assert sentence in result.stderr
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_ctrl_c_at_the_question_is_an_interruption(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> bool:
        raise click.Abort from KeyboardInterrupt()

    monkeypatch.setattr(click, "confirm", interrupted)
    assert run("setup", "--apply").exit_code == 130
    assert account.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.usefixtures("account")
def test_a_character_that_the_terminal_does_not_have_is_no_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Setup marks changes that take effect only with the next deployment with "…"."""
    monkeypatch.setattr(admin.cli, "set_up", lambda *_, **__: click.echo("… an alarm"))
    result = CliRunner(charset="latin-1").invoke(cli, ["setup"])
    assert (result.exit_code, result.stdout) == (0, "? an alarm\n")


def test_a_full_disk_stops_setup_before_anything_is_made(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = run("setup", "--apply", "--yes", "--lock-days", "31")
    assert (result.exit_code, "Traceback" in result.stderr) == (3, False)
    assert "Error: No space left on device (free some first): the changes" in result.stderr
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_a_read_only_clone_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/clone/.chalice/config.new")

    monkeypatch.setattr(admin.cli, "write_policies", read_only)
    result = run("policies")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: /clone/.chalice/config.new cannot be written (Read-only file system); run the "
        "command in a clone of your own\n"
    )
