"""`setup` in existing accounts: it refuses or adopts them, and then uploads arrive."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from moto.iam.models import iam_backends

import admin.cli
from admin.account import Account, local_account
from admin.cli import cli
from admin.desired.door import EVERYONE, opened_to, whom_it_is_open_to
from admin.desired.requirement import Kind
from admin.setup import resources
from admin.setup.adoption.denials import Request, could_deny
from admin.setup.adoption.lifecycle import foreign_rules
from admin.setup.adoption.requests import promotions, uploads
from admin.setup.plan import door_of, requirements_of
from admin.target import Target
from demo.stage import StageCloud, running
from localcloud.iam.callers import Credentials
from tests.admin.existing_accounts import (
    CASES,
    SERVER,
    Case,
    bound_role,
    expire,
    long_policy,
    replicate,
)
from tests.support.existing_account import PROMOTE, ExistingAccount
from tests.support.project import POLICY
from tests.support.remembered_answers import RememberedAnswers
from tests.support.world import DAILY

DENY = {"Effect": "Deny", "Action": "*", "Resource": "*"}
numbers = count(1)


@pytest.fixture(scope="module")
def company(answers: RememberedAnswers) -> Iterator[tuple[StageCloud, Account, list[str]]]:
    """One account for all tests; each has its own buckets, and no identities from other tests."""
    written: list[str] = []

    def note(model: Any, **_: Any) -> None:
        if not model.name.startswith(("Get", "Head", "List", "Describe")):
            written.append(model.name)

    with running(retry_delays=(0, 0)) as cloud:
        account = local_account(cloud.endpoint)
        account.session.events.register("before-call", note)
        yield cloud, account, written


@pytest.fixture
def place(
    company: tuple[StageCloud, Account, list[str]],
    own_project: Path,
    answers: RememberedAnswers,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ExistingAccount]:
    cloud, account, written = company
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    iam_backends["123456789012"]["aws"].reset()
    number = next(numbers)
    place = ExistingAccount(
        cloud=cloud,
        account=account,
        project=own_project,
        incoming=f"their-uploads-{number}",
        vault=f"their-backups-{number}",
        written=written,
        patch=monkeypatch,
    )
    place.configure(
        lambda stage: stage["environment_variables"].update(
            INCOMING_BUCKET=place.incoming, VAULT_BUCKET=place.vault
        )
    )
    for bucket in (place.incoming, place.vault):
        place.s3.create_bucket(Bucket=bucket)
    answers.begin()
    yield place
    assert answers.stale == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_existing_account_is_refused_or_adopted_and_then_works(
    case: Case, place: ExistingAccount
) -> None:
    names = {"incoming": place.incoming, "vault": place.vault}
    case.prepare(place)
    files = place.files()
    first = place.set_up("--apply", "--yes")
    assert first.exit_code == case.status, first.output
    for sentence in case.says:
        assert sentence.format(**names) in first.output, first.output
    if case.status:
        assert (place.written, place.files()) == ([], files)
        case.mend(place)
        options = [option.format(**names) for option in case.options]
        again = place.set_up("--apply", "--yes", *options)
        assert again.exit_code == 0, again.output
    place.an_upload_arrives()


def test_only_a_key_has_no_second_factor(place: ExistingAccount) -> None:
    """The condition key is false in a role's session, and missing in an access key's requests."""
    target = Target(account=place.account, stage=place.stage, policy=POLICY)

    def denied(requests: Iterable[Request], operator: str) -> bool:
        condition = {operator: {"aws:MultiFactorAuthPresent": "false"}}
        statement = {**DENY, "Principal": "*", "Condition": condition}
        return any(could_deny(statement, request) for request in requests)

    assert denied(promotions(target), "Bool")
    assert denied(uploads(target), "BoolIfExists")
    assert not denied(uploads(target), "Bool")


def test_a_later_obstacle_is_not_overlooked(place: ExistingAccount) -> None:
    """Nothing needs to change, but promotions would fail."""
    assert place.set_up("--apply", "--yes").exit_code == 0
    assert place.set_up("--apply", "--yes").stdout.endswith("everything is as it should be.\n")
    bound_role(place)
    shown = place.set_up()
    assert (shown.exit_code, "Nothing to do" in shown.stdout) == (0, False)
    assert f"! The role {PROMOTE} has a permissions boundary" in shown.stdout
    assert "--apply would be refused" in shown.stderr
    assert place.set_up("--apply", "--yes").exit_code == 2


def test_a_door_left_open_is_closed_despite_an_obstacle(
    place: ExistingAccount,
) -> None:
    assert place.set_up("--apply", "--yes").exit_code == 0
    door = door_of(Target(account=place.account, stage=place.stage, policy=place.policy))
    resources.write(place.account, replace(door, desired=opened_to(EVERYONE, door.desired)))
    bound_role(place)
    refused = place.set_up("--apply", "--yes")
    assert (refused.exit_code, place.written) == (2, ["PutBucketPolicy"])
    assert "It is closed again." in refused.stdout
    assert whom_it_is_open_to(resources.read(place.account, door).value) is None


def test_an_obstacle_is_accepted_by_its_name(place: ExistingAccount) -> None:
    expire(place)
    replicate(place)
    names = [f"{place.vault}:tidy up", f"{place.vault}:replication"]
    first, second = (["--accept", name] for name in names)
    assert place.set_up("--apply", "--yes", *first).exit_code == 2
    assert place.written == []
    adopted = place.set_up("--apply", "--yes", *first, *second, "--accept", "misspelled")
    assert adopted.exit_code == 0
    assert adopted.stdout.count("; accepted\n") == 2
    assert place.s3.get_bucket_replication(Bucket=place.vault)
    assert sorted(place.stage.accepted) == sorted(names)
    again = place.set_up("--apply", "--yes")
    assert (again.exit_code, again.stdout.count("; accepted\n")) == (0, 2)


def test_a_statement_without_a_name_is_not_accepted_in_place_of_another(
    place: ExistingAccount,
) -> None:
    def put(action: str) -> str:
        place.put_statement(
            place.vault, Sid="", Action=action, Resource=f"arn:aws:s3:::{place.vault}/*"
        )
        shown: str = place.set_up().stdout
        [line] = [line for line in shown.splitlines() if "accept it with --accept" in line]
        return line.rpartition(" ")[2]

    first = put("s3:PutObject")
    assert place.set_up("--apply", "--yes", "--accept", first).exit_code == 0
    place.s3.delete_bucket_policy(Bucket=place.vault)
    assert put("s3:GetObject") != first
    assert place.set_up("--apply", "--yes").exit_code == 2


def test_backups_without_a_lock_are_no_obstacle_to_lock_existing(place: ExistingAccount) -> None:
    place.s3.put_object(Bucket=place.vault, Key="home.tar", Body=b"before")
    adopted = place.set_up("--apply", "--yes", "--lock-existing")
    assert adopted.exit_code == 0, adopted.output
    assert "accepted" not in adopted.stdout
    assert "locks new backups only" not in adopted.stdout
    [version] = place.s3.list_object_versions(Bucket=place.vault)["Versions"]
    locked = place.s3.get_object_retention(
        Bucket=place.vault, Key="home.tar", VersionId=version["VersionId"]
    )
    assert locked["Retention"]["Mode"] == "GOVERNANCE"


def test_a_bucket_policy_too_large_for_s3_is_refused_beforehand(place: ExistingAccount) -> None:
    long_policy(place)
    assert "S3 accepts 20,480" in place.set_up("--apply", "--yes").stdout
    assert place.written == []


@pytest.mark.parametrize(
    ("rules", "is_refused"), [(996, False), (997, True)], ids=["just enough", "one too many"]
)
def test_more_lifecycle_rules_than_s3_accepts_are_refused(
    place: ExistingAccount, rules: int, *, is_refused: bool
) -> None:
    target = Target(account=place.account, stage=place.stage, policy=POLICY)
    [lifecycle] = [
        requirement
        for requirement in requirements_of(target)
        if (requirement.kind, requirement.resource) == (Kind.LIFECYCLE, place.incoming)
    ]
    logs = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}}
    assert bool([*foreign_rules(target, lifecycle, [logs] * rules)]) is is_refused


def test_a_user_s_other_policies_must_leave_space_for_ours(place: ExistingAccount) -> None:
    place.iam.create_user(UserName=SERVER)
    place.iam.put_user_policy(
        UserName=SERVER,
        PolicyName="long",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{**DENY, "Resource": f"arn:aws:s3:::{'x' * 1_800}"}],
            }
        ),
    )
    shown = place.set_up("--apply", "--yes").stdout
    assert f"The inline policies of the user {SERVER} would have " in shown
    assert "but IAM accepts 2,048: it also has long" in shown
    assert place.written == []


def test_users_of_identity_center_are_known_by_the_role_and_its_path(
    place: ExistingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, name = "/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_Admin_0123456789abcdef"
    place.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument="{}")
    session = f"arn:aws:sts::123456789012:assumed-role/{name}/you@example.org"
    sts = place.account.client("sts")
    monkeypatch.setattr(sts, "get_caller_identity", lambda: {"Arn": session})
    for role, is_refused in ((f"role{path}*", False), ("role/ci", True)):
        place.put_statement(
            place.vault,
            Action="s3:PutLifecycleConfiguration",
            Resource=f"arn:aws:s3:::{place.vault}",
            Condition={"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::123456789012:{role}"}},
        )
        assert ("would deny a step of this setup" in place.set_up().stdout) is is_refused


def test_mfa_delete_is_refused(place: ExistingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto does not support it."""
    answer = {"Status": "Enabled", "MFADelete": "Enabled"}
    monkeypatch.setattr(place.s3, "get_bucket_versioning", lambda **_: answer)
    shown = place.set_up("--apply", "--yes").stdout
    assert f"{place.vault} has MFA delete enabled, so S3 rejects lifecycle rules" in shown


