"""VAULT_SETTINGS: what `setup` records of the vault and when, and what reports a change."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import admin.cli
import admin.setup.command
import demo.stage
from admin.account import Account, AccountError, local_account
from admin.check.recorded import check_recorded
from admin.choices import SetupOptions
from admin.cli import cli
from admin.config.reading import CONFIG
from admin.desired.door import EVERYONE, opened_to
from admin.desired.permissions import statements
from admin.desired.requirement import Requirement
from admin.setup import recorded
from admin.setup.plan import requirements_of
from admin.setup.recorded import VARIABLE, actual_digests, settled_digests
from admin.stage import read_stage
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.watching.vault_settings import SETTINGS
from demo.stage import StageCloud, running
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, VAULT_SETTINGS, write_stages, write_variables
from tests.support.saved_state import SavedState
from tests.support.sleeping_clock import SleepingClock

VAULT = "backups2"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:names"
DAY = {"ID": "day", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
FINE = "Nothing to do: everything is as it should be.\n"
SECONDS = 2


@pytest.fixture(scope="module")
def cloud() -> Iterator[StageCloud]:
    with running(by_hand=True) as cloud:
        yield cloud


@pytest.fixture
def account(
    cloud: StageCloud,
    monkeypatch: pytest.MonkeyPatch,
    own_project: Path,
    saved_state: SavedState,
) -> Account:
    """An account with only a vault, as `setup` leaves it."""
    account = local_account(cloud.endpoint)
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    monkeypatch.setattr(admin.setup.command, "requirements_of", of_vault)
    saved_state.reach(lambda: run("--apply", "--yes"))
    return account


def of_vault(target: Target, options: SetupOptions) -> tuple[Requirement, ...]:
    """The requirements of the vault, and of the topic that its notification needs."""
    sirens = target.stage.sirens_arn(account=target.account.id, region=target.account.region)
    needed = {VAULT, sirens}
    return tuple(one for one in requirements_of(target, options) if one.resource in needed)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["setup", *arguments])


def in_config(project: Path) -> str | None:
    stage = json.loads((project / CONFIG).read_text())["stages"]["dev"]
    value: str | None = stage["environment_variables"].get(VARIABLE)
    return value


def target_of(account: Account, project: Path) -> Target:
    return Target(account=account, stage=read_stage("dev", project=project), policy=POLICY)


def put_rules(s3: Any, *rules: dict[str, Any]) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=VAULT, LifecycleConfiguration={"Rules": [*rules]})


def notify_a_queue(account: Account) -> None:
    """A change that `setup` would not revert."""
    s3 = account.client("s3")
    account.client("sqs").create_queue(QueueName="names")
    names = {"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}
    configuration = s3.get_bucket_notification_configuration(Bucket=VAULT)
    del configuration["ResponseMetadata"]
    configuration["QueueConfigurations"] = [names]
    with past_the_door(s3):
        s3.put_bucket_notification_configuration(
            Bucket=VAULT, NotificationConfiguration=configuration
        )


def audited(*, at: datetime | None = None) -> list[str]:
    """What an audit reports about the vault's settings."""
    arguments = ["--at", at.isoformat()] if at else []
    result = CliRunner().invoke(cli, ["audit", "--json", *arguments])
    findings = json.loads(result.stdout)["findings"]
    return [finding["what"] for finding in findings if finding["kind"] == "settings"]


# Recorded


def test_setup_records_what_s3_shows(account: Account, own_project: Path) -> None:
    """If this fails, update the recorded value in the repository.

    Write it into tests/support/project.py; for .chalice/config.json, run `make local` and, in
    another terminal, `.venv/bin/backups setup --apply`.
    """
    write_variables(own_project, {VARIABLE: ""})
    [sentence] = audited()
    assert sentence == (
        "VAULT_SETTINGS is not set, so no audit would notice a change to backups2; "
        "`backups deploy` sets it."
    )
    result = run("--apply", "--yes")
    assert f"~ {VARIABLE}: record the settings of {VAULT} (policy, versioning" in result.stdout
    assert "They have changed since" not in result.stdout
    assert "the alarm settings can go off" not in result.stdout
    assert result.stdout.endswith("Done. Settings changed: 0, files written: 1.\n")
    assert in_config(own_project) == VAULT_SETTINGS
    assert audited() == []
    assert run("--apply", "--yes").stdout == FINE


