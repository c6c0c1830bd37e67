"""Weakens each protection in turn: `check` finds it, names it, and its fix repairs it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

import admin.cli
from admin.account import Account
from admin.check.people.identities import Identities
from admin.check.people.rights import Policy, denials_for, grants, in_account
from admin.check.report import Finding, Report
from admin.check.settings import check
from admin.desired.door import opened_to
from admin.desired.requirement import Kind, Requirement
from admin.setup import resources
from admin.setup.plan import requirements_of
from admin.target import Target
from chalicelib.lock import Lock
from tests.support.deployed_stage import HARMLESS, NO_BACKUPS, DeployedStage, Table, table_of
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY

FUNCTION = "immutable-backups-dev-promote"
SWEEP = "immutable-backups-dev-sweep"
USER = "immutable-backups-dev-server"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def test_a_fresh_deployment_has_no_findings(living: DeployedStage) -> None:
    result = living.check()
    assert result.exit_code == 0, result.output
    assert "Nobody can change or delete a backup stored in backups2" in result.stdout
    assert "can add at most 26 objects a day" in result.stdout


WEAKENED: Table = {}
weakened = table_of(WEAKENED)


def target_of(living: DeployedStage) -> Target:
    return Target(account=living.account, stage=living.stage, policy=POLICY)


def settings_of(living: DeployedStage) -> list[Requirement]:
    return list(requirements_of(target_of(living)))


def lock_of(living: DeployedStage) -> Requirement:
    """The vault's default lock."""
    [lock] = [setting for setting in settings_of(living) if setting.kind is Kind.OBJECT_LOCK]
    return lock


def write_lock(living: DeployedStage, **desired: Any) -> None:
    with past_the_door(living.client("s3")):
        resources.write(living.account, replace(lock_of(living), desired=desired))


# Buckets


def weaken_bucket(living: DeployedStage, weaken: Callable[..., object], bucket: str) -> None:
    s3 = living.client("s3")
    with past_the_door(s3, bucket):
        weaken(s3, bucket)


for bucket in ("backups1", "backups2"):
    s3_changes: dict[str, tuple[Callable[..., object], str]] = {
        "public access": (
            lambda s3, bucket: s3.delete_public_access_block(Bucket=bucket),
            "block public access",
        ),
        "ownership": (
            lambda s3, bucket: s3.put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
            ),
            "should disable access control lists, but has ObjectWriter",
        ),
        "encryption": (
            lambda s3, bucket: s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
                },
            ),
            "should encrypt with S3's own keys, but has aws:kms",
        ),
        "lifecycle": (
            lambda s3, bucket: s3.delete_bucket_lifecycle(Bucket=bucket),
            "unfinished",
        ),
    }
    for change, (weaken, sentence) in s3_changes.items():
        WEAKENED[f"{change} of {bucket}"] = (
            lambda living, weaken=weaken, bucket=bucket: weaken_bucket(living, weaken, bucket),  # type: ignore[misc]
            sentence,
        )
    WEAKENED[f"policy of {bucket}"] = (
        lambda living, bucket=bucket: living.client("s3").delete_bucket_policy(Bucket=bucket),  # type: ignore[misc]
        "but does not",
    )


def without_statement(living: DeployedStage, bucket: str, sid: str) -> None:
    s3 = living.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"] = [
        statement for statement in policy["Statement"] if statement["Sid"] != sid
    ]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


for bucket, sids in {
    "backups1": ("OnlyTls", "OnlyStandard", "NoKeysOfCustomers", "NoKmsKeys"),
    "backups2": (
        "OnlyTls",
        "NothingStoredIsChanged",
        "OnlyThePromoterAdds",
        "OneDoor",
        "OnlyWhatIsNew",
    ),
}.items():
    for sid in sids:
        WEAKENED[f"{bucket} without {sid}"] = (
            lambda living, bucket=bucket, sid=sid: without_statement(living, bucket, sid),  # type: ignore[misc]
            f"{sid} is missing",
        )


