"""A vault in a separate account: setup, deployment, promotion, check, weakening and fix."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

import admin.account
from admin.account import Account, local_account, with_owners, with_vault
from admin.audit.command import auditor_of
from admin.check.report import Report
from admin.check.settings import check
from admin.config.reading import CONFIG
from admin.drill.scenario import drill
from admin.restore.command import RestoreOptions, restore
from admin.setup.plan import execute, make_plan, requirements_of
from admin.setup.recorded import actual_digests, as_variable
from admin.stage import Stage, StageError, read_stage
from admin.stored.when import When
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.promotion.buckets import Vault
from chalicelib.s3_errors import error_code
from chalicelib.watching.audit import Auditor
from chalicelib.watching.findings import Kind
from chalicelib.watching.protection import Protection
from demo.deployment import deploy
from demo.stage import StageCloud
from localcloud.clock import clock
from localcloud.iam.authorization import Credentials
from tests.support.deployed_stage import NO_BACKUPS
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, STAGE, write_variables

HOLDER = "210987654321"
UNHEARD = (
    f"sirens: EventBridge in account {DEFAULT_ACCOUNT_ID} is not notified of changes to the bucket "
    f"policy of backups2 in account {HOLDER}. S3 itself reports removed backups, and audits report "
    "changed settings."
)


def sign_in(cloud: StageCloud, owner: str) -> Account:
    """The administrator of another account in the same cloud."""
    iam = iam_backends[owner]["aws"]
    iam.create_user(region_name="us-east-1", user_name="holder")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(
        "holder", "all", json.dumps({"Version": "2012-10-17", "Statement": everything})
    )
    key = iam.create_access_key("holder")
    session = boto3.Session(
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        region_name="us-east-1",
    )
    return Account(session=session, endpoint=cloud.endpoint)


@pytest.fixture
def stage(project: Path, cloud: StageCloud, tmp_path: Path) -> Stage:
    """The tests' stage dev, in a separate project, with a vault in another account."""
    own = shutil.copytree(project, tmp_path / "own")
    config = json.loads((own / CONFIG).read_text())
    config["stages"]["dev"]["administrators"] = [f"arn:aws:iam::{HOLDER}:user/holder"]
    config["stages"]["dev"]["environment_variables"] |= {
        "VAULT_OWNER": HOLDER,
        "AWS_ENDPOINT_URL": cloud.endpoint,
    }
    (own / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    return read_stage("dev", project=own)


@pytest.fixture
def account(cloud: StageCloud, stage: Stage) -> Account:
    return replace(
        local_account(cloud.endpoint),
        other_accounts={stage.settings.vault_bucket: sign_in(cloud, HOLDER)},
    )


def set_up(account: Account, stage: Stage) -> list[str]:
    requirements = requirements_of(target_of(account, stage))
    plan = make_plan(account, requirements, lock_named=False)
    return [change.requirement.summary for change in execute(account, plan)]


def look(account: Account, stage: Stage) -> Report:
    return check(target_of(account, stage), now=clock.now(), tell=lambda _: None)


def state_in_order(account: Account, stage: Stage) -> list[str]:
    """What a check without findings reports about the backups."""
    report = look(account, stage)
    assert report == Report(backups=report.backups, administrators=["user holder"])
    hidden = [each for each in report.backups if "cannot read the bucket policy of" in each]
    assert len(hidden) == 1
    return [each for each in report.backups if each not in hidden]


def record(account: Account, stage: Stage) -> Stage:
    """Record the vault's settings in the stage, as `backups setup --apply` does."""
    write_variables(stage.project, as_variable(actual_digests(target_of(account, stage))))
    return read_stage("dev", project=stage.project)


def target_of(account: Account, stage: Stage) -> Target:
    return Target(account=account, stage=stage, policy=POLICY)


def restored(target: Target) -> bytes:
    """The latest dump, as `backups restore` restores it."""
    output = target.stage.project / "restored"
    options = RestoreOptions(rule="sql.gz.gpg", output=str(output))
    restore(target, When(), options, now=clock.now())
    return output.read_bytes()


def test_a_backup_is_promoted_checked_and_drilled_in_another_account(
    cloud: StageCloud, stage: Stage, account: Account, packages: Path
) -> None:
    set_up(account, stage)
    stage = record(account, stage)
    deploy(
        stage.project,
        stage="dev",
        endpoint=cloud.endpoint,
        region="us-east-1",
        credentials=cloud.administrator,
        packages=packages,
    )
    set_up(account, stage)
    assert set_up(account, stage) == []
    assert state_in_order(account, stage) == [*NO_BACKUPS, UNHEARD]
    holder = account.account_of("backups2").client("s3")
    assert [bucket["Name"] for bucket in holder.list_buckets()["Buckets"]] == ["backups2"]

    key = account.client("iam").create_access_key(UserName=stage.server_user(None))["AccessKey"]
    server = Credentials(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
    cloud.session(server).client("s3").put_object(
        Bucket="backups1", Key="sql.gz.gpg", Body=b"tables"
    )
    cloud.functions.wait_until_quiet(timeout=60)
    [stored] = holder.list_objects_v2(Bucket="backups2")["Contents"]
    assert f"the newest backup is {stored['Key']} (" in "".join(state_in_order(account, stage))

    target = target_of(account, stage)
    assert restored(target) == b"tables"

    waiter = Waiter(seconds=60, tell=print)
    steps = [step.sentence for step in drill(target, assume=True, quick=True, waiter=waiter)]
    for who in ("administrator", "vault administrator", "promoter"):
        assert any(sentence.startswith(f"{who} cannot") for sentence in steps), steps

    sweep = cloud.session(cloud.role_credentials("sweep")).client("s3")
    assert [item["Key"] for item in sweep.list_objects_v2(Bucket="backups2")["Contents"]]
    assert "Uploads" not in sweep.list_multipart_uploads(Bucket="backups2")
    assert sweep.head_object(Bucket="backups2", Key=stored["Key"])["Metadata"]["source-key"]
    for operation in ("put_object", "delete_object", "create_multipart_upload"):
        refused(sweep, operation, stored["Key"])

    refused(account.client("s3"), "get_object", stored["Key"])
    refused(account.client("s3"), "delete_object", stored["Key"])
    refused(holder, "delete_object", stored["Key"])

    _policy_is_compared(holder, account, stage)

    # The sweep can read that vault, and promotes uploads without an event.
    account.client("s3").put_bucket_notification_configuration(
        Bucket="backups1", NotificationConfiguration={}
    )
    cloud.session(server).client("s3").put_object(
        Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"files"
    )
    clock.advance(timedelta(minutes=20))
    state = " ".join(look(account, stage).backups)
    assert "backup.tar.gz.gpg: 1 upload has waited in backups1 for up to 20 minutes" in state
    cloud.run_schedules()
    cloud.functions.wait_until_quiet(timeout=60)
    names = [item["Key"] for item in holder.list_objects_v2(Bucket="backups2")["Contents"]]
    assert any(name.endswith(".tar.gz.gpg") for name in names), cloud.functions.logs
    _watches(cloud, stored["Key"])


def _policy_is_compared(holder: Any, account: Account, stage: Stage) -> None:
    policy = json.loads(holder.get_bucket_policy(Bucket="backups2")["Policy"])
    policy["Statement"] = [
        statement for statement in policy["Statement"] if statement["Sid"] != "FillFreeSlots"
    ]
    holder.put_bucket_policy(Bucket="backups2", Policy=json.dumps(policy))
    [finding] = look(account, stage).findings
    assert "FillFreeSlots is missing" in finding.what
    set_up(account, stage)
    state_in_order(account, stage)

    policy = json.loads(holder.get_bucket_policy(Bucket="backups2")["Policy"])
    [parts] = [
        statement
        for statement in policy["Statement"]
        if statement["Sid"] == "RemoveUnfinishedCopies"
    ]
    policy["Statement"].append(
        {**parts, "Sid": "SeeWhatIsCopied", "Action": "s3:ListMultipartUploadParts"}
    )
    holder.put_bucket_policy(Bucket="backups2", Policy=json.dumps(policy))
    [finding] = look(account, stage).findings
    assert "SeeWhatIsCopied is missing or different" in finding.what
    set_up(account, stage)
    state_in_order(account, stage)


def test_the_functions_compare_all_settings_but_the_policy_which_an_administrator_compares(
    stage: Stage, account: Account
) -> None:
    set_up(account, stage)
    holder = account.account_of("backups2").client("s3")
    readable = {
        "Sid": "Read",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account.id}:root"},
        "Action": ["s3:Get*", "s3:List*"],
        "Resource": ["arn:aws:s3:::backups2", "arn:aws:s3:::backups2/*"],
    }
    change_policy(holder, lambda policy: policy["Statement"].append(readable))
    stage = record(account, stage)

    functions = replace(
        auditor_of(target_of(account, stage)),
        vault=Vault(s3=account.client("s3"), name="backups2", owner=HOLDER),
        protection=Protection.for_functions(stage.settings),
    )
    assert functions.audit(clock.now()).failures == {}
    assert settings_that_changed(functions) == []
    change_policy(holder, lambda policy: policy["Statement"].pop(1))
    assert settings_that_changed(functions) == []
    assert settings_that_changed(auditor_of(target_of(account, stage))) == ["policy"]
    # The functions can read all other settings, and fail if they cannot read the policy of a vault
    # in their own account.
    holder.delete_public_access_block(Bucket="backups2")
    assert settings_that_changed(functions) == ["public-access"]
    here = replace(functions, protection=Protection(recorded=stage.settings.vault_settings))
    [(what, error)] = here.audit(clock.now()).failures.items()
    assert (what, error_code(error)) == ("the setting policy of backups2", "MethodNotAllowed")


def change_policy(holder: Any, change: Callable[[Any], object]) -> None:
    policy = json.loads(holder.get_bucket_policy(Bucket="backups2")["Policy"])
    change(policy)
    holder.put_bucket_policy(Bucket="backups2", Policy=json.dumps(policy))


def settings_that_changed(auditor: Auditor) -> list[str]:
    findings = auditor.audit(clock.now()).findings
    return [found.what.split()[2] for found in findings if found.kind is Kind.SETTINGS]


def test_its_door_opens_to_the_administrator_of_its_own_account(
    stage: Stage, account: Account
) -> None:
    set_up(account, stage)
    vault_account = account.account_of("backups2")
    with past_the_door(vault_account.client("s3")):
        vault_account.client("s3").delete_public_access_block(Bucket="backups2")
    assert set_up(account, stage) == ["backups2: block public access"]
    assert set_up(account, stage) == []


def _watches(cloud: StageCloud, name: str) -> None:
    """The audit can read that vault, except for its bucket policy, and runs there."""
    audit = cloud.session(cloud.role_credentials("audit")).client("s3")
    assert [item["Key"] for item in audit.list_object_versions(Bucket="backups2")["Versions"]]
    assert "Uploads" not in audit.list_multipart_uploads(Bucket="backups2")
    assert audit.head_object(Bucket="backups2", Key=name)["ObjectLockMode"] == "GOVERNANCE"
    assert audit.get_bucket_versioning(Bucket="backups2")["Status"] == "Enabled"
    assert audit.get_object_lock_configuration(Bucket="backups2")["ObjectLockConfiguration"]
    assert audit.get_bucket_lifecycle_configuration(Bucket="backups2")["Rules"]
    assert audit.get_bucket_encryption(Bucket="backups2")["ServerSideEncryptionConfiguration"]
    assert audit.get_public_access_block(Bucket="backups2")["PublicAccessBlockConfiguration"]
    assert audit.get_bucket_ownership_controls(Bucket="backups2")["OwnershipControls"]
    audit.get_bucket_notification_configuration(Bucket="backups2")
    with pytest.raises(ClientError, match="ReplicationConfigurationNotFoundError"):
        audit.get_bucket_replication(Bucket="backups2")
    with pytest.raises(ClientError, match="AccessDenied"):
        audit.get_bucket_policy(Bucket="backups2")
    for operation in ("put_object", "delete_object", "create_multipart_upload"):
        refused(audit, operation, name)

    clock.advance(timedelta(hours=1))
    cloud.run_schedules()
    cloud.functions.wait_until_quiet(timeout=60)
    results = [one for one in cloud.functions.results if one.function.endswith("-audit")]
    assert results
    for result in results:
        assert (result.error, result.payload["not_checked"]) == (None, [])


def refused(s3: Any, operation: str, key: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(s3, operation)(Bucket="backups2", Key=key)


def test_a_vault_in_the_same_account_needs_no_profile(cloud: StageCloud) -> None:
    here = local_account(cloud.endpoint)
    unset = replace(STAGE, settings=replace(STAGE.settings, vault_owner=None))
    for stage in (STAGE, unset):
        assert with_vault(here, stage, profile=None) is here
        assert with_owners(stage, here).settings.vault_owner == here.id


@pytest.mark.parametrize(
    ("owner", "profile", "sentence"),
    [
        pytest.param(HOLDER, None, "pass a profile of the vault's account", id="no profile"),
        pytest.param("1" * 12, "vault", "is 111111111111; set it to", id="another one"),
    ],
)
def test_profile_and_configuration_must_agree(
    cloud: StageCloud,
    monkeypatch: pytest.MonkeyPatch,
    owner: str | None,
    profile: str | None,
    sentence: str,
) -> None:
    holder = sign_in(cloud, HOLDER)
    monkeypatch.setattr(admin.account, "_signed_in", lambda profile, *, region: holder)
    stage = replace(STAGE, name="prod", settings=replace(STAGE.settings, vault_owner=owner))
    with pytest.raises(StageError, match=sentence):
        with_vault(local_account(cloud.endpoint), stage, profile=profile)


@pytest.mark.parametrize("owner", [HOLDER, None], ids=["written down", "not recorded yet"])
def test_the_profile_of_the_vault_s_account_leads_there(
    cloud: StageCloud, monkeypatch: pytest.MonkeyPatch, owner: str | None
) -> None:
    holder = sign_in(cloud, HOLDER)
    monkeypatch.setattr(admin.account, "_signed_in", lambda profile, *, region: holder)
    stage = replace(STAGE, name="prod", settings=replace(STAGE.settings, vault_owner=owner))
    account = with_vault(local_account(cloud.endpoint), stage, profile="vault")
    assert account.account_of("backups2") is holder
    assert account.account_of("backups1") is account
    settings = with_owners(stage, account).settings
    assert (settings.incoming_owner, settings.vault_owner) == (account.id, HOLDER)


def test_the_stage_dev_signs_in_to_no_account_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "Session", lambda **_: pytest.fail("signed in"))
    account = Account(session=boto3.session.Session(region_name="us-east-1"))
    with pytest.raises(StageError, match="the stage dev is the local cloud; did you mean --stage"):
        with_vault(account, STAGE, profile="vault")
