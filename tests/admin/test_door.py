"""The vault's one door: closed to everyone, opened to the caller of `setup`, and closed again."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto.s3.models import s3_backends

import admin.cli
import admin.setup.command
from admin.account import Account, AccountError, local_account
from admin.cli import cli
from admin.desired.door import VAULT_CONFIGURATION, whom_it_is_open_to
from admin.desired.permissions import statements
from admin.desired.requirement import Requirement
from admin.setup.door import PATIENT
from admin.setup.plan import Plan, execute, make_plan, requirements_of
from admin.target import Target
from admin.waiting import Waiter
from localcloud.cloud import Cloud, running
from localcloud.iam.authorization import Credentials
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, STAGE
from tests.support.sirens_topic import make_sirens_topic
from tests.support.sleeping_clock import SleepingClock

VAULT = "backups2"
ME = "AIDALOCALADMINISTRATOR"
KMS = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}


def vault_settings(account: Account) -> tuple[Requirement, ...]:
    target = Target(account=account, stage=STAGE, policy=POLICY)
    return tuple(one for one in requirements_of(target) if one.resource == VAULT)


def plan_of(account: Account) -> Plan:
    return make_plan(account, vault_settings(account), lock_named=False)


def set_up(account: Account, waiter: Waiter = PATIENT) -> list[str]:
    with closing(execute(account, plan_of(account), waiter)) as steps:
        return [change.requirement.kind.value for change in steps]


def weaken(account: Account) -> None:
    """Change something behind the door."""
    s3 = account.client("s3")
    with past_the_door(s3):
        s3.put_bucket_encryption(Bucket=VAULT, ServerSideEncryptionConfiguration=KMS)


def is_open_to(account: Account) -> str | None:
    policy = account.client("s3").get_bucket_policy(Bucket=VAULT)["Policy"]
    return whom_it_is_open_to(statements(json.loads(policy)))


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running(by_hand=True) as cloud:
        yield cloud


@pytest.fixture
def account(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account except for its vault; `setup` then creates only the vault, which is faster."""
    account = local_account(cloud.endpoint)
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    monkeypatch.setattr(
        admin.setup.command, "requirements_of", lambda target, _: vault_settings(target.account)
    )
    make_sirens_topic(account)
    s3 = account.client("s3")
    if any(bucket["Name"] == VAULT for bucket in s3.list_buckets()["Buckets"]):
        s3.delete_bucket_policy(Bucket=VAULT)
        s3.delete_bucket(Bucket=VAULT)
    return account


@pytest.fixture
def ready(account: Account) -> Account:
    """An account whose vault has all its settings, except for something behind the door."""
    set_up(account)
    weaken(account)
    return account


@contextmanager
def on_each(account: Account, event: str, handler: Callable[..., object]) -> Iterator[None]:
    """Within the block, `handler` receives each such botocore event of the account's S3 client."""
    events = account.client("s3").meta.events
    events.register_first(event, handler)
    try:
        yield
    finally:
        events.unregister(event, handler)


def denial(**_: Any) -> tuple[Any, dict[str, Any]]:
    """A response that replaces S3's own."""
    error = {"Code": "AccessDenied", "Message": "the old policy still counts"}
    return SimpleNamespace(status_code=403), {"Error": error, "ResponseMetadata": {}}


# Closed


S3 = botocore.session.get_session().get_service_model("s3")
# These actions change nothing that belongs to the vault, or are the door itself; see
# VAULT_CONFIGURATION.
NOT_BEHIND = {
    "CreateBucket",
    "DeleteBucketMetricsConfiguration",
    "DeleteBucketPolicy",
    "DeleteBucketTagging",
    "DeleteObjects",
    "HeadBucket",
    "PutBucketMetricsConfiguration",
    "PutBucketPolicy",
    "PutBucketTagging",
    "WriteGetObjectResponse",
}
CONFIGURATIONS = [
    name
    for name in S3.operation_names
    if S3.operation_model(name).http["method"] != "GET"
    and "Key" not in S3.operation_model(name).http["requestUri"]
    and name not in NOT_BEHIND
]