@weakened("but it is open to AIDALOCALADMINISTRATOR, who can change every setting: OneDoor is")
def _the_door_left_open(living: DeployedStage) -> None:
    [policy] = [
        setting
        for setting in settings_of(living)
        if (setting.kind, setting.resource) == (Kind.BUCKET_POLICY, "backups2")
    ]
    opened = opened_to("AIDALOCALADMINISTRATOR", policy.desired)
    resources.write(living.account, replace(policy, desired=opened))


@weakened("backups2 should keep every version, but has Suspended")
def _versioning_suspended(living: DeployedStage) -> None:
    # S3 rejects this while Object Lock is on, but a vault need not have Object Lock.
    bucket = s3_backends["123456789012"]["aws"].buckets["backups2"]
    bucket.versioning_status = "Suspended"


@weakened("backups2 should lock stored objects for 30 days (governance), but locks them for 1 day")
def _the_lock_shortened(living: DeployedStage) -> None:
    write_lock(living, mode="GOVERNANCE", days=1)


@weakened("should lock stored objects for 30 days (governance), but does not")
def _the_lock_removed(living: DeployedStage) -> None:
    s3 = living.client("s3")
    with past_the_door(s3):
        s3.put_object_lock_configuration(
            Bucket="backups2", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        )


def other_rule(
    living: DeployedStage, rule: dict[str, Any], *, name: str | None = "tidy up"
) -> None:
    s3 = living.client("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket="backups2")["Rules"]
    named = {"ID": name} if name else {}
    added = {**named, "Status": "Enabled", "Filter": {"Prefix": ""}, **rule}
    with past_the_door(s3):
        s3.put_bucket_lifecycle_configuration(
            Bucket="backups2", LifecycleConfiguration={"Rules": [*rules, added]}
        )


@weakened("The lifecycle rule tidy up of backups2 moves or expires objects")
def _somebody_else_s_archive(living: DeployedStage) -> None:
    other_rule(living, {"Transitions": [{"Days": 0, "StorageClass": "DEEP_ARCHIVE"}]})


@weakened("The lifecycle rule without a name")
def _somebody_else_s_expiry_on_a_date(living: DeployedStage) -> None:
    date = datetime(2027, 1, 1, tzinfo=UTC)
    other_rule(living, {"Expiration": {"Date": date}}, name=None)


@weakened("The lifecycle rule tidy up of backups2 moves or expires objects")
def _somebody_else_s_expiry(living: DeployedStage) -> None:
    other_rule(living, {"Expiration": {"Days": 1}})


@weakened("The lifecycle rule tidy up of backups2 moves or expires objects")
def _somebody_else_s_expiry_of_versions(living: DeployedStage) -> None:
    other_rule(living, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}})


