"""Whether a trail logs API calls for EventBridge, and how `setup` creates one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from admin.account import Account
from admin.check.alerts.trail import check_trail
from admin.cli import cli
from admin.config.reading import CONFIG
from admin.setup.plan import execute, make_plan, requirements_of
from admin.setup.trail_resources import logging_trail
from admin.stage import Stage, read_stage
from admin.target import Target
from tests.support.project import POLICY

BUCKET = "immutable-backups-trail-123456789012-us-east-1"
WITHOUT = "No trail logs management events in us-east-1"
MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}
DATA = {"Field": "eventCategory", "Equals": ["Data"]}
READS = {"Field": "readOnly", "Equals": ["true"]}


@pytest.fixture
def prod(account: Account, own_project: Path) -> Path:
    """The file with the stage prod, which is in this account; the stage dev needs no trail."""
    path = own_project / CONFIG
    config = json.loads(path.read_text())
    config["stages"]["prod"]["environment_variables"] = {
        "INCOMING_BUCKET": "example-backups1",
        "VAULT_BUCKET": "example-backups2",
    }
    path.write_text(json.dumps(config, indent=2) + "\n")
    return path


def target(account: Account, path: Path, **choices: Any) -> Target:
    stage: Stage = read_stage("prod", project=path.parent.parent)
    return Target(account=account, stage=replace(stage, **choices), policy=POLICY)


def setup(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["setup", "--stage", "prod", *arguments])


def findings(account: Account, path: Path, **choices: Any) -> list[str]:
    return [vars(each)["what"] for each in check_trail(target(account, path, **choices))]


def make_trail(account: Account, *, is_on: bool = True, **selectors: Any) -> None:
    account.client("s3").create_bucket(Bucket="trails")
    cloudtrail_writes = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": ["s3:GetBucketAcl", "s3:PutObject"],
        "Resource": ["arn:aws:s3:::trails", "arn:aws:s3:::trails/*"],
    }
    account.client("s3").put_bucket_policy(
        Bucket="trails",
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [cloudtrail_writes]}),
    )
    cloudtrail = account.client("cloudtrail")
    cloudtrail.create_trail(Name="company", S3BucketName="trails")
    if selectors:
        cloudtrail.put_event_selectors(TrailName="company", **selectors)
    if is_on:
        cloudtrail.start_logging(Name="company")


@pytest.mark.parametrize(
    ("trail", "logs"),
    [
        pytest.param({}, True, id="by default"),
        pytest.param({"is_on": False}, False, id="stopped"),
        pytest.param({"EventSelectors": [{"ReadWriteType": "WriteOnly"}]}, True, id="writes"),
        pytest.param({"EventSelectors": [{"ReadWriteType": "ReadOnly"}]}, False, id="reads"),
        pytest.param(
            {"EventSelectors": [{"IncludeManagementEvents": False}]}, False, id="only data"
        ),
        pytest.param(
            {"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT]}]}, True, id="advanced"
        ),
        pytest.param(
            {"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT, READS]}]},
            False,
            id="advanced, reads",
        ),
        pytest.param(
            {"AdvancedEventSelectors": [{"FieldSelectors": [DATA]}]}, False, id="advanced, data"
        ),
    ],
)
def test_a_trail_counts_if_it_logs_what_changes_something(
    account: Account, trail: dict[str, Any], *, logs: bool
) -> None:
    assert logging_trail(account) is None
    make_trail(account, **trail)
    arn = "arn:aws:cloudtrail:us-east-1:123456789012:trail/company"
    assert logging_trail(account) == (arn if logs else None)


def test_setup_says_that_there_is_no_trail_and_what_one_costs(account: Account, prod: Path) -> None:
    shown = setup().stdout
    assert f"= {WITHOUT}: EventBridge is not notified of changes" in shown
    assert "add --trail. CloudTrail logs the first copy of management events for free" in shown
    make_trail(account)
    assert WITHOUT not in setup().stdout


def test_a_trail_is_created_once_and_recorded(account: Account, prod: Path) -> None:
    assert findings(account, prod) == [WITHOUT]
    done = setup("--trail", "--apply", "--yes")
    assert done.exit_code == 0, done.output
    assert json.loads(prod.read_text())["stages"]["prod"]["trail"] is True
    assert logging_trail(account)
    again = setup("--apply", "--yes")
    assert "Nothing to do" in again.stdout, again.stdout
    assert WITHOUT not in again.stdout
    assert findings(account, prod) == []
    s3 = account.client("s3")
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["Expiration"]["Days"] == 90


def test_two_stages_share_the_trail(account: Account, prod: Path) -> None:
    assert setup("--trail", "--apply", "--yes").exit_code == 0
    other = target(account, prod, name="staging", trail=True)
    plan = make_plan(account, requirements_of(other), lock_named=False)
    resources = {change.requirement.resource for change in plan.changes}
    assert not {name for name in resources if "trail" in name}


def test_a_second_copy_which_costs_money_is_refused(account: Account, prod: Path) -> None:
    make_trail(account)
    refused = setup("--trail")
    assert refused.exit_code == 2
    assert "trail/company already logs management events" in refused.output


def test_doing_without_a_trail_can_be_accepted(account: Account, prod: Path) -> None:
    done = setup("--accept", "no-trail", "--apply", "--yes")
    assert done.exit_code == 0, done.output
    assert f"= {WITHOUT}; accepted" in done.stdout
    assert json.loads(prod.read_text())["stages"]["prod"]["accepted"] == ["no-trail"]
    assert findings(account, prod) == []
    assert "Nothing to do" in setup().stdout


def test_cloudtrail_alone_writes_the_log(account: Account, prod: Path) -> None:
    chosen = target(account, prod, trail=True)
    plan = make_plan(account, requirements_of(chosen), lock_named=False)
    for _ in execute(account, plan):
        pass
    policy = json.loads(account.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {each["Principal"]["Service"] for each in policy["Statement"]} == {
        "cloudtrail.amazonaws.com"
    }
    arn = "arn:aws:cloudtrail:us-east-1:123456789012:trail/immutable-backups"
    for statement in policy["Statement"]:
        assert statement["Condition"]["StringEquals"]["aws:SourceArn"] == arn
