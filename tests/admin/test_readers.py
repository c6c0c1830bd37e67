"""The IAM policies for readers: what their holders can do, and how `setup` maintains them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

import admin.cli
from admin.account import Account, local_account
from admin.check.people.identities import Identities
from admin.check.people.places import places_by_account
from admin.check.people.principals import check_principals
from admin.check.report import Finding
from admin.cli import cli
from admin.desired.permissions import Document, document, size_of
from admin.desired.readers import LARGEST_MANAGED_POLICY, reader_policies
from admin.desired.requirement import Kind
from admin.setup.plan import execute, make_plan, requirements_of
from admin.setup.policy_resources import MOST_VERSIONS
from admin.stage import Stage
from admin.target import Target
from demo.stage import running
from localcloud.clock import clock
from tests.admin.conftest import DESCRIPTIONS
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, STAGE

OURS, HOLDER = "123456789012", "210987654321"
READER, ARCHIVED = STAGE.reader, STAGE.reader_archived


def policies_of(stage: Stage) -> dict[str, Document]:
    """The policies by account and name."""
    return {
        each.resource.removeprefix("arn:aws:iam::"): each.desired
        for each in reader_policies(stage, account=OURS)
    }


def actions(policy: Document) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_second_policy_adds_only_the_retrieval_of_archived_backups() -> None:
    reader, archived = (policies_of(STAGE)[f"{OURS}:policy/{name}"] for name in (READER, ARCHIVED))
    assert archived["Statement"][:-1] == reader["Statement"]
    assert actions(archived) - actions(reader) == {"s3:RestoreObject"}
    writing = {
        name for name in actions(reader) if not name.split(":")[1].startswith(("Get", "List"))
    }
    assert writing == set()


def test_each_account_has_a_policy_for_what_is_in_it() -> None:
    elsewhere = replace(STAGE, settings=replace(STAGE.settings, vault_owner=HOLDER))
    policies = policies_of(elsewhere)
    assert [*policies] == [
        f"{OURS}:policy/{READER}",
        f"{HOLDER}:policy/{READER}",
        f"{HOLDER}:policy/{ARCHIVED}",
    ]
    ours, reader, _ = policies.values()
    assert actions(ours) == {"s3:ListBucketVersions"}
    assert STAGE.settings.incoming_bucket in json.dumps(ours)
    assert STAGE.settings.incoming_bucket not in json.dumps(reader)
    both = policies_of(STAGE)[f"{OURS}:policy/{READER}"]
    assert actions(ours) | actions(reader) == actions(both)


def test_they_fit_into_a_managed_policy() -> None:
    longest = replace(
        STAGE.settings, incoming_bucket="i" * 63, vault_bucket="v" * 63, vault_owner=None
    )
    for policy in policies_of(replace(STAGE, settings=longest)).values():
        assert size_of(policy) <= LARGEST_MANAGED_POLICY


# In the account

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEY, HOURLY = "backup.tar.gz.gpg", "sql.gz.gpg"
NUMBERS = count()
COMMANDS = (
    ("status",),
    ("list", "--details", "--rule", KEY),
    ("verify", "--rule", KEY),
    ("restore", "latest", "--rule", KEY, "-o", "-"),
    ("audit",),
)
BODY = b"a backup"


def store(s3: Any, moment: datetime, **more: str) -> None:
    """Store what the promoter would store for an upload at this moment."""
    metadata = {"source-key": KEY, "source-last-modified": moment.isoformat()}
    name = POLICY.slot_of(KEY, moment).name
    s3.put_object(Bucket="backups2", Key=name, Body=BODY, Metadata=metadata, **more)


@pytest.fixture(scope="module")
def ready() -> Iterator[Account]:
    """The administrator of a complete account, with backups in the vault and a waiting upload."""
    with running(retry_delays=(0, 0), by_hand=True) as cloud:
        account = local_account(cloud.endpoint)
        account.session._session.register_component("data_loader", DESCRIPTIONS)
        set_up(account)
        s3 = account.client("s3")
        with past_the_door(s3):
            for days in (5, 3, 2, 1, 0):
                moment = NOW - days * DAY - timedelta(minutes=1)
                clock.stand_at(moment)
                store(s3, moment)
            clock.stand_at(NOW - 4 * DAY)
            store(s3, NOW - 4 * DAY, StorageClass="GLACIER")
        clock.stand_at(NOW - timedelta(minutes=20))
        s3.put_object(Bucket="backups1", Key=HOURLY, Body=BODY)
        clock.reset()
        yield account


def set_up(account: Account, *, only: Kind | None = None) -> list[str]:
    """Do what `backups setup --apply` does, and return what it changed."""
    requirements = requirements_of(Target(account=account, stage=STAGE, policy=POLICY))
    chosen = tuple(each for each in requirements if only in {None, each.kind})
    plan = make_plan(account, chosen, lock_named=False)
    return [change.requirement.summary for change in execute(account, plan)]


@pytest.fixture
def run(ready: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs a command as a new user with only this managed policy."""
    iam = ready.client("iam")
    users: list[tuple[str, str]] = []

    def run(*arguments: str, policy: str | Document = READER) -> Result:
        user = f"reader-{next(NUMBERS)}"
        arn = f"arn:aws:iam::{OURS}:policy/{policy}"
        if isinstance(policy, dict):
            made = iam.create_policy(PolicyName=user, PolicyDocument=json.dumps(policy))
            arn = made["Policy"]["Arn"]
        iam.create_user(UserName=user)
        iam.attach_user_policy(UserName=user, PolicyArn=arn)
        users.append((user, arn))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        session = boto3.Session(
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            region_name="us-east-1",
        )
        session._session.register_component("data_loader", DESCRIPTIONS)
        account = Account(session=session, endpoint=ready.endpoint)
        monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
        return CliRunner().invoke(cli, arguments)

    yield run
    for user, arn in users:
        iam.detach_user_policy(UserName=user, PolicyArn=arn)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_it_is_enough_for(run: Any, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "not checked" not in result.output
    if command[0] == "restore":
        assert result.stdout_bytes == BODY


NEEDED = sorted(actions(policies_of(STAGE)[f"{OURS}:policy/{READER}"]))


@pytest.mark.parametrize("action", NEEDED)
def test_each_of_its_rights_is_needed_by_a_command(run: Any, action: str) -> None:
    reader = policies_of(STAGE)[f"{OURS}:policy/{READER}"]
    statements = [
        {**each, "Action": rest}
        for each in reader["Statement"]
        if (rest := [name for name in each["Action"] if name != action])
    ]
    statuses = (run(*command, policy=document(*statements)).exit_code for command in COMMANDS)
    assert next(filter(None, statuses)) == 3


def test_an_archived_backup_needs_the_second_policy(run: Any) -> None:
    when = f"{NOW - 4 * DAY:%Y-%m-%d}"
    restore = ("restore", when, "--rule", KEY, "-o", "-", "--yes")
    denied = run(*restore)
    assert denied.exit_code == 3
    assert "RestoreObject is denied" in denied.stderr
    retrieved = run(*restore, policy=ARCHIVED)
    assert "The retrieval has started" in retrieved.stderr


def test_holding_them_is_no_finding_of_the_check(ready: Account) -> None:
    iam = ready.client("iam")
    for name in ("holder", "intruder"):
        iam.create_user(UserName=name)
    iam.attach_user_policy(UserName="holder", PolicyArn=f"arn:aws:iam::{OURS}:policy/{ARCHIVED}")
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_user_policy(
        UserName="intruder", PolicyName="own", PolicyDocument=json.dumps(document(everything))
    )
    target = Target(account=ready, stage=STAGE, policy=POLICY)
    [(_, places)] = places_by_account(target)
    found = [*check_principals(target, Identities(ready), places)]
    assert [result.what.split()[1] for result in found if isinstance(result, Finding)] == [
        "intruder"
    ]


def test_a_changed_policy_is_found_and_set_back_for_its_holders(ready: Account) -> None:
    iam, arn = ready.client("iam"), f"arn:aws:iam::{OURS}:policy/{READER}"
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for _ in range(MOST_VERSIONS + 1):
        assert set_up(ready, only=Kind.MANAGED_POLICY) == []
        if len(iam.list_policy_versions(PolicyArn=arn)["Versions"]) == MOST_VERSIONS:
            oldest = iam.list_policy_versions(PolicyArn=arn)["Versions"]
            iam.delete_policy_version(
                PolicyArn=arn,
                VersionId=next(v["VersionId"] for v in oldest if not v["IsDefaultVersion"]),
            )
        iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=json.dumps(document(everything)), SetAsDefault=True
        )
        [summary] = set_up(ready, only=Kind.MANAGED_POLICY)
        assert summary.startswith(f"IAM policy {READER}: allow its holders to list, verify")
    # A policy version that is not the default grants nothing.
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert len(versions) == MOST_VERSIONS
    iam.delete_policy(PolicyArn=f"arn:aws:iam::{OURS}:policy/{ARCHIVED}")
    [summary] = set_up(ready, only=Kind.MANAGED_POLICY)
    assert ARCHIVED in summary