def other_statement(living: DeployedStage, bucket: str, **statement: Any) -> None:
    s3 = living.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"].append({**statement, "Resource": f"arn:aws:s3:::{bucket}/*"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


PARTNER = {"AWS": "arn:aws:iam::210987654321:root"}


@weakened("The bucket policy of backups2 has a statement that backups setup did not write: ")
def _somebody_else_s_access(living: DeployedStage) -> None:
    allowed = {"Effect": "Allow", "Principal": PARTNER, "Action": "s3:GetObject"}
    other_statement(living, "backups2", Sid="Partner", **allowed)


@weakened("The bucket policy of backups1 has a statement that backups setup did not write: ")
def _somebody_else_s_uploads(living: DeployedStage) -> None:
    allowed = {"Effect": "Allow", "Principal": PARTNER, "Action": "s3:PutObject"}
    other_statement(living, "backups1", Sid="Partner", **allowed)


@weakened("The bucket policy of backups2 has a statement that backups setup did not write: ")
def _everybody_locked_out(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    other_statement(living, "backups2", Sid="Ransom", **denied)


# Servers and alerts


@weakened(f"{USER} should upload its own keys and do nothing else, but does not")
def _a_server_without_its_policy(living: DeployedStage) -> None:
    living.client("iam").delete_user_policy(UserName=USER, PolicyName="uploads")


@weakened(f"{USER} should upload its own keys and do nothing else, but Statement is")
def _a_server_s_policy_widened(living: DeployedStage) -> None:
    wide = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::backups2/*"}
    living.client("iam").put_user_policy(
        UserName=USER,
        PolicyName="uploads",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [wide]}),
    )


@weakened(f"The user {USER} has an additional IAM policy, more")
def _another_policy_of_a_server(living: DeployedStage) -> None:
    living.client("iam").put_user_policy(UserName=USER, PolicyName="more", PolicyDocument=HARMLESS)


@weakened(f"{USER} has an additional IAM policy, arn:aws:iam::123456789012:policy/for-users")
def _a_policy_attached_to_a_server(living: DeployedStage) -> None:
    iam = living.client("iam")
    made = iam.create_policy(PolicyName="for-users", PolicyDocument=HARMLESS)["Policy"]
    iam.attach_user_policy(UserName=USER, PolicyArn=made["Arn"])


@weakened(f"{USER} has the rights of the group everybody")
def _a_server_in_a_group(living: DeployedStage) -> None:
    iam = living.client("iam")
    iam.create_group(GroupName="everybody")
    iam.add_user_to_group(GroupName="everybody", UserName=USER)


@weakened(f"{USER} has an additional IAM policy, revoked")
def _a_revocation_that_allows(living: DeployedStage) -> None:
    living.client("iam").put_user_policy(
        UserName=USER, PolicyName="revoked", PolicyDocument=HARMLESS
    )


@weakened(f"{USER} has an additional IAM policy, no-power-over-the-backups")
def _a_denial_of_power_that_allows(living: DeployedStage) -> None:
    living.client("iam").put_user_policy(
        UserName=USER, PolicyName="no-power-over-the-backups", PolicyDocument=HARMLESS
    )


@weakened(f"{USER}-old belongs to no server in the policy and still has access")
def _a_server_that_left_the_policy(living: DeployedStage) -> None:
    living.client("iam").create_user(UserName=f"{USER}-old")


@weakened("Topic immutable-backups-dev-alerts for alerts is missing")
def _no_topic(living: DeployedStage) -> None:
    topic = target_of(living).topic_arn
    living.client("sns").delete_topic(TopicArn=topic)


for name, sentence in {
    "contested": "Alarm on contested uploads is missing",
    "rejected": "Alarm on rejected uploads is missing",
    "waiting": "Alarm on uploads that wait for an hour, or no sweep for 40 minutes",
    "errors": "Alarm on failures of promote",
    "promote-dropped": "Alarm on events of promote that Lambda drops",
    "settings": "Alarm on changed settings of the vault",
    "no-backup": "Alarm on servers without any backup for 26 hours",
    "sirens": "Alarm on changes to the vault or its monitoring",
    "incoming-versions": "Alarm on incoming holding 10,000 versions of uploads or more",
}.items():
    WEAKENED[f"no alarm {name}"] = (
        lambda living, name=name: living.client("cloudwatch").delete_alarms(  # type: ignore[misc]
            AlarmNames=[f"immutable-backups-dev-alerts-{name}"]
        ),
        sentence,
    )


@weakened("Alarm on contested uploads is not as it should be: AlarmActions is []")
def _an_alarm_that_tells_nobody(living: DeployedStage) -> None:
    [alarm] = [
        setting for setting in settings_of(living) if setting.resource.endswith("-contested")
    ]
    living.client("cloudwatch").put_metric_alarm(
        AlarmName=alarm.resource, **{**alarm.desired, "AlarmActions": []}
    )


@weakened("Promote should stop recursive loops, but has Allow")
def _a_loop_that_lambda_would_not_stop(living: DeployedStage) -> None:
    living.client("lambda").put_function_recursion_config(
        FunctionName=FUNCTION, RecursiveLoop="Allow"
    )


@weakened("backups1 should keep every version of an upload, but has Suspended")
def _an_upload_that_the_next_one_would_overwrite(living: DeployedStage) -> None:
    living.client("s3").put_bucket_versioning(
        Bucket="backups1", VersioningConfiguration={"Status": "Suspended"}
    )


@weakened("Sweep should retry failed events twice, but retries is 0")
def _a_pass_that_is_not_tried_again(living: DeployedStage) -> None:
    living.client("lambda").put_function_event_invoke_config(
        FunctionName=SWEEP, MaximumRetryAttempts=0
    )


@weakened("should retry failed events twice, but on_failure is arn:aws:sns")
def _a_destination_that_an_earlier_version_left(living: DeployedStage) -> None:
    topic = target_of(living).topic_arn
    living.client("lambda").put_function_event_invoke_config(
        FunctionName=FUNCTION, DestinationConfig={"OnFailure": {"Destination": topic}}
    )


# People


def someone(
    living: DeployedStage, name: str, action: str | list[str], resource: str = "*", **more: Any
) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    iam = living.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name,
        PolicyName="rights",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}),
    )


BUCKET = "arn:aws:s3:::backups2"


@weakened("User second is allowed s3:DeleteBucketPolicy on backups2")
def _somebody_can_with_a_second_factor(living: DeployedStage) -> None:
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    someone(living, "second", "s3:DeleteBucketPolicy", BUCKET, Condition=condition)


@weakened(
    "Role ci is allowed s3:PutBucketPolicy on backups2, and 1 more action that only "
    "administrators need"
)
def _a_role_can_change_the_policy(living: DeployedStage) -> None:
    iam = living.client("iam")
    iam.create_role(RoleName="ci", AssumeRolePolicyDocument=HARMLESS)
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*BucketPolicy", "Resource": BUCKET}],
    }
    iam.put_role_policy(RoleName="ci", PolicyName="x", PolicyDocument=json.dumps(document))


@weakened("User member is allowed s3:PutBucketPolicy on backups2")
def _a_group_can(living: DeployedStage) -> None:
    iam = living.client("iam")
    iam.create_group(GroupName="storage")
    statement = {"Effect": "Allow", "Action": "s3:PutBucketPolicy", "Resource": BUCKET}
    iam.put_group_policy(
        GroupName="storage",
        PolicyName="x",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    iam.create_user(UserName="member")
    iam.add_user_to_group(GroupName="storage", UserName="member")


# Each row proves the fix of the row before, so adjacent rows weaken different things.
ROWS = [name for first in range(10) for name in [*WEAKENED][first::10]]


@pytest.mark.parametrize("name", ROWS)
def test_every_weakening_is_found_and_fixed_by_its_own_command(
    living: DeployedStage, name: str
) -> None:
    weaken, sentence = WEAKENED[name]
    weaken(living)
    living.mend(living.remedy_of(sentence))


@pytest.mark.parametrize(
    ("action", "resource", "sentence"),
    [
        pytest.param("*", "*", "User chief is allowed s3:PutBucketPolicy on b", id="everything"),
        pytest.param(
            "iam:PutUserPolicy",
            "arn:aws:iam::*:user/${aws:username}",
            "chief (user) can add any right to itself, and so can change the bucket policy of b",
            id="by a way",
        ),
    ],
)
def test_an_administrator_must_be_known(
    living: DeployedStage, action: str, resource: str, sentence: str
) -> None:
    someone(living, "chief", action, resource)
    arn = "arn:aws:iam::123456789012:user/chief"
    try:
        [finding] = look(living).findings
        assert finding.what.startswith(sentence)
        assert f"add {arn} to the list" in finding.why
        for listed in (arn, "arn:aws:iam::123456789012:user/ch*"):
            known = replace(living.stage, administrators=(listed,))
            assert look(living, stage=known) == Report(
                backups=NO_BACKUPS, administrators=["user chief"]
            )
    finally:
        living.client("iam").delete_user_policy(UserName="chief", PolicyName="rights")
        living.client("iam").delete_user(UserName="chief")


def test_anyone_who_can_become_an_administrator_must_be_known(living: DeployedStage) -> None:
    iam = living.client("iam")
    trust = {"Effect": "Allow", "Principal": PARTNER, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="admin",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    iam.put_role_policy(RoleName="admin", PolicyName="x", PolicyDocument=json.dumps(EVERYTHING))
    arn = "arn:aws:iam::123456789012:role/admin"
    known = replace(living.stage, administrators=(arn,))
    try:
        [finding] = look(living, stage=known).findings
        assert finding.what == (
            "Anyone in account 210987654321 can assume admin (role), which can change the bucket "
            "policy of backups2"
        )
        known = replace(known, administrators=(arn, "arn:aws:iam::210987654321:root"))
        assert look(living, stage=known) == Report(
            backups=NO_BACKUPS,
            administrators=["role admin", "anyone in account 210987654321"],
        )
    finally:
        iam.delete_role_policy(RoleName="admin", PolicyName="x")


@pytest.mark.parametrize(
    "action", ["iam:CreateAccessKey", "iam:UpdateLoginProfile", "iam:Get*", "iam:ChangePassword"]
)
def test_managing_ones_own_keys_makes_no_administrator(living: DeployedStage, action: str) -> None:
    someone(living, "anna", action, "arn:aws:iam::*:user/${aws:username}")
    try:
        assert look(living) == Report(backups=NO_BACKUPS)
    finally:
        living.client("iam").delete_user_policy(UserName="anna", PolicyName="rights")
        living.client("iam").delete_user(UserName="anna")


def test_one_error_of_aws_hides_nothing_else(living: DeployedStage) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        error = {"Error": {"Code": "AuthorizationError", "Message": "no"}}
        raise ClientError(error, "GetTopicAttributes")  # type: ignore[arg-type]

    s3 = living.client("s3")
    with past_the_door(s3):
        s3.delete_public_access_block(Bucket="backups2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living.client("sns"), "get_topic_attributes", refuse)
        report = look(living)
    assert ["block public access" in finding.what for finding in report.findings] == [True]
    assert [
        "GetTopicAttributes returned AuthorizationError" in sentence
        for sentence in report.not_checked
    ] == [True, True]  # of the topics for alerts and for sirens
    living.mend(report.findings[0].remedy)


def test_expired_credentials_end_the_check(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "ExpiredToken"}}, "HeadBucket")  # type: ignore[arg-type]

    monkeypatch.setattr(living.client("s3"), "head_bucket", refuse)
    result = living.check()
    assert result.exit_code == 3
    assert "expired; sign in again" in result.stderr


def test_an_account_without_setup_lacks_its_buckets(living: DeployedStage) -> None:
    nowhere = replace(
        living.stage,
        settings=replace(living.stage.settings, incoming_bucket="nope1", vault_bucket="nope2"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin.cli, "read_stage", lambda name: nowhere)
        result = living.check()
    assert result.exit_code == 1
    assert "Bucket nope2 with Object Lock is missing" in result.stdout


def test_fixes_name_the_account_that_was_checked(living: DeployedStage) -> None:
    holder = Account(session=living.account.session, named={"profile": "vault"})
    account = Account(
        session=living.account.session,
        named={"profile": "work", "region": "eu-west-1"},
        other_accounts={"backups2": holder},
    )
    target = Target(account=account, stage=living.stage, policy=POLICY)
    where = "--profile work --region eu-west-1"
    vault = "--vault-profile vault"
    assert target.fix_setup() == f".venv/bin/backups setup --stage dev {where} --apply {vault}"
    assert target.fix_deploy() == f'make deploy STAGE=dev ARGS="{where} {vault}"'
    assert target.fix_drill() == f".venv/bin/backups drill --stage dev {where} {vault}"
    of_incoming = target.fix_aws("s3api", "delete-bucket-policy", bucket="backups1")
    assert of_incoming == f"aws s3api delete-bucket-policy --bucket backups1 {where}"
    of_vault = target.fix_aws("s3api", "delete-bucket-policy", bucket="backups2")
    assert of_vault == "aws s3api delete-bucket-policy --bucket backups2 --profile vault"
    assert target.fix_account(holder, "iam", "x") == "aws iam x --profile vault"


def test_anything_unreadable_is_listed_and_is_no_pass(living: DeployedStage) -> None:
    iam = living.client("iam")
    someone(living, "auditor", ["s3:Get*", "s3:List*", "sns:Get*", "cloudwatch:Describe*"])
    key = iam.create_access_key(UserName="auditor")["AccessKey"]
    session = boto3.Session(
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name="us-east-1",
    )
    everything, living.account = (
        living.account,
        Account(session=session, endpoint=living.cloud.endpoint),
    )
    try:
        report = look(living)
    finally:
        living.account = everything
    assert report.findings == []
    not_checked = " ".join(report.not_checked)
    for what in (
        f"user {USER} (upload its own keys",
        f"the function {FUNCTION}",
        "the server users",
        "who has rights on backups2",
    ):
        assert what in not_checked
    assert "backups2 (keep every version" not in not_checked
    assert "the alarms" not in not_checked


def test_alarms_that_cannot_be_read_are_listed_once(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "DescribeAlarms")  # type: ignore[arg-type]

    monkeypatch.setattr(living.client("cloudwatch"), "get_paginator", refuse)
    report = look(living)
    assert report.findings == []
    of_alarms = [sentence for sentence in report.not_checked if "DescribeAlarms" in sentence]
    assert [sentence.partition(":")[0] for sentence in of_alarms] == [
        "alarm on uploads that wait for an hour, or no sweep for 40 minutes",
        "alarm on no audit for 3 hours",
        "the alarms",
        "whether alarms are muted",
    ]


def look(living: DeployedStage, **changes: Any) -> Report:
    target = replace(target_of(living), **changes)
    return check(target, now=datetime.now(UTC), tell=lambda _: None)


def test_the_exit_status_separates_findings_from_failed_checks(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report(not_checked=["the sky"])
    monkeypatch.setattr("admin.check.command.check", lambda *_, **__: report)
    result = living.check()
    assert result.exit_code == 3
    assert "? Could not check the sky" in result.stdout
    report.findings.append(Finding(what="x", why="y", remedy="z"))
    assert living.check().exit_code == 1


def test_a_shorter_lock_by_choice_is_no_finding(living: DeployedStage) -> None:
    write_lock(living, mode="GOVERNANCE", days=7)
    try:
        assert living.check().exit_code == 1
        weeks = replace(living.stage, lock=Lock(mode="GOVERNANCE", days=7))
        sentences = [finding.what for finding in look(living, stage=weeks).findings]
        assert not any("lock stored objects" in sentence for sentence in sentences)
    finally:
        write_lock(living, mode="GOVERNANCE", days=30)


def test_files_of_an_earlier_policy_are_found(living: DeployedStage) -> None:
    more = replace(POLICY, servers=("web1",))
    sentences = [finding.what for finding in look(living, policy=more).findings]
    assert ".chalice/policy-dev-promote.json is out of date" in sentences


def test_a_topic_that_nobody_reads_is_found_in_every_stage_that_sends_mail(
    living: DeployedStage,
) -> None:
    nobody = "Nobody receives the alerts"
    assert not any(finding.what.startswith(nobody) for finding in look(living).findings)
    stage = replace(living.stage, name="prod")
    sns = living.client("sns")
    topic = sns.create_topic(Name=stage.topic)["TopicArn"]
    assert any(finding.what.startswith(nobody) for finding in look(living, stage=stage).findings)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="you@example.org")
    assert not any(
        finding.what.startswith(nobody) for finding in look(living, stage=stage).findings
    )
    sns.delete_topic(TopicArn=topic)


def test_a_missing_bucket_is_a_single_finding(living: DeployedStage) -> None:
    nowhere = replace(living.stage.settings, vault_bucket="backups3")
    sentences = [
        finding.what
        for finding in look(living, stage=replace(living.stage, settings=nowhere)).findings
    ]
    assert "Bucket backups3 with Object Lock is missing" in sentences
    assert not any("backups3 should" in sentence for sentence in sentences)


def test_a_stricter_mode_is_kept_and_only_its_days_are_raised(
    living: DeployedStage,
) -> None:
    write_lock(living, mode="COMPLIANCE", days=7)
    try:
        [finding] = look(living).findings
        assert (
            "should lock stored objects for 30 days (compliance), but locks them for 7 days"
            in finding.what
        )
    finally:
        write_lock(living, mode="GOVERNANCE", days=30)


def allow(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def deny(action: str, resource: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Deny", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": statement}


VAULT = "arn:aws:s3:::backups2"
ALL, ONE = allow("*", "*"), allow("s3:DeleteObject", f"{VAULT}/web1/2026*")
BUT_READING = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"},
}


def not_resource(resource: str, effect: str = "Allow") -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "s3:*", "NotResource": resource}
    return {"Version": "2012-10-17", "Statement": statement}


@pytest.mark.parametrize(
    ("policies", "dangerous"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param([ALL], True, id="everything"),
        pytest.param([ONE], True, id="a part of the vault"),
        pytest.param([allow("s3:DeleteObject", f"{VAULT}")], False, id="the bucket alone"),
        pytest.param([allow("s3:DeleteObject", f"{VAULT}-x/*")], False, id="another bucket"),
        pytest.param([allow("s3:DeleteObject", "arn:aws:s3:::*")], True, id="every bucket"),
        pytest.param([allow("s3:DeleteObject", "arn:aws:s3:::b?ckups2/*")], True, id="a ?"),
        pytest.param(
            [allow("s3:DeleteObject", "arn:*:back*2/w*")], True, id="a * before and in it"
        ),
        pytest.param([allow("S3:deleteobject", "*")], True, id="small letters"),
        pytest.param([allow("s3:Get*", "*")], False, id="reading"),
        pytest.param([allow(["s3:Get*", "s3:Delete*"], [VAULT, f"{VAULT}/*"])], True, id="lists"),
        pytest.param([BUT_READING], True, id="all but reading"),
        pytest.param([not_resource(f"{VAULT}/*")], False, id="all but the vault"),
        pytest.param([not_resource(f"{VAULT}/web1/*")], True, id="all but a part of the vault"),
        pytest.param([allow("*", f"{VAULT}/${{aws:username}}/*")], True, id="a variable"),
        pytest.param([ALL, deny("s3:Delete*", "*")], False, id="denied"),
        pytest.param([ALL, deny("s3:*", f"{VAULT}/*")], False, id="denied for the vault"),
        pytest.param([ALL, deny("s3:*", f"{VAULT}/web1/*")], True, id="denied for a part"),
        pytest.param([ALL, deny("s3:*", f"{VAULT}/?")], True, id="denied for short names"),
        pytest.param([ALL, deny("s3:*", f"{VAULT}/{'?' * 20}*")], True, id="denied for long names"),
        pytest.param([ALL, deny("s3:*", f"{VAULT}/?*")], False, id="denied for any name"),
        pytest.param(
            [ALL, deny("S3:delete*", VAULT), deny("s3:DELETEobject", f"{VAULT}/*")],
            False,
            id="denied, in odd case",
        ),
        pytest.param(
            [ALL, deny("s3:*", f"{VAULT.upper()}/*"), deny("s3:*", "arn:aws:s3:::Backups2/*")],
            True,
            id="denied for a bucket of another case",
        ),
        pytest.param([not_resource("arn:aws:s3:::BACKUPS2/*")], True, id="all but another case"),
        pytest.param(
            [allow("s3:*", f"{VAULT}/web1/*"), not_resource(f"{VAULT}/web1/*", "Deny")],
            True,
            id="denied for all but a part, which is allowed",
        ),
        pytest.param(
            [ALL, not_resource("arn:aws:s3:::website/*", "Deny")], False, id="denied elsewhere"
        ),
        pytest.param(
            [ALL, deny("s3:*", "*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}})],
            True,
            id="denied without a second factor",
        ),
    ],
)
def test_the_most_that_policies_can_grant(policies: list[Any], dangerous: bool) -> None:
    assert grants(map(Policy, policies), "s3:DeleteObject", f"{VAULT}/*") is dangerous


ADMIN = {"arn": "arn:aws:iam::123456789012:role/admin", "user_id": "AROAADMIN"}


@pytest.mark.parametrize(
    ("principal", "condition", "binds"),
    [
        pytest.param("*", None, True, id="everyone"),
        pytest.param({"AWS": "*"}, None, True, id="everyone, in another spelling"),
        pytest.param({"AWS": "210987654321"}, None, False, id="somebody else"),
        pytest.param("*", {"Bool": {"aws:SecureTransport": "false"}}, False, id="without TLS"),
        pytest.param("*", {"ArnNotEquals": {"aws:PrincipalArn": "x:y"}}, True, id="all but x"),
        pytest.param("*", {"ArnNotLike": {"aws:PrincipalArn": ["x", "*/ad*"]}}, False, id="but me"),
        pytest.param("*", {"ArnEquals": {"aws:PrincipalArn": "x:y"}}, False, id="x alone"),
        pytest.param(
            "*",
            {"StringNotLike": {"aws:PrincipalArn": "*:role/${aws:PrincipalTag/team}"}},
            False,
            id="all but those with a variable's value",
        ),
        pytest.param("*", {"StringNotLike": {"aws:userid": "${aws:userid}"}}, False, id="nobody"),
        pytest.param("*", {"StringNotEquals": {"aws:userid": "AIDAX"}}, True, id="all but an id"),
        pytest.param(
            "*", {"StringNotEquals": {"aws:userid": "AROAADMIN:me"}}, False, id="all but a session"
        ),
    ],
)
def test_who_cannot_avoid_a_deny_of_a_bucket_policy(
    principal: Any, condition: Any, *, binds: bool
) -> None:
    more = {"Condition": condition} if condition else {}
    policy = deny("s3:*", f"{VAULT}/*", Principal=principal, **more)
    policies = [ALL, denials_for(policy, **ADMIN)]
    assert grants(map(Policy, policies), "s3:DeleteObject", f"{VAULT}/*") is not binds