def smallest(shape: Any) -> Any:
    """The smallest argument of this shape that botocore accepts."""
    match shape.type_name:
        case "structure":
            return {name: smallest(shape.members[name]) for name in shape.required_members}
        case "list":
            return [smallest(shape.member)]
        case "string":
            return shape.enum[0] if shape.enum else "x"
        case "boolean":
            return True
        case _:
            return 1


def user(account: Account, *rights: dict[str, Any]) -> Credentials:
    iam = account.client("iam")
    name = f"administrator-{len(iam.list_users()['Users'])}"
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": rights})
    iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])


EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def test_every_configuration_that_s3_offers_is_denied(ready: Account, cloud: Cloud) -> None:
    """As an administrator with every right except on bucket policies."""
    except_policies = {"Effect": "Deny", "Action": "s3:*BucketPolicy", "Resource": "*"}
    s3 = cloud.session(user(ready, EVERYTHING, except_policies)).client("s3")
    before = s3_backends[ready.id]["aws"].buckets[VAULT]
    not_denied = {}
    for operation in CONFIGURATIONS:
        arguments = smallest(S3.operation_model(operation).input_shape) | {"Bucket": VAULT}
        denial = answer_to(getattr(s3, xform_name(operation)), arguments)
        if "with an explicit deny in a resource-based policy" not in denial:
            not_denied[operation] = denial
    assert not_denied == {}
    assert len(CONFIGURATIONS) >= len(VAULT_CONFIGURATION)
    assert s3_backends[ready.id]["aws"].buckets[VAULT] is before


def answer_to(call: Callable[..., object], arguments: dict[str, Any]) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return f"{error}"
    return "done"


# Opened


def test_it_is_opened_to_the_caller_alone(ready: Account, cloud: Cloud) -> None:
    other = cloud.session(user(ready, EVERYTHING)).client("s3")
    arguments: Any = {"Bucket": VAULT, "VersioningConfiguration": {"Status": "Enabled"}}
    with closing(execute(ready, plan_of(ready))) as steps:
        next(steps)
        assert is_open_to(ready) == ME
        ready.client("s3").put_bucket_versioning(**arguments)
        with pytest.raises(ClientError, match="AccessDenied"):
            other.put_bucket_versioning(**arguments)
    assert is_open_to(ready) is None
    with pytest.raises(ClientError, match="AccessDenied"):
        ready.client("s3").put_bucket_versioning(**arguments)


def policies_written(account: Account) -> list[int]:
    """How many bucket policies `setup` writes."""
    written: list[int] = []

    def note(**_: Any) -> None:
        written.append(1)

    with on_each(account, "before-call.s3.PutBucketPolicy", note):
        set_up(account)
    return written


def test_it_stays_closed_unless_something_behind_it_changes(account: Account) -> None:
    # A vault that does not exist yet has no door; neither does a vault of an earlier version.
    assert len(policies_written(account)) == 1
    assert policies_written(account) == []
    without_door(account)
    assert len(policies_written(account)) == 1
    without_door(account)
    weaken(account)
    assert len(policies_written(account)) == 1
    weaken(account)
    assert len(policies_written(account)) == 2


def without_door(account: Account) -> None:
    s3 = account.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=VAULT)["Policy"])
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != "OneDoor"]
    s3.put_bucket_policy(Bucket=VAULT, Policy=json.dumps(policy))


def test_the_plan_says_that_it_is_opened(ready: Account) -> None:
    sentence = "It is opened to you alone for these changes, and closed afterwards."
    run = CliRunner().invoke
    assert sentence in run(cli, ["setup"]).stdout
    done = run(cli, ["setup", "--apply", "--yes"])
    assert (done.exit_code, is_open_to(ready)) == (0, None)
    without_door(ready)
    assert sentence not in run(cli, ["setup"]).stdout


# Retried