def test_an_adopted_account_is_deployed_and_promotes(
    company: tuple[StageCloud, Account, list[str]],
    project: Path,
    packages: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other resources stay, and the real function receives S3's event."""
    cloud, account, _ = company
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    iam_backends["123456789012"]["aws"].reset()
    s3 = account.client("s3")
    for bucket in ("backups1", "backups2"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="photos/cat.jpg", Body=b"a cat")
    queue = account.client("sqs").create_queue(QueueName="removals")["QueueUrl"]
    removals = {
        "QueueArn": f"arn:aws:sqs:us-east-1:123456789012:{queue.rsplit('/', 1)[1]}",
        "Events": ["s3:ObjectRemoved:*"],
    }
    s3.put_bucket_notification_configuration(
        Bucket="backups1", NotificationConfiguration={"QueueConfigurations": [removals]}
    )
    options = ("--allow-shorter", "--lock-existing", "--apply", "--yes")
    adopted = CliRunner().invoke(cli, ["setup", *options])
    assert adopted.exit_code == 0, adopted.output
    cloud.deploy(project_dir=project, packages=packages)
    key = account.client("iam").create_access_key(UserName=SERVER)["AccessKey"]
    server = Credentials(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
    cloud.session(server).client("s3").put_object(Bucket="backups1", Key=DAILY, Body=b"all of it")
    cloud.functions.wait_until_quiet(timeout=60)
    stored = {item["Key"] for item in s3.list_objects_v2(Bucket="backups2")["Contents"]}
    assert stored == {"photos/cat.jpg", POLICY.slot_of(DAILY, datetime.now(UTC)).name}
    [queues] = s3.get_bucket_notification_configuration(Bucket="backups1")["QueueConfigurations"]
    assert queues["Events"] == ["s3:ObjectRemoved:*"]