def test_it_is_recorded_after_the_changes(
    account: Account, own_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = replace(POLICY, keep_days=400)
    monkeypatch.setattr(admin.cli, "read_policy", lambda: keeping)
    shown = run()
    assert f"~ {VARIABLE}: record the settings of {VAULT} (after these changes)" in shown.stdout
    assert "Until then, the alarm settings can go off: run make deploy soon." in shown.stdout
    assert in_config(own_project) == VAULT_SETTINGS
    assert run("--apply", "--yes").exit_code == 0
    before, after = (
        dict(item.split("=") for item in text.split(","))
        for text in (VAULT_SETTINGS, str(in_config(own_project)))
    )
    assert {name for name in after if after[name] != before[name]} == {"lifecycle"}
    assert run("--apply", "--yes").stdout == FINE


def test_without_apply_nothing_is_written(account: Account, own_project: Path) -> None:
    write_variables(own_project, {VARIABLE: ""})
    shown = run().stdout
    assert f'+        "{VARIABLE}": "{VAULT_SETTINGS}"' in shown
    assert in_config(own_project) == ""


def test_an_interrupted_setup_is_completed_by_the_next(
    account: Account, own_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.client("s3").delete_bucket_policy(Bucket=VAULT)
    write_variables(own_project, {VARIABLE: ""})

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(admin.setup.command, "settled_digests", interrupt)
        assert run("--apply", "--yes").exit_code == 130
    assert in_config(own_project) == ""
    assert run("--apply", "--yes").exit_code == 0
    assert in_config(own_project) == VAULT_SETTINGS


def test_nothing_is_recorded_while_the_door_is_open(account: Account, own_project: Path) -> None:
    s3 = account.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=VAULT)["Policy"])
    opened = {**policy, "Statement": opened_to(EVERYONE, statements(policy))}
    s3.put_bucket_policy(Bucket=VAULT, Policy=json.dumps(opened))
    write_variables(own_project, {VARIABLE: ""})
    assert "(after these changes)" in run().stdout
    waiter = Waiter(seconds=SECONDS, tell=lambda _: None, **vars_of(SleepingClock()))
    target = target_of(account, own_project)
    with pytest.raises(AccountError, match="after 2 seconds, so they were not recorded"):
        settled_digests(target, SetupOptions(), waiter, lock_named=False)
    assert run("--apply", "--yes").exit_code == 0
    assert in_config(own_project) == VAULT_SETTINGS


def vars_of(clock: SleepingClock) -> Any:
    return {"monotonic": clock.monotonic, "sleep": clock.sleep}


@contextmanager
def outdated(account: Account, answers: Callable[[int], bool]) -> Iterator[None]:
    """S3 reports no lifecycle, as before a change, in those responses that `answers` selects."""
    requests: list[str] = []

    def answer(**_: Any) -> Any:
        requests.append("")
        if not answers(len(requests)):
            return None
        error = {"Code": "NoSuchLifecycleConfiguration", "Message": "not yet"}
        return SimpleNamespace(status_code=404), {"Error": error, "ResponseMetadata": {}}

    events, event = (
        account.client("s3").meta.events,
        "before-call.s3.GetBucketLifecycleConfiguration",
    )
    events.register_first(event, answer)
    try:
        yield
    finally:
        events.unregister(event, answer)


@pytest.mark.parametrize(
    ("answers", "is_recorded"),
    [
        pytest.param(lambda number: number <= 7, True, id="for a while"),
        # Every attempt sends three requests: for the digest, for the plan, and for the digest
        # again.
        pytest.param(lambda number: number % 3 == 1, False, id="to the first of three"),
        pytest.param(lambda number: number % 3 == 0, False, id="to the last of three"),
        pytest.param(lambda number: True, False, id="forever"),
    ],
)
def test_outdated_responses_are_never_recorded(
    account: Account,
    own_project: Path,
    answers: Callable[[int], bool],
    *,
    is_recorded: bool,
) -> None:
    clock = SleepingClock()
    waiter = Waiter(seconds=SECONDS, tell=lambda _: None, **vars_of(clock))
    settle = partial(
        settled_digests, target_of(account, own_project), SetupOptions(), waiter, lock_named=False
    )
    with outdated(account, answers):
        if is_recorded:
            assert recorded.as_variable(settle()) == {VARIABLE: VAULT_SETTINGS}
        else:
            with pytest.raises(AccountError, match="run the same command again"):
                settle()
            assert clock.seconds >= SECONDS