def test_a_denial_is_retried_until_the_opened_policy_has_taken_effect(ready: Account) -> None:
    clock, lines = SleepingClock(), list[str]()
    waiter = replace(PATIENT, tell=lines.append, monotonic=clock.monotonic, sleep=clock.sleep)

    def deny_for_a_while(**_: Any) -> Any:
        return denial() if clock.seconds < 100 else None

    with on_each(ready, "before-call.s3.PutBucketEncryption", deny_for_a_while):
        assert set_up(ready, waiter) == ["encryption"]
    assert 100 <= clock.seconds < 103
    assert lines[0].startswith("waiting for the opened bucket policy to take effect: ")
    assert (plan_of(ready).changes, is_open_to(ready)) == ((), None)


def test_a_lasting_denial_is_raised_after_two_minutes_and_the_door_is_closed(
    ready: Account,
) -> None:
    clock = SleepingClock()
    waiter = replace(PATIENT, monotonic=clock.monotonic, sleep=clock.sleep)
    with (
        on_each(ready, "before-call.s3.PutBucketEncryption", denial),
        pytest.raises(ClientError, match="the old policy still counts"),
    ):
        set_up(ready, waiter)
    assert 120 <= clock.seconds < 123
    assert is_open_to(ready) is None


# Closed again


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_it_is_closed_when_a_change_fails(ready: Account, error: type[BaseException]) -> None:
    def fail(**_: Any) -> None:
        assert is_open_to(ready) == ME
        raise error

    with on_each(ready, "before-call.s3.PutBucketEncryption", fail), pytest.raises(error):
        set_up(ready)
    assert is_open_to(ready) is None


def test_ctrl_c_between_two_changes_closes_it(
    ready: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(text: object = "", **_: Any) -> None:
        if "encrypt with S3's own keys" in str(text) and is_open_to(ready):
            raise KeyboardInterrupt

    monkeypatch.setattr(admin.setup.command.click, "echo", echo)
    assert CliRunner().invoke(cli, ["setup", "--apply", "--yes"]).exit_code == 130
    assert is_open_to(ready) is None


def test_it_is_closed_also_if_s3_is_busy_with_the_change_before(ready: Account) -> None:
    sent: list[Any] = []

    def busy(request: Any, **_: Any) -> AWSResponse | None:
        sent.append(request)
        if len(sent) != len(("opens", "closes")):
            return None
        response = AWSResponse(request.url, 409, {}, None)
        response._content = b"<Error><Code>OperationAborted</Code></Error>"
        return response

    with on_each(ready, "before-send.s3.PutBucketPolicy", busy):
        set_up(ready)
    assert (len(sent), is_open_to(ready)) == (3, None)


def test_a_door_that_cannot_be_closed_is_one_sentence(ready: Account) -> None:
    answers = iter([None, denial()])
    with (
        on_each(ready, "before-call.s3.PutBucketPolicy", lambda **_: next(answers)),
        pytest.raises(AccountError, match=r"backups2 could not be closed .* run the same command"),
    ):
        set_up(ready)
    assert is_open_to(ready) == ME
    assert set_up(ready) == ["bucket policy"]
    assert is_open_to(ready) is None


def test_a_door_that_cannot_be_opened_needs_no_closing(ready: Account) -> None:
    with (
        on_each(ready, "before-call.s3.PutBucketPolicy", denial),
        pytest.raises(ClientError, match="PutBucketPolicy"),
    ):
        set_up(ready)
    assert is_open_to(ready) is None


class Killed(BaseException):
    """The process was killed: it sends no further request."""


def test_the_next_run_recovers_from_a_kill_at_any_request(account: Account) -> None:
    set_up(account)
    seen = set()
    for requests in range(1, 100):
        weaken(account)
        left = iter(range(requests))

        def send_until_killed(left: Iterator[int] = left, **_: Any) -> None:
            if next(left, None) is None:
                raise Killed

        plan = plan_of(account)
        with on_each(account, "before-send.s3", send_until_killed):
            try:
                for _ in execute(account, plan):
                    pass
            except Killed:
                killed = True
            else:
                killed = False
        changed = "encryption" not in {one.requirement.kind for one in plan_of(account).changes}
        seen.add((is_open_to(account), changed))
        set_up(account)
        assert (plan_of(account).changes, is_open_to(account)) == ((), None)
        if not killed:
            break
    # The states of the door: before it was opened, opened, changed, and closed.
    assert seen == {(None, False), (ME, False), (ME, True), (None, True)}