@pytest.mark.parametrize(
    ("action", "condition", "remains"),
    [
        pytest.param("s3:*", {"s3:ResourceAccount": "123456789012"}, False, id="other buckets"),
        pytest.param(
            ["s3:Put*", "s3:Delete*"],
            {"aws:ResourceAccount": ["${aws:PrincipalAccount}", "210987654321"]},
            False,
            id="other buckets, by a variable",
        ),
        pytest.param("s3:*", {"s3:ResourceAccount": "210987654321"}, True, id="but a stranger's"),
        pytest.param("s3:*", {"aws:PrincipalAccount": "123456789012"}, True, id="other strangers"),
        pytest.param("*", {"s3:ResourceAccount": "123456789012"}, True, id="of every service"),
        pytest.param(None, {"s3:ResourceAccount": "123456789012"}, True, id="all but one service"),
    ],
)
def test_which_rights_are_only_in_other_accounts(
    action: Any, condition: Any, *, remains: bool
) -> None:
    policy = allow(action, "*", Condition={"StringNotEquals": condition})
    if action is None:
        [statement] = policy["Statement"]
        statement["NotAction"] = statement.pop("Action") or "iam:*"
    kept = Policy(in_account("123456789012", policy))
    assert grants([kept], "s3:DeleteObject", f"{VAULT}/*") is remains


