"""An account that an earlier version set up and deployed is upgraded while uploads arrive."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import admin.cli
from admin.account import Account, local_account
from admin.check.role import TRUST
from admin.config.reading import FUNCTIONS
from admin.desired.requirement import Kind, Requirement
from admin.setup import resources
from admin.setup.plan import execute, make_plan, requirements_of
from admin.target import Target
from demo.stage import StageCloud, running
from localcloud.clock import clock
from tests.support.deployed_stage import DeployedStage
from tests.support.project import POLICY, STAGE, copy_project

# What `desired_settings` and `function_policies` of that version returned for the tests' stage.
BEFORE = json.loads((Path(__file__).parent / "account_before.json").read_text())
PROMOTE = "immutable-backups-dev-promote"
# The earlier app, throttled by S3: its uploads are still waiting when the upgrade begins.
APP_BEFORE = """
def promote(event, context):
    raise RuntimeError("SlowDown")
"""
SQL, NIGHTLY = "sql.gz.gpg", "backup.tar.gz.gpg"


@pytest.fixture
def before() -> Iterator[StageCloud]:
    """The account as the earlier version left it."""
    with running(retry_delays=(0, 0)) as cloud:
        # A backup that is promoted at a quarter past the next hour is late.
        clock.stand_at(datetime(2026, 11, 25, 12, 20, tzinfo=UTC))
        account = local_account(cloud.endpoint)
        settings = [
            Requirement(kind=Kind(setting["kind"]), summary="", why="", **_without_kind(setting))
            for setting in BEFORE["settings"]
        ]
        for requirement in settings:
            if requirement.kind is Kind.TOPIC:
                account.client("sns").create_topic(Name=requirement.resource.rsplit(":", 1)[1])
            elif requirement.kind not in {Kind.ASYNCHRONOUS, Kind.RECURSION}:
                resources.write(account, requirement)
        _deploy_the_app_of_before(account)
        for requirement in settings:
            if requirement.kind is Kind.RECURSION:
                resources.write(account, requirement)
            elif requirement.kind is Kind.ASYNCHRONOUS:
                account.client("lambda").put_function_event_invoke_config(
                    FunctionName=PROMOTE,
                    MaximumRetryAttempts=requirement.desired["retries"],
                    MaximumEventAgeInSeconds=requirement.desired["give_up_after_seconds"],
                    DestinationConfig={
                        "OnFailure": {"Destination": requirement.desired["on_failure"]}
                    },
                )
        yield cloud


def _without_kind(setting: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in setting.items() if name != "kind"}


def _deploy_the_app_of_before(account: Account) -> None:
    iam, functions = account.client("iam"), account.client("lambda")
    role = iam.create_role(RoleName=PROMOTE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(
        RoleName=PROMOTE, PolicyName=PROMOTE, PolicyDocument=json.dumps(BEFORE["role"])
    )
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as bundle:
        bundle.writestr("app.py", APP_BEFORE)
    arn = functions.create_function(
        FunctionName=PROMOTE,
        Runtime="python3.13",
        Handler="app.promote",
        Role=role["Arn"],
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
        Environment={"Variables": dict(STAGE.environment)},
    )["FunctionArn"]
    functions.add_permission(
        FunctionName=PROMOTE,
        StatementId="of-before",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::backups1",
        SourceAccount=account.id,
    )
    account.client("s3").put_bucket_notification_configuration(
        Bucket="backups1",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )


def set_up(account: Account) -> list[str]:
    plan = make_plan(account, requirements_of(target_of(account)), lock_named=False)
    return [change.requirement.summary for change in execute(account, plan)]


def target_of(account: Account) -> Target:
    return Target(account=account, stage=STAGE, policy=POLICY)


def stored(account: Account) -> dict[str, bytes]:
    """The backups in the vault, by their names."""
    s3 = account.client("s3")
    listed = s3.list_object_versions(Bucket="backups2").get("Versions", [])
    return {
        item["Key"]: s3.get_object(Bucket="backups2", Key=item["Key"])["Body"].read()
        for item in listed
    }


def promote_as_before(cloud: StageCloud, key: str) -> None:
    """Copy and remove the upload of a key as that version did, with the rights of its role."""
    s3 = cloud.session(cloud.role_credentials("promote")).client("s3")
    source = s3.head_object(Bucket="backups1", Key=key)
    assert source["VersionId"] == "null"
    s3.copy_object(
        Bucket="backups2",
        Key=POLICY.slot_of(key, source["LastModified"]).name,
        CopySource={"Bucket": "backups1", "Key": key},
        CopySourceIfMatch=source["ETag"],
        IfNoneMatch="*",
        MetadataDirective="REPLACE",
        Metadata={
            "source-key": key,
            "source-etag": source["ETag"].strip('"'),
            "source-last-modified": source["LastModified"].isoformat(),
        },
    )
    s3.delete_object(Bucket="backups1", Key=key, IfMatch=source["ETag"])


def test_an_upgrade_loses_no_upload_and_leaves_no_finding(
    before: StageCloud, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = local_account(before.endpoint)
    s3 = account.client("s3")

    def upload(key: str, body: bytes) -> str:
        s3.put_object(Bucket="backups1", Key=key, Body=body)
        before.functions.wait_until_quiet(timeout=60)
        return str(POLICY.slot_of(key, clock.now()).name)

    # The earlier app fails three times for each upload, and then the event is lost.
    expected = {upload(SQL, b"first hour"): b"first hour", upload(NIGHTLY, b"night"): b"night"}
    done = set_up(account)
    assert "backups1: keep every version of an upload" in done
    # The earlier app is still running. It removes an upload by its ETag, without a version ID,
    # which only adds a delete marker if the bucket keeps versions.
    promote_as_before(before, NIGHTLY)
    # The second hour would have overwritten the first.
    clock.advance(timedelta(hours=1))
    expected[upload(SQL, b"second hour")] = b"second hour"
    assert stored(account) == {slot: body for slot, body in expected.items() if body == b"night"}

    project = copy_project(tmp_path)
    before.deploy(project_dir=project, packages=packages)  # which ends with another setup
    clock.advance(timedelta(minutes=16))
    before.run_schedules()
    before.functions.wait_until_quiet(timeout=120)
    assert stored(account) == expected
    assert "Versions" not in s3.list_object_versions(Bucket="backups1")

    assert set_up(account) == []
    stage = DeployedStage(before, project, packages)
    monkeypatch.setattr(admin.cli, "open_account", lambda _, **__: account)
    monkeypatch.setattr(admin.cli, "read_stage", lambda name: stage.stage)
    result = stage.check()
    assert result.exit_code == 0, result.output
    deployed = account.client("lambda").list_functions()["Functions"]
    assert {one["FunctionName"] for one in deployed} == {*map(STAGE.function_name, FUNCTIONS)}


def test_settings_of_earlier_versions_are_removed(before: StageCloud) -> None:
    account = local_account(before.endpoint)
    set_up(account)
    functions = account.client("lambda")
    assert functions.get_function_recursion_config(FunctionName=PROMOTE)["RecursiveLoop"] == (
        "Terminate"
    )
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function_event_invoke_config(FunctionName=PROMOTE)
    alarms = account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    expected = {
        requirement.resource
        for requirement in requirements_of(target_of(account))
        if requirement.kind is Kind.ALARM and requirement.desired
        if not requirement.needs_deployment
    }
    assert "immutable-backups-dev-alerts-promote-errors" not in expected
    assert {alarm["AlarmName"] for alarm in alarms} == expected
    # No alarm uses the metrics of the earlier version, which have a different service.
    assert all(
        {"Name": "service", "Value": "immutable-backups"} not in alarm["Dimensions"]
        for alarm in alarms
    )