# Changed


def test_a_change_that_setup_would_not_revert_is_named_by_everyone(
    account: Account, own_project: Path
) -> None:
    notify_a_queue(account)
    assert audited() == ["The setting notification of backups2 is not as backups setup left it."]
    [finding] = check_recorded(target_of(account, own_project), found=set())
    assert finding.what.endswith("changed since backups setup recorded them: notification")
    shown = run().stdout
    assert f"record the settings of {VAULT} (notification)" in shown
    assert "They have changed since they were recorded" in shown
    assert run("--apply", "--yes").exit_code == 0
    assert audited() == []
    assert [*check_recorded(target_of(account, own_project), found=set())] == []


def test_what_the_check_has_found_already_is_not_repeated(
    account: Account, own_project: Path
) -> None:
    notify_a_queue(account)
    target = target_of(account, own_project)
    assert [*check_recorded(target, found={"notification"})] == []


def test_a_stage_without_the_variable_is_found_by_the_check(
    account: Account, own_project: Path
) -> None:
    write_variables(own_project, {VARIABLE: ""})
    [finding] = check_recorded(target_of(account, own_project), found=set())
    assert finding.what == f"{VARIABLE} is not set in .chalice/config.json"


def test_a_rule_that_was_accepted_is_recorded_and_cannot_change(
    account: Account, own_project: Path
) -> None:
    s3 = account.client("s3")
    ours = s3.get_bucket_lifecycle_configuration(Bucket=VAULT)["Rules"]
    slow = {"Transitions": [{"Days": 30, "StorageClass": "DEEP_ARCHIVE"}]}
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "old/"}, **slow}
    with past_the_door(s3):
        put_rules(s3, *ours, theirs)
    assert audited() == ["The setting lifecycle of backups2 is not as backups setup left it."]
    assert run("--apply", "--yes", "--accept", f"{VAULT}:theirs").exit_code == 0
    assert audited() == []
    with past_the_door(s3):
        put_rules(s3, *ours, {**theirs, "Filter": {"Prefix": ""}})
    assert audited() == ["The setting lifecycle of backups2 is not as backups setup left it."]
    with past_the_door(s3):
        put_rules(s3, theirs, *reversed(ours))
    assert audited() == []


def test_a_change_that_was_reverted_is_no_finding(account: Account) -> None:
    s3 = account.client("s3")
    ours = s3.get_bucket_lifecycle_configuration(Bucket=VAULT)["Rules"]
    with past_the_door(s3):
        put_rules(s3, *ours, DAY)
    assert len(audited()) == 1
    assert run("--apply", "--yes").exit_code != 0  # it is an obstacle
    with past_the_door(s3):
        put_rules(s3, *ours)
    assert audited() == []


# The local cloud


def test_what_is_deployed_locally_records_the_edited_policy(
    cloud: StageCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the deployed copy, because `make local` must not edit the project's files."""
    write_stages(tmp_path)
    (tmp_path / "chalicelib").mkdir()
    toml = 'keep_days = 400\n[[rule]]\nupload = "a.gpg"\nstore_as = "%Y-%m-%d.a.gpg"\n'
    (tmp_path / "chalicelib" / "policy.toml").write_text(f'timezone = "Etc/UTC"\n{toml}')
    deployed: dict[str, Any] = {}
    monkeypatch.setattr(demo.stage, "deploy", lambda _, **options: deployed.update(options))
    cloud.prepare(project_dir=tmp_path)
    cloud.deploy(project_dir=tmp_path)
    target = target_of(local_account(cloud.endpoint), tmp_path)
    assert deployed["variables"] == recorded.as_variable(actual_digests(target))
    assert deployed["variables"] != {VARIABLE: VAULT_SETTINGS}
    assert in_config(tmp_path) == VAULT_SETTINGS


def test_the_names_in_the_record_are_those_of_the_audit() -> None:
    assert [item.split("=")[0] for item in VAULT_SETTINGS.split(",")] == [*SETTINGS]


def test_the_time_of_an_audit_makes_no_difference(account: Account) -> None:
    """Settings have no history: only what S3 returns now counts."""
    notify_a_queue(account)
    assert len(audited(at=datetime(2026, 1, 1, tzinfo=UTC))) == 1