def test_a_right_on_the_bucket_itself() -> None:
    assert grants([Policy(allow("s3:Put*", VAULT))], "s3:PutBucketPolicy", VAULT)
    assert not grants([Policy(allow("s3:Put*", f"{VAULT}/*"))], "s3:PutBucketPolicy", VAULT)


def test_a_boundary_that_iam_does_not_list_takes_nothing_away() -> None:
    role = {
        "RoleName": "bounded",
        "RoleId": "AROAX",
        "Arn": "arn:aws:iam::123456789012:role/bounded",
        "Path": "/",
        "RolePolicyList": [{"PolicyName": "rights", "PolicyDocument": ALL}],
        "PermissionsBoundary": {"PermissionsBoundaryArn": "arn:aws:iam::aws:policy/Some"},
    }
    lists = ("Policies", "GroupDetailList", "UserDetailList")
    page = {**dict.fromkeys(lists, ()), "RoleDetailList": [role]}
    iam = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [page]))
    [bounded] = Identities(cast("Account", SimpleNamespace(client=lambda _: iam))).principals
    assert bounded.may("s3:PutBucketPolicy", VAULT)


def test_a_boundary_takes_away_what_a_policy_grants(living: DeployedStage) -> None:
    iam = living.client("iam")
    boundary = iam.create_policy(PolicyName="reading", PolicyDocument=HARMLESS)["Policy"]["Arn"]
    iam.create_role(
        RoleName="bounded", AssumeRolePolicyDocument=HARMLESS, PermissionsBoundary=boundary
    )
    iam.put_role_policy(
        RoleName="bounded", PolicyName="rights", PolicyDocument=json.dumps(EVERYTHING)
    )
    try:
        assert look(living) == Report(backups=NO_BACKUPS)
    finally:
        iam.delete_role_policy(RoleName="bounded", PolicyName="rights")
