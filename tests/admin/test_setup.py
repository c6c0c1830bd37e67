"""`setup` on an empty account, repeated, interrupted, and after a weakening."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from moto.s3.models import s3_backends

import admin.cli
from admin.account import Account
from admin.choices import SetupOptions
from admin.cli import cli
from admin.config.reading import CONFIG
from admin.desired.bucket_policies import canonical
from admin.desired.buckets import REHEARSALS, vault_lifecycle
from admin.desired.requirement import Kind, Requirement
from admin.setup import resources
from admin.setup.exposure import suggestion
from admin.setup.plan import execute, make_plan, requirements_of
from admin.target import Target
from chalicelib.lock import Lock
from chalicelib.policy.rules import Archive
from localcloud.cloud import running
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, STAGE
from tests.support.remembered_answers import RememberedAnswers
from tests.support.saved_state import SavedState

KEEPING = replace(POLICY, keep_days=400, archive=Archive(after_days=30, to="GLACIER_IR"))
OPTIONS = SetupOptions(alert_email="admin@example.org")
RETRIED = "promote: retry failed events twice"


@pytest.fixture
def account(answers: RememberedAnswers, account: Account) -> Iterator[Account]:
    """The account, whose responses are cached until the next write."""
    answers.begin()
    yield account
    assert answers.stale == []


@pytest.fixture
def ready(account: Account, answers: RememberedAnswers, saved_state: SavedState) -> None:
    """Set the account up, before the test."""
    saved_state.reach(lambda: set_up(account))
    answers.begin()


def settings(
    account: Account, policy: Any = POLICY, options: SetupOptions = OPTIONS
) -> tuple[Requirement, ...]:
    return requirements_of(Target(account=account, stage=STAGE, policy=policy), options)


def set_up(account: Account, policy: Any = POLICY, options: SetupOptions = OPTIONS) -> list[str]:
    plan = make_plan(account, settings(account, policy, options), lock_named=False)
    return [change.requirement.summary for change in execute(account, plan)]


def left(account: Account, policy: Any = POLICY, options: SetupOptions = OPTIONS) -> list[str]:
    plan = make_plan(account, settings(account, policy, options), lock_named=False)
    return [change.requirement.summary for change in plan.changes]


def topic_of(account: Account) -> str:
    return STAGE.topic_arn(account=account.id, region=account.region)


def run(*arguments: str, typed: str = "") -> Any:
    return CliRunner().invoke(cli, ["setup", *arguments], input=typed)


def test_the_plan_says_which_alarms_it_removes(account: Account) -> None:
    cloudwatch, former = account.client("cloudwatch"), f"{STAGE.topic}-promote-errors"
    cloudwatch.put_metric_alarm(
        AlarmName=former,
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    assert f"- former alarm {former}\n    Other alarms replace it" in run().stdout
    set_up(account)
    assert cloudwatch.describe_alarms(AlarmNames=[former])["MetricAlarms"] == []


@pytest.mark.parametrize("policy", [POLICY, KEEPING], ids=["keeps forever", "keeps 400 days"])
def test_an_empty_account_is_made_ready_once(account: Account, policy: Any) -> None:
    done = set_up(account, policy)
    assert done[0] == "bucket backups1"
    assert "backups2: keep every version" in done
    assert left(account, policy) == []


def test_settings_of_functions_wait_for_the_deployment(
    account: Account, ready: None, cloud: Any, project: Path, packages: Path
) -> None:
    plan = make_plan(account, settings(account), lock_named=False)
    assert {requirement.resource for requirement in plan.waiting} == {
        "immutable-backups-dev-promote",
        "immutable-backups-dev-sweep",
        "immutable-backups-dev-audit",
        "immutable-backups-dev-alerts-waiting",
        "immutable-backups-dev-alerts-no-audit",
    }
    cloud.deploy(project_dir=project, packages=packages)  # which ends with another setup
    plan = make_plan(account, settings(account), lock_named=False)
    assert plan.changes == ()
    waiting = {requirement.resource for requirement in plan.waiting}
    assert waiting <= {"immutable-backups-dev-alerts-no-audit"}
    functions, promote = account.client("lambda"), "immutable-backups-dev-promote"
    given_up_soon = {
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 60,
    }
    functions.put_function_event_invoke_config(FunctionName=promote, **given_up_soon)
    assert set_up(account) == [RETRIED]
    for outcome in ("OnFailure", "OnSuccess"):
        functions.put_function_event_invoke_config(
            FunctionName=promote,
            DestinationConfig={outcome: {"Destination": topic_of(account)}},
        )
        assert set_up(account) == [RETRIED]
    functions.put_function_recursion_config(FunctionName=promote, RecursiveLoop="Allow")
    assert set_up(account) == ["promote: stop recursive loops"]
    assert left(account) == []


def test_alarms_that_were_silenced_are_found(account: Account, ready: None) -> None:
    name = f"{STAGE.topic}-contested"
    account.client("cloudwatch").disable_alarm_actions(AlarmNames=[name])
    assert set_up(account) == ["alarm on contested uploads"]
    assert left(account) == []


@pytest.mark.parametrize(
    "weaken",
    [
        pytest.param({"TreatMissingData": "notBreaching"}, id="a dead sweep would be silent"),
        pytest.param({"OKActions": []}, id="nobody would hear that it is over"),
        pytest.param({"Threshold": 1e9}, id="it would never ring"),
        pytest.param(
            {"Metrics": "FILL(oldest, 0)"}, id="a dead sweep would look as if all is well"
        ),
    ],
)
def test_an_alarm_that_was_changed_is_found(account: Account, weaken: dict[str, Any]) -> None:
    [alarm] = [
        setting for setting in settings(account) if setting.resource.endswith("-alerts-waiting")
    ]
    resources.write(account, alarm)
    assert resources.read(account, alarm).value == alarm.desired
    if "Metrics" in weaken:
        source, filled = alarm.desired["Metrics"]
        weaken = {"Metrics": [source, {**filled, "Expression": weaken["Metrics"]}]}
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=alarm.resource, **{**alarm.desired, **weaken}
    )
    assert resources.read(account, alarm).value != alarm.desired


def test_members_that_cloudwatch_adds_to_an_alarm_are_no_difference(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    [alarm] = [
        setting for setting in settings(account) if setting.resource.endswith("-alerts-waiting")
    ]
    resources.write(account, alarm)
    cloudwatch = account.client("cloudwatch")
    answer = cloudwatch.describe_alarms(AlarmNames=[alarm.resource])
    for query in answer["MetricAlarms"][0]["Metrics"]:
        query["AccountId"] = "123456789012"
    monkeypatch.setattr(cloudwatch, "describe_alarms", lambda **_: answer)
    assert resources.read(account, alarm).value == alarm.desired


def test_chosen_limits_of_incoming_are_written_down_and_kept(
    account: Account, own_project: Path
) -> None:
    run("--apply", "--yes", "--alarm-versions", "50")
    # An omitted option keeps its value; config.json holds the choices.
    assert "Alarms go off at 1,024.00 GB and at 50 versions." in run().stderr
    run("--apply", "--yes", "--alarm-bytes", str(1024**3))
    stage = json.loads((own_project / CONFIG).read_text())["stages"]["dev"]
    assert stage["incoming_alarm"] == {"bytes": 1024**3, "versions": 50}
    again = run("--apply", "--yes")
    assert again.stdout.endswith("everything is as it should be.\n")
    assert "Alarms go off at 1.00 GB and at 50 versions." in again.stderr
    thresholds = {
        alarm["AlarmName"].rsplit("-", 1)[1]: alarm["Threshold"]
        for alarm in account.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if "-incoming-" in alarm["AlarmName"]
    }
    assert thresholds == {"bytes": 1024.0**3, "versions": 50.0, "size": 1024.0**3}


def test_subscribers_are_recorded_and_subscribed_again(account: Account, own_project: Path) -> None:
    run("--apply", "--yes", "--alert-email", "me@example.org")
    run("--apply", "--yes", "--alert-email", "you@example.org")
    path = own_project / CONFIG
    config = json.loads(path.read_text())
    assert config["stages"]["dev"]["alert_subscribers"] == ["me@example.org", "you@example.org"]
    # A URL is subscribed in another way, and here only recorded.
    config["stages"]["dev"]["alert_subscribers"].append("https://example.org/alerts")
    path.write_text(json.dumps(config, indent=2) + "\n")
    sns = account.client("sns")
    mine, yours = sns.list_subscriptions()["Subscriptions"]
    assert (mine["Endpoint"], yours["Endpoint"]) == ("me@example.org", "you@example.org")
    sns.unsubscribe(SubscriptionArn=mine["SubscriptionArn"])
    assert "+ subscription of me@example.org to the alerts" in run("--apply", "--yes").stdout
    assert "everything is as it should be" in run().stdout
    assert len(sns.list_subscriptions()["Subscriptions"]) == 2


def test_the_topic_of_an_earlier_version_gets_its_policy(account: Account) -> None:
    """By default, SNS lets everyone in the account do anything with a new topic."""
    run("--apply", "--yes")
    sns, topic = account.client("sns"), STAGE.topic_arn(account="123456789012", region="us-east-1")

    def policy() -> Any:
        return json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])

    [ours] = policy()["Statement"]
    assert ours["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    sns.delete_topic(TopicArn=topic)
    sns.create_topic(Name=STAGE.topic)
    assert policy()["Statement"] != [ours]
    assert f"~ topic {STAGE.topic} for alerts" in run("--apply", "--yes").stdout
    assert policy()["Statement"] == [ours]
    assert "everything is as it should be" in run().stdout


@pytest.mark.parametrize("before", ["Suspended", None], ids=["suspended", "never had versions"])
def test_incoming_keeps_versions_from_the_setup_on(account: Account, before: str | None) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="backups1")
    if before:
        s3.put_bucket_versioning(Bucket="backups1", VersioningConfiguration={"Status": before})
    output = run("--apply", "--yes").stdout
    assert "+ backups1: keep every version" in output or "~ backups1: keep every version" in output
    assert "S3 may need 15 minutes" in output
    assert "A flood of uploads is kept" in output
    assert s3.get_bucket_versioning(Bucket="backups1")["Status"] == "Enabled"
    assert "keep every version of an upload" not in run().stdout


def test_the_cost_of_versions_is_bounded(account: Account) -> None:
    result = run()
    # Nine days as the newest version of its key, and nine more after it was superseded.
    assert "other uploads 9 days after they were made" in result.stdout
    assert "it is 18 days at most" in result.stdout
    assert "for up to 18 days, without a limit on their number: 1,024 GB of them cost $14.13" in (
        result.stderr
    )


def test_the_next_run_completes_one_that_was_interrupted_at_any_step(account: Account) -> None:
    before = left(account)
    while before:
        plan = make_plan(account, settings(account), lock_named=False)
        running = execute(account, plan)
        next(running)
        next(running, None)  # the generator applies a change when the next one is requested
        running.close()
        after = left(account)
        assert set(after) < set(before)
        before = after
    assert left(account) == []


def test_the_next_run_needs_no_flag_after_an_interruption_after_the_buckets(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.cli, "read_policy", lambda: KEEPING)
    plan = make_plan(account, settings(account, KEEPING), lock_named=False)
    for change in execute(account, plan):
        if change.requirement.kind is Kind.LIFECYCLE:
            break
    assert run("--apply", "--yes").exit_code == 0
    assert left(account, KEEPING) == ["subscription of admin@example.org to the alerts"]


WIDE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
WEAKENED = {
    Kind.PUBLIC_ACCESS: lambda s3, bucket: s3.delete_public_access_block(Bucket=bucket),
    Kind.OWNERSHIP: lambda s3, bucket: s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    ),
    Kind.ENCRYPTION: lambda s3, bucket: s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    ),
    Kind.LIFECYCLE: lambda s3, bucket: s3.delete_bucket_lifecycle(Bucket=bucket),
    Kind.BUCKET_POLICY: lambda s3, bucket: s3.delete_bucket_policy(Bucket=bucket),
}


@pytest.mark.parametrize("bucket", ["backups1", "backups2"])
@pytest.mark.parametrize("kind", WEAKENED)
def test_every_weakening_is_found_and_fixed(
    account: Account, ready: None, kind: Kind, bucket: str
) -> None:
    s3 = account.client("s3")
    with nullcontext() if kind is Kind.BUCKET_POLICY else past_the_door(s3, bucket):
        WEAKENED[kind](s3, bucket)
    plan = make_plan(account, settings(account), lock_named=False)
    assert [(change.requirement.kind, change.requirement.resource) for change in plan.changes] == [
        (kind, bucket)
    ]
    set_up(account)
    assert left(account) == []


@pytest.mark.parametrize("time", [{}, {"Mode": "GOVERNANCE", "Days": 30}], ids=["alone", "both"])
def test_a_default_event_hold_is_replaced_and_reported(
    account: Account, ready: None, monkeypatch: pytest.MonkeyPatch, time: dict[str, Any]
) -> None:
    """moto does not support it."""
    default = {**time, "DefaultEventHold": {"Years": 1}}
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}
    answer = {"ObjectLockConfiguration": rule}
    s3 = account.client("s3")
    monkeypatch.setattr(s3, "get_object_lock_configuration", lambda **_: answer)
    output = run().stdout
    assert "~ backups2: lock stored objects for 30 days (governance)" in output
    assert '"event_hold": {"Years": 1}}' in output


def test_a_shortened_lock_is_found(account: Account, ready: None) -> None:
    [lock] = [
        requirement for requirement in settings(account) if requirement.kind is Kind.OBJECT_LOCK
    ]
    with past_the_door(account.client("s3")):
        resources.write(account, replace(lock, desired={"mode": "GOVERNANCE", "days": 1}))
    assert left(account) == ["backups2: lock stored objects for 30 days (governance)"]


def test_a_stricter_lock_is_kept_unless_another_is_chosen(account: Account) -> None:
    set_up(account, options=SetupOptions(lock=Lock(mode="COMPLIANCE", days=365)))
    assert left(account, options=SetupOptions()) == []
    plan = make_plan(account, settings(account, options=SetupOptions()), lock_named=True)
    assert [change.requirement.kind for change in plan.changes] == [Kind.OBJECT_LOCK]


def test_a_widened_server_policy_is_found(account: Account, ready: None) -> None:
    account.client("iam").put_user_policy(
        UserName="immutable-backups-dev-server",
        PolicyName="uploads",
        PolicyDocument=json.dumps(WIDE),
    )
    assert left(account) == [
        "user immutable-backups-dev-server: upload its own keys and do nothing else"
    ]


def test_existing_buckets_are_adopted_with_what_is_in_them(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="backups1")
    s3.put_bucket_versioning(Bucket="backups1", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="backups1", Key="there", Body=b"before")
    set_up(account)
    assert s3.get_object(Bucket="backups1", Key="there")["Body"].read() == b"before"
    assert s3.get_bucket_versioning(Bucket="backups1")["Status"] == "Enabled"


def test_additions_of_others_are_kept_and_listed(account: Account, ready: None) -> None:
    s3 = account.client("s3")
    rule = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 9},
    }
    rules = s3.get_bucket_lifecycle_configuration(Bucket="backups1")["Rules"]
    s3.put_bucket_lifecycle_configuration(
        Bucket="backups1", LifecycleConfiguration={"Rules": [rules[0], rule]}
    )
    policy = json.loads(s3.get_bucket_policy(Bucket="backups1")["Policy"])
    theirs = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObjectAcl",
        "Resource": "arn:aws:s3:::backups1/*",
    }
    policy["Statement"] = [theirs]
    s3.put_bucket_policy(Bucket="backups1", Policy=json.dumps(policy))

    output = run().stdout
    assert "backups1: lifecycle rule theirs was added by somebody else and is kept" in output
    assert "backups1: policy statement Theirs was added by somebody else and is kept" in output
    set_up(account)
    kept = s3.get_bucket_lifecycle_configuration(Bucket="backups1")["Rules"]
    assert "theirs" in {rule["ID"] for rule in kept}
    statements = json.loads(s3.get_bucket_policy(Bucket="backups1")["Policy"])["Statement"]
    assert theirs in statements
    assert left(account) == []


@pytest.mark.parametrize("bucket", ["backups1", "backups2"])
@pytest.mark.parametrize(
    "second",
    [
        pytest.param({}, id="the same again"),
        pytest.param({"Action": "s3:GetObjectAcl"}, id="weaker, behind ours"),
    ],
)
def test_a_second_statement_with_our_sid_is_removed(
    account: Account, ready: None, bucket: str, second: dict[str, str]
) -> None:
    s3 = account.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    before = list(policy["Statement"])
    theirs = {**before[0], "Sid": "Theirs"}
    policy["Statement"] += [{**before[0], **second}, theirs]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    [change] = make_plan(account, settings(account), lock_named=False).changes
    assert (change.requirement.kind, change.requirement.resource) == (Kind.BUCKET_POLICY, bucket)
    set_up(account)
    after = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert after == [*before, theirs]
    assert left(account) == []


@pytest.mark.parametrize(
    ("statement", "other", "are_alike"),
    [
        pytest.param({"Action": ["s3:*"]}, {"Action": "s3:*"}, True, id="a list of one"),
        pytest.param({"Action": ["a", "b"]}, {"Action": ["b", "a"]}, True, id="another order"),
        pytest.param({"Action": ["a", "b"]}, {"Action": "a"}, False, id="one fewer"),
        pytest.param({"Action": "a"}, {"NotAction": "a"}, False, id="the opposite"),
        pytest.param(
            {"Principal": {"AWS": ["x"]}}, {"Principal": {"AWS": "x"}}, True, id="a principal"
        ),
        pytest.param({"Principal": "*"}, {"Principal": {"AWS": "x"}}, False, id="another one"),
        pytest.param(
            {"Condition": {"Bool": {"k": [True]}}},
            {"Condition": {"Bool": {"k": "true"}}},
            True,
            id="a boolean",
        ),
        pytest.param(
            {"Condition": {"Bool": {"k": "true"}}},
            {"Condition": {"BoolIfExists": {"k": "true"}}},
            False,
            id="another operator",
        ),
        pytest.param({}, {"Condition": {"Bool": {"k": "true"}}}, False, id="a condition more"),
    ],
)
def test_statements_are_equal_in_any_spelling(
    statement: dict[str, Any], other: dict[str, Any], *, are_alike: bool
) -> None:
    assert (canonical(statement) == canonical(other)) is are_alike


def test_older_lifecycle_rules_are_kept_beside_ours(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="backups1")
    old = {"ID": "theirs", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 9}}
    s3.put_bucket_lifecycle_configuration(
        Bucket="backups1", LifecycleConfiguration={"Rules": [old]}
    )
    set_up(account)
    rules = s3.get_bucket_lifecycle_configuration(Bucket="backups1")["Rules"]
    [kept] = [rule for rule in rules if rule["ID"] == "theirs"]
    assert kept["Filter"] == {"Prefix": "logs/"}
    assert kept["Expiration"] == {"Days": 9}
    assert left(account) == []


def test_a_shorter_retention_is_announced_and_needs_a_flag(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="backups2", ObjectLockEnabledForBucket=True)
    vault = s3_backends["123456789012"]["aws"].buckets["backups2"]
    for number in range(3):
        s3.put_object(Bucket="backups2", Key=f"{number}", Body=b"x")
        vault.keys[f"{number}"].last_modified = datetime.now(UTC).replace(tzinfo=None) - (
            timedelta(days=399 + number, hours=1)
        )
    set_up(account)
    monkeypatch.setattr(admin.cli, "read_policy", lambda: KEEPING)

    assert "--apply would be refused" in run().stderr
    confirmed = run("--allow-shorter")
    assert "and 1 version (1 byte) later" in confirmed.stdout
    assert "\n!" not in confirmed.stdout
    assert "add --apply" in confirmed.stderr
    result = run("--apply", "--yes", "--alert-email", "admin@example.org")
    assert result.exit_code == 2
    assert (
        "backups2: the new lifecycle rules would expire 2 versions (2 bytes) at once, and 1 "
        in (result.stdout)
    )
    assert "add --allow-shorter" in result.stderr
    assert left(account, KEEPING) != []

    assert run("--apply", "--yes", "--allow-shorter").exit_code == 0
    assert left(account, KEEPING) == []
    # A longer retention needs no flag.
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(KEEPING, keep_days=500))
    assert run("--apply", "--yes").exit_code == 0


def test_the_archive_s_price_and_wait_are_explained(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = replace(POLICY, archive=Archive(after_days=90, to="DEEP_ARCHIVE"))
    monkeypatch.setattr(admin.cli, "read_policy", lambda: frozen)
    output = run().stdout
    assert "After 90 days backups move to DEEP_ARCHIVE (read 12 to 48 hours" in output
    assert "at least 180 days there. S3 moves no backup below 128 KB." in output


def test_without_apply_nothing_is_changed(account: Account) -> None:
    result = run()
    assert result.exit_code == 0
    assert "+ bucket backups1" in result.stdout
    assert "add --apply to make these changes" in result.stderr
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_one_question_is_asked(account: Account) -> None:
    assert run("--apply", typed="n\n").exit_code == 2
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert run("--apply", typed="y\n").exit_code == 0
    result = run("--apply")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        0,
        "Nothing to do: everything is as it should be.",
    )


def test_compliance_always_asks_for_the_bucket_s_name(account: Account) -> None:
    arguments = ("--apply", "--yes", "--lock", "compliance", "--lock-days", "7")
    result = run(*arguments, typed="backups1\n")
    assert result.exit_code == 2
    assert "cannot be undone" in result.stderr
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert run(*arguments, typed="backups2\n").exit_code == 0
    assert run(*arguments).stdout.endswith("everything is as it should be.\n")


def test_the_lock_can_be_left_out(account: Account) -> None:
    assert run("--apply", "--yes", "--lock", "none").exit_code == 0
    assert run("--lock", "none", "--lock-days", "3").exit_code == 2
    answer = account.client("s3").get_object_lock_configuration(Bucket="backups2")
    assert "Rule" not in answer["ObjectLockConfiguration"]


def lock_of(account: Account) -> Any:
    answer = account.client("s3").get_object_lock_configuration(Bucket="backups2")
    rule = answer["ObjectLockConfiguration"].get("Rule")
    return rule and (rule["DefaultRetention"]["Mode"], rule["DefaultRetention"]["Days"])


def written(project: Path) -> Any:
    return json.loads((project / CONFIG).read_text())["stages"]["dev"]["vault_lock"]


def test_the_lock_that_was_chosen_is_written_down_and_kept(
    account: Account, own_project: Path
) -> None:
    shown = run("--lock-days", "7").stdout.splitlines()
    assert [line.split() for line in shown if '"days"' in line] == [
        ["-", '"days":', "30"],
        ["+", '"days":', "7"],
    ]
    assert written(own_project) == {"mode": "GOVERNANCE", "days": 30}
    run("--apply", "--yes", "--lock-days", "7")
    assert written(own_project) == {"mode": "GOVERNANCE", "days": 7}
    assert run("--apply", "--yes").stdout.endswith("everything is as it should be.\n")
    assert lock_of(account) == ("GOVERNANCE", 7)

    # An omitted option keeps its value.
    run("--apply", "--lock", "compliance", typed="backups2\ny\n")
    assert written(own_project) == {"mode": "COMPLIANCE", "days": 7}
    assert lock_of(account) == ("COMPLIANCE", 7)


def test_a_lock_weaker_than_the_chosen_lock_is_found(account: Account) -> None:
    run("--apply", "--yes", "--lock-days", "90")
    s3 = account.client("s3")
    with past_the_door(s3):
        s3.put_object_lock_configuration(
            Bucket="backups2",
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}},
            },
        )
    assert "lock stored objects for 90 days" in run().stdout


def test_the_owners_of_the_buckets_are_recorded(account: Account, own_project: Path) -> None:
    path = own_project / CONFIG
    lines = path.read_text().splitlines()
    # As a Windows editor writes it.
    path.write_bytes("\r\n".join(line for line in lines if "_OWNER" not in line).encode())
    assert '+        "VAULT_OWNER": "123456789012"' in run("--apply", "--yes").stdout
    stage = json.loads(path.read_text())["stages"]["dev"]
    owners = [stage["environment_variables"][f"{name}_OWNER"] for name in ("INCOMING", "VAULT")]
    assert owners == [account.id, account.id]
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") == len(lines) - 1
    assert run("--apply", "--yes").stdout.endswith("everything is as it should be.\n")


def test_credentials_of_another_account_are_refused(account: Account, own_project: Path) -> None:
    path = own_project / CONFIG
    path.write_text(path.read_text().replace('"INCOMING_OWNER": "1234', '"INCOMING_OWNER": "9234'))
    result = run("--apply", "--yes")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: stage dev is in account 923456789012 (INCOMING_OWNER), but your credentials are "
        "for account 123456789012; pass a profile of the stage's account with --profile\n"
    )
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_the_choice_of_no_lock_is_written_down(account: Account, own_project: Path) -> None:
    run("--apply", "--yes", "--lock", "none")
    assert written(own_project) == "none"
    assert run("--apply", "--yes").stdout.endswith("everything is as it should be.\n")
    assert lock_of(account) is None


@pytest.mark.parametrize(
    ("code", "operation", "sentence"),
    [
        pytest.param("ExpiredToken", "HeadBucket", "expired; sign in again", id="expired"),
        pytest.param("InvalidClientTokenId", "X", "not recognize your credentials", id="unknown"),
        pytest.param("AccessDenied", "PutBucketPolicy", "PutBucketPolicy is denied", id="denied"),
        pytest.param(
            "LimitExceeded", "CreateUser", "CreateUser would exceed a quota", id="no more users"
        ),
        pytest.param(
            "TooManyBuckets",
            "CreateBucket",
            "ask AWS for a higher quota (Service Quotas)",
            id="or buckets",
        ),
        pytest.param("Throttling", "X", "X returned Throttling", id="anything else"),
    ],
)
def test_an_error_of_aws_is_one_sentence_and_status_3(
    monkeypatch: pytest.MonkeyPatch, code: str, operation: str, sentence: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        error = {"Error": {"Code": code, "Message": "no"}}
        raise admin.account.ClientError(error, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(admin.cli, "open_account", refuse)
    result = run()
    assert result.exit_code == 3
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_crash_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(admin.cli, "open_account", crash)
    result = run()
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == "ZeroDivisionError"


def test_an_endpoint_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = admin.account.local_account("http://127.0.0.1:1")
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: nowhere)
    result = run()
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: No local cloud listens at ")


def test_a_bucket_of_somebody_else_is_one_sentence(
    account: Account, cloud: Any, project: Path
) -> None:
    cloud.prepare(project_dir=project)
    stranger = replace(account, session=cloud_session(cloud))
    bucket = settings(account)[0]
    with pytest.raises(admin.account.AccountError, match="belongs to somebody else"):
        resources.read(stranger, bucket)


def cloud_session(cloud: Any) -> Any:
    server = cloud.server_credentials
    return admin.account.boto3.Session(
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        region_name="us-east-1",
    )


def test_the_lifecycle_never_expires_anything_unless_the_policy_says_so() -> None:
    assert not any(
        "Expiration" in rule or "Transitions" in rule
        for rule in vault_lifecycle(POLICY)
        if rule["Filter"] != REHEARSALS
    )
    actions = {rule["ID"]: rule for rule in vault_lifecycle(KEEPING)}
    assert actions["immutable-backups-expire"]["Expiration"] == {"Days": 400}
    assert actions["immutable-backups-expire-versions"]["NoncurrentVersionExpiration"] == {
        "NoncurrentDays": 1
    }
    assert actions["immutable-backups-expire-markers"]["Expiration"] == {
        "ExpiredObjectDeleteMarker": True
    }
    assert actions["immutable-backups-archive"]["Transitions"] == [
        {"Days": 30, "StorageClass": "GLACIER_IR"}
    ]


@pytest.mark.parametrize(
    ("runs", "is_suggested"),
    [
        pytest.param(10, False, id="a new account, where Lambda would refuse"),
        pytest.param(109, False, id="one too few"),
        pytest.param(110, True, id="just enough"),
        pytest.param(1000, True, id="an ordinary account"),
    ],
)
def test_a_reserved_concurrency_is_suggested_if_the_account_allows_it(
    own_project: Path, runs: int, *, is_suggested: bool
) -> None:
    with running(concurrency=runs) as cloud:
        account = admin.account.local_account(cloud.endpoint)
        stage = replace(STAGE, project=own_project)
        target = Target(account=account, stage=stage, policy=POLICY)
        assert bool(suggestion(target)) is is_suggested


def test_the_reserved_concurrency_is_only_suggested_until_it_is_set(
    monkeypatch: pytest.MonkeyPatch, own_project: Path
) -> None:
    suggested = '"reserved_concurrency": 10 under lambda_functions.promote of stage dev'
    with running(concurrency=1000) as cloud:
        account = admin.account.local_account(cloud.endpoint)
        monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
        assert suggested in run("--apply", "--yes").stderr
        again = run()
        assert suggested in again.stderr
        assert again.stdout.endswith("everything is as it should be.\n")

        config = json.loads((own_project / CONFIG).read_text())
        config["stages"]["dev"]["lambda_functions"]["promote"]["reserved_concurrency"] = 10
        (own_project / CONFIG).write_text(json.dumps(config))
        assert suggested not in run().stderr


def test_without_access_to_the_account_s_limits_nothing_is_suggested(
    account: Account, own_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        raise admin.account.ClientError(error, "GetAccountSettings")  # type: ignore[arg-type]

    monkeypatch.setattr(account.client("lambda"), "get_account_settings", refuse)
    target = Target(account=account, stage=replace(STAGE, project=own_project), policy=POLICY)
    assert suggestion(target) is None


@pytest.mark.parametrize("policy", [POLICY, KEEPING], ids=["keeps forever", "keeps 400 days"])
def test_drill_objects_expire_once_no_upload_can_claim_their_slots(policy: Any) -> None:
    rules = [rule for rule in vault_lifecycle(policy) if rule["Filter"] == {"Prefix": "drill/"}]
    days, versions, markers = rules
    assert timedelta(days=days["Expiration"]["Days"]) > policy.accept_within
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert markers["Expiration"] == {"ExpiredObjectDeleteMarker": True}


@pytest.mark.parametrize("hours", [12, 24, 168, 169])
def test_an_upload_that_can_be_promoted_is_never_expired(hours: int, account: Account) -> None:
    policy = replace(POLICY, accept_within=timedelta(hours=hours))
    [lifecycle] = [
        requirement
        for requirement in settings(account, policy)
        if (requirement.kind, requirement.resource) == (Kind.LIFECYCLE, "backups1")
    ]
    unfinished, forgotten, superseded, markers = lifecycle.desired
    days = forgotten["Expiration"]["Days"]
    assert timedelta(days=days - 2) >= policy.accept_within
    assert superseded["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
    assert markers["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    # A multipart upload is dated when it was initiated: it is kept while it could still be
    # accepted.
    assert unfinished["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": days - 2}
