"""The drill in a local cloud with the deployed app: it passes, or names the broken promise."""

import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from click.testing import CliRunner
from moto.iam.exceptions import DeleteConflictException, NoSuchEntity
from moto.iam.models import IAMBackend, iam_backends
from moto.iam.responses import IamResponse
from moto.s3.exceptions import PreconditionFailed
from moto.s3.models import FakeBucket, s3_backends
from urllib3 import HTTPResponse

import admin.cli
import admin.drill.command
import admin.drill.scenario
import admin.waiting
from admin.account import Account, AccountError, local_account
from admin.cli import cli
from admin.desired.permissions import DENY_EVERYTHING, REVOKED, document, server_policy
from admin.drill.attacks import NOT_FREE, StoredObject
from admin.drill.bucket_attacks import CONFIGURATIONS, bucket_attacks
from admin.drill.object_attacks import read_attacks, upload_attacks, write_attacks
from admin.drill.real_keys import servers_can_upload
from admin.drill.scenario import drill
from admin.drill.simulation import read_bucket
from admin.drill.temporary_access import TRUST_SID, TemporaryAccess
from admin.drill.uploads import DrillUploads, Uploaded
from admin.setup.plan import make_plan, requirements_of
from admin.stage import Stage
from admin.target import Target
from admin.waiting import Waiter
from demo.stage import StageCloud, running
from localcloud.clock import clock
from localcloud.s3.objects import ObjectRequests
from localcloud.s3.responses import StrictS3
from tests.support.past_the_door import past_the_door
from tests.support.project import POLICY, STAGE, stage_named
from tests.support.sleeping_clock import SleepingClock
from tests.support.stored_state import state_of

PROMOTER = STAGE.function_name("promote")
ROLE = f"arn:aws:iam::123456789012:role/{PROMOTER}"
BUCKETS = ("backups1", "backups2")


@dataclass(frozen=True)
class Deployed:
    """The account of a local cloud after `make deploy`, with ways to inspect it."""

    account: Account
    cloud: StageCloud

    def forget_drill_objects(self) -> None:
        """Empty the drill's slots, so that no test has to wait for the next minute."""
        self.cloud.functions.wait_until_quiet(timeout=60)
        keys = s3_backends["123456789012"]["aws"].buckets["backups2"].keys
        for name in [name for name in keys if name.startswith("drill/")]:
            dict.pop(keys, name)

    def trust(self) -> list[dict[str, Any]]:
        role = self.account.client("iam").get_role(RoleName=PROMOTER)["Role"]
        return list(role["AssumeRolePolicyDocument"]["Statement"])

    def left_behind(self) -> set[str]:
        """The names of the drill's leftovers in the account."""
        s3 = self.account.client("s3")
        uploads = s3.list_object_versions(Bucket="backups1", Prefix="drill/")
        unfinished = s3.list_multipart_uploads(Bucket="backups1", Prefix="drill/")
        writes = s3.list_multipart_uploads(Bucket="backups2", Prefix="drill/")
        users = self.account.client("iam").list_users()["Users"]
        remains = {
            "user": any(user["UserName"] == STAGE.drill_user for user in users),
            "trust": any(statement.get("Sid") == TRUST_SID for statement in self.trust()),
            "uploads": "Versions" in uploads or "DeleteMarkers" in uploads,
            "unfinished uploads": "Uploads" in unfinished,
            "unfinished writes": "Uploads" in writes,
        }
        return {what for what, is_there in remains.items() if is_there}


@pytest.fixture(scope="module")
def deployment(project: Path, packages: Path) -> Iterator[Deployed]:
    # One container is enough, and starting several is slow.
    with running(retry_delays=(0, 0), concurrency=1) as cloud:
        cloud.prepare(project_dir=project)
        cloud.deploy(project_dir=project, packages=packages)
        deployed = Deployed(local_account(cloud.endpoint), cloud)
        # What a drill must not touch: a backup, and an upload that no rule names.
        s3 = deployed.account.client("s3")
        s3.put_object(Bucket="backups1", Key="sql.gz.gpg", Body=b"tables")
        s3.put_object(Bucket="backups1", Key="notes.txt", Body=b"notes")
        cloud.functions.wait_until_quiet(timeout=60)
        yield deployed
        # Every test must have undone its own weakenings.
        plan = make_plan(
            deployed.account, requirements_of(target_of(deployed.account)), lock_named=False
        )
        assert plan.changes == ()


@pytest.fixture
def waiting(deployment: Deployed, monkeypatch: pytest.MonkeyPatch) -> SleepingClock:
    """The clock for waits of the drill and for botocore's waits before retries."""
    clock = QuietClock(deployment.cloud)
    monkeypatch.setattr(admin.waiting, "time", clock)
    monkeypatch.setattr("botocore.endpoint.time", clock)
    return clock


@pytest.fixture
def deployed(
    deployment: Deployed, waiting: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed]:
    """Restores what a test weakens: the promoter's policy, and any setting of the buckets.

    Any other change that a test leaves behind is found after the last test.
    """
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: deployment.account)
    s3, iam = s3_backends["123456789012"]["aws"], iam_backends["123456789012"]["aws"]
    role = iam.get_role(PROMOTER)
    policies = dict(role.policies)
    settings = {name: settings_of(s3.buckets[name]) for name in BUCKETS}
    yield deployment
    monkeypatch.undo()
    # An event that is still queued becomes due only when the clock shows its time again.
    deployment.forget_drill_objects()
    clock.reset()
    role.policies = policies
    for name, before in settings.items():
        vars(s3.buckets[name]).update(before)


def settings_of(bucket: FakeBucket) -> dict[str, Any]:
    """Copy everything about the bucket but its objects."""
    objects = ("keys", "multiparts")
    return deepcopy({name: value for name, value in vars(bucket).items() if name not in objects})


class QuietClock(SleepingClock):
    """A clock whose sleep lasts until no function is running: nothing else changes the account.

    Then the promoter, which never runs twice at once, is free. A wait that fails takes no time.
    """

    def __init__(self, cloud: StageCloud) -> None:
        super().__init__()
        self._cloud = cloud

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._cloud.functions.wait_until_quiet(timeout=60)


def start(deployed: Deployed, *, assume: bool = True, quick: bool = True) -> Any:
    waiter = Waiter(seconds=60, tell=lambda _: None)
    return drill(target_of(deployed.account), assume=assume, quick=quick, waiter=waiter)


def target_of(account: Account, stage: Stage = STAGE) -> Target:
    return Target(account=account, stage=stage, policy=POLICY)


def temporary_in(account: Account) -> TemporaryAccess:
    waiter = Waiter(seconds=100, tell=lambda _: None)
    return TemporaryAccess(target=target_of(account), role=ROLE, waiter=waiter)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["drill", "--quick", *arguments])


def test_a_deployed_stage_passes_and_nothing_but_tiny_objects_stay(deployed: Deployed) -> None:
    before = deployed.trust()
    result = run("--assume")
    assert result.exit_code == 0, result.stderr
    assert "All as promised" in result.stderr
    for promise in (
        "the store denies CopyObject with If-None-Match if the object exists",
        "skipped (--quick): a multipart upload of 36,700,160 bytes",
        "promoted to backups2/drill/",
        "a second upload for a slot is contested",
        "(governance)",
        "server cannot delete a stored backup: 403 AccessDenied",
        "administrator cannot overwrite a stored backup: 403 AccessDenied (bucket policy)",
        "the vault's bucket policy lets the promoter only add new objects (IAM's simulator)",
        "administrator cannot change the lifecycle of backups2: 403 AccessDenied (bucket policy)",
        "administrator cannot change or delete backups2, even with every right (IAM's simulator)",
        "servers can upload their real keys (IAM's simulator)",
        "promoter can promote the servers' real uploads (IAM's simulator)",
        "promoter cannot store a copy encrypted with a KMS key: 403 AccessDenied (bucket policy)",
        "promoter cannot start a multipart upload encrypted with its own key (SSE-C): 403",
        "promoter cannot complete a multipart upload over a stored backup: 403 AccessDenied",
        "promoter cannot delete a stored version, bypassing the lock: 403 AccessDenied",
        "was restored byte for byte",
    ):
        assert promise in result.stdout
    assert result.stdout.count("412 PreconditionFailed") == 3
    assert all(line[6:9] == " s " for line in result.stdout.splitlines())

    assert deployed.left_behind() == set()
    assert deployed.trust() == before
    s3 = deployed.account.client("s3")
    kept = s3.list_objects_v2(Bucket="backups2", Prefix="drill/")["Contents"]
    assert {item["Size"] for item in kept} == {1024}


def test_a_multipart_upload_goes_all_the_way_too(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free_the_slot(_: DrillUploads) -> None:
        deployed.forget_drill_objects()

    monkeypatch.setattr(DrillUploads, "wait_for_a_free_slot", free_the_slot)
    sentences = [step.sentence for step in start(deployed, assume=False, quick=False)]
    begun = sentences.index("server uploaded 36,700,160 bytes in 5 parts")
    promoted, locked, restored = sentences[begun + 1 : begun + 4]
    slot = promoted.split()[2]
    assert promoted == f"promoted to {slot} by a conditional copy in 2 parts"
    assert locked.startswith("the stored object is locked until")
    assert restored == f"{slot} was restored byte for byte"
    assert deployed.left_behind() == set()


def test_a_vault_without_a_lock_is_reported(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = s3_backends["123456789012"]["aws"].buckets["backups2"]
    for part in ("mode", "days", "years"):
        monkeypatch.setattr(vault, f"default_lock_{part}", None)
    sentences = [step.sentence for step in start(deployed, assume=False)]
    assert "the stored object is not locked: the vault has no default lock" in sentences


def test_without_assume_nobody_is_trusted(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(TemporaryAccess, "trust_caller")
    steps = [step.sentence for step in start(deployed, assume=False)]
    assert not any(sentence.startswith("promoter cannot overwrite") for sentence in steps)
    assert steps[-2].endswith("was restored byte for byte")


def test_the_next_drill_cleans_up_after_a_kill_at_any_step_and_passes(deployed: Deployed) -> None:
    before = deployed.trust()
    taken, seen = 1, set()
    while True:
        killed = start(deployed)  # which stays open until the next connection is through
        if len([step for _, step in zip(range(taken), killed, strict=False)]) < taken:
            break
        seen |= deployed.left_behind()
        following = start(deployed, assume=False)
        next(following)
        assert deployed.left_behind() == set()
        assert deployed.trust() == before
        following.close()
        deployed.forget_drill_objects()
        # Every thirtieth attack represents the others; attacks change nothing.
        taken += 1 if taken < 9 else 30
    assert seen == {"user", "trust", "uploads"}
    deployed.forget_drill_objects()
    assert run("--assume").exit_code == 0


def test_the_next_drill_aborts_multipart_uploads_that_were_killed(deployed: Deployed) -> None:
    s3 = deployed.account.client("s3")
    s3.create_multipart_upload(Bucket="backups1", Key="drill/taken")
    with past_the_door(s3):
        s3.create_multipart_upload(Bucket="backups2", Key="drill/slot")
    assert deployed.left_behind() == {"unfinished uploads", "unfinished writes"}
    next(following := start(deployed))
    assert deployed.left_behind() == set()
    following.close()


def test_a_throttled_promoter_is_retried() -> None:
    """An account that runs few functions at a time may still be settling another upload."""
    client = boto3.client("lambda", region_name="us-east-1")
    payload = json.dumps({"outcomes": [{"outcome": "contested"}]}).encode()
    account: Any = SimpleNamespace(client=lambda _: client)
    with Stubber(client) as stubber:
        stubber.add_client_error("invoke", "TooManyRequestsException")
        body = StreamingBody(io.BytesIO(payload), len(payload))
        stubber.add_response("invoke", {"Payload": body})
        waiter = Waiter(seconds=1, tell=lambda _: None, sleep=lambda _: None)
        uploads = DrillUploads(target=target_of(account), waiter=waiter)
        assert uploads.outcome() == {"outcome": "contested"}


def test_an_interrupted_drill_cleans_up(deployed: Deployed) -> None:
    steps = start(deployed)
    for step in steps:
        if "trusts you" in step.sentence:
            break
    assert deployed.left_behind() == {"user", "trust", "uploads"}
    steps.close()
    assert deployed.left_behind() == set()


# Each promise, broken


Weaken = Callable[["Deployed", Any], None]


def rewritten(
    bucket: str, rewrite: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> Weaken:
    """Rewrite the statements of the bucket's policy."""

    def weaken(deployed: Deployed, _: Any) -> None:
        s3 = deployed.account.client("s3")
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        policy["Statement"] = rewrite(policy["Statement"])
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    return weaken


def without(*sids: str, bucket: str = "backups2") -> Weaken:
    """Remove these statements from the bucket's policy."""
    return rewritten(bucket, lambda policy: [one for one in policy if one["Sid"] not in sids])


def without_action(sid: str, action: str) -> Weaken:
    """Remove one action from a statement that denies actions in the vault's bucket policy."""

    def rewrite(policy: list[dict[str, Any]]) -> list[dict[str, Any]]:
        [statement] = [one for one in policy if one["Sid"] == sid]
        statement["Action"].remove(action)
        return policy

    return rewritten("backups2", rewrite)


def narrowed(sid: str, resource: str) -> Weaken:
    """Make a statement of the vault's bucket policy apply to fewer objects."""
    return rewritten(
        "backups2",
        lambda policy: [
            {**one, "Resource": resource} if one["Sid"] == sid else one for one in policy
        ],
    )


def without_policy(deployed: Deployed, _: Any) -> None:
    deployed.account.client("s3").delete_bucket_policy(Bucket="backups2")


def denying(bucket: str, action: str, keys: str) -> Weaken:
    """Deny everyone an action on these keys, which are not the drill's."""
    denial = {
        "Sid": "Foreign",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": f"arn:aws:s3:::{bucket}/{keys}",
    }
    return rewritten(bucket, lambda policy: [*policy, denial])


def readable(bucket: str) -> Weaken:
    """Let everyone read the bucket."""

    def weaken(deployed: Deployed, _: Any) -> None:
        s3 = deployed.account.client("s3")
        # The public access block would deny the policy itself.
        with past_the_door(s3, bucket):
            s3.delete_public_access_block(Bucket=bucket)
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        policy["Statement"].append(
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{bucket}/*",
            }
        )
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    return weaken


def promoter(*actions: str) -> Weaken:
    """Reduce the promoter's own IAM policy to this."""

    def weaken(deployed: Deployed, _: Any) -> None:
        own = {"Effect": "Allow", "Action": [*actions], "Resource": "*"}
        deployed.account.client("iam").put_role_policy(
            RoleName=PROMOTER, PolicyName=PROMOTER, PolicyDocument=json.dumps(document(own))
        )

    return weaken


def ask_the_role_for_no_value(deployed: Deployed, _: Any) -> None:
    """Let the role's condition accept an empty header, as an earlier version did."""
    iam = deployed.account.client("iam")
    own = iam.get_role_policy(RoleName=PROMOTER, PolicyName=PROMOTER)["PolicyDocument"]
    [fills] = [statement for statement in own["Statement"] if statement["Sid"] == "FillFreeSlots"]
    fills["Condition"] = {"Null": {"s3:if-none-match": "false"}}
    iam.put_role_policy(RoleName=PROMOTER, PolicyName=PROMOTER, PolicyDocument=json.dumps(own))


def ask_the_vault_for_no_value(deployed: Deployed, _: Any) -> None:
    s3 = deployed.account.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket="backups2")["Policy"])
    [new] = [statement for statement in policy["Statement"] if statement["Sid"] == "OnlyWhatIsNew"]
    del new["Condition"]["StringNotLike"]
    new["Condition"]["Null"] = {"s3:if-none-match": "true"}
    s3.put_bucket_policy(Bucket="backups2", Policy=json.dumps(policy))


def notify_nobody(deployed: Deployed, _: Any) -> None:
    deployed.account.client("s3").put_bucket_notification_configuration(
        Bucket="backups1", NotificationConfiguration={}
    )


def copies(how: Callable[..., Any]) -> Weaken:
    def weaken(_: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(StrictS3, "copy_object", how)

    return weaken


def overwrite(self: StrictS3) -> Any:
    with patch("localcloud.s3.objects.refuse_unless_conditions_hold"):
        return ObjectRequests.copy_object(self)


def overwrite_and_refuse(self: StrictS3) -> Any:
    overwrite(self)
    raise PreconditionFailed("If-None-Match")


def refuse(self: StrictS3) -> Any:
    raise PreconditionFailed("If-None-Match")


def change_what_comes_back(_: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DrillUploads, "restore", lambda self, stored: "another digest")


def forget_locks(_: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault has a default lock that does not lock anything."""
    monkeypatch.setattr(FakeBucket, "has_default_lock", False)


def forget_versions(_: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = s3_backends["123456789012"]["aws"].buckets["backups2"]
    monkeypatch.setattr(vault, "versioning_status", None)
    monkeypatch.setattr(vault, "object_lock_enabled", False)


def forbid_uploads(_: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"})
    monkeypatch.setattr(admin.drill.scenario, "server_policy", lambda *_, **__: nothing)


BROKEN = {
    "no bucket policy": (
        without_policy,
        "administrator cannot overwrite a stored backup: the request succeeded",
    ),
    "nobody adds but the promoter": (
        without("OnlyThePromoterAdds"),
        "administrator cannot write to a filled slot with If-None-Match: S3 returned 412 ",
    ),
    "nothing is changed": (
        without("NothingStoredIsChanged"),
        "administrator cannot tag a stored backup: the request succeeded",
    ),
    "one door": (
        without("OneDoor"),
        "administrator cannot change the lock of a stored backup: the request succeeded",
    ),
    "only what is new": (
        without("OnlyWhatIsNew"),
        "the vault's bucket policy lets the promoter only add .*simulator, s3:PutObject on",
    ),
    "no KMS keys": (
        without("NoKmsKeys"),
        "the vault's bucket policy lets the promoter only .*s3:PutObject encrypted with a KMS key",
    ),
    "no SSE-C keys": (
        without("NoKeysOfCustomers"),
        "the vault's bucket policy lets the promoter .*s3:PutObject encrypted with its own",
    ),
    "only TLS to the vault": (
        without("OnlyTls"),
        "both buckets deny writes without TLS: .*s3:PutObject on .*backups2/drill/.* is allowed",
    ),
    "no KMS keys in incoming": (
        without("NoKmsKeys", bucket="backups1"),
        "server cannot upload encrypted with a KMS key: the request succeeded",
    ),
    "no SSE-C keys in incoming": (
        without("NoKeysOfCustomers", bucket="backups1"),
        "server cannot upload encrypted with its own key .*: the request succeeded",
    ),
    "only what can be promoted": (
        without("OnlyStandard", bucket="backups1"),
        "server cannot upload in an archive class: the request succeeded",
    ),
    "only TLS to incoming": (
        without("OnlyTls", bucket="backups1"),
        "both buckets deny writes without TLS: .*s3:PutObject on .*backups1/drill/.* is allowed",
    ),
    "a lifecycle that an administrator can write": (
        without_action("OneDoor", "s3:PutLifecycleConfiguration"),
        "administrator cannot change the lifecycle of backups2: the request succeeded",
    ),
    "a default encryption that an administrator can write": (
        without_action("OneDoor", "s3:PutEncryptionConfiguration"),
        "administrator cannot change the default encryption of backups2: the request succeeded",
    ),
    "a replication that the vault does not have": (
        without_action("OneDoor", "s3:PutReplicationConfiguration"),
        "server cannot change or delete backups2, .*s3:PutReplicationConfiguration on .* allowed",
    ),
    "changes denied only for the drill's objects": (
        narrowed("NothingStoredIsChanged", "arn:aws:s3:::backups2/drill/*"),
        "the vault's bucket policy lets the promoter .*s3:DeleteObject on .*backups2/2.*sql.gz.gpg",
    ),
    "a denied upload": (
        denying("backups1", "s3:PutObject", "sql.gz.gpg"),
        "servers can upload their real keys: .*backups1/sql.gz.gpg is explicitDeny",
    ),
    "a denied promotion": (
        denying("backups2", "s3:PutObject", "*.sql.gz.gpg"),
        "promoter can promote the servers' real uploads: .*backups2/.*sql.gz.gpg is explicitDeny",
    ),
    "only with a condition that has a value": (
        ask_the_vault_for_no_value,
        "the vault's bucket policy lets the promoter .*s3:PutObject with an empty If-None-Match on",
    ),
    "a promoter whose condition needs no value": (
        ask_the_role_for_no_value,
        "its role's IAM policy lets the promoter .*s3:PutObject with an empty If-None-Match on",
    ),
    "a promoter with more rights": (
        promoter("s3:*"),
        "its role's IAM policy lets the promoter only add .*s3:DeleteObject on .* is allowed",
    ),
    "a promoter with fewer rights": (
        promoter("s3:GetObject", "s3:ListBucket"),
        "an upload is promoted: it was not promoted within 1 seconds",
    ),
    "a default lock that does not lock": (
        forget_locks,
        "the stored object is locked: it is not, though the vault's default lock is governance",
    ),
    "a vault without versions": (forget_versions, "every version .*: versioning is not enabled"),
    "no notification": (notify_nobody, "it was not promoted within 1 .*backups1 notifies"),
    "uploads that are read": (
        readable("backups1"),
        "server cannot read its own upload: the request",
    ),
    "backups that are read": (
        readable("backups2"),
        "server cannot read a stored backup: the request",
    ),
    "a store without conditions": (
        copies(overwrite),
        "CopyObject .*never overwrites: the store ignores the condition.* store is not safe",
    ),
    "a store that refuses too late": (copies(overwrite_and_refuse), "but overwrote the object"),
    "a store that always refuses": (copies(refuse), "the store returned 412 PreconditionFailed"),
    "other bytes": (change_what_comes_back, "was restored byte for byte: its bytes differ"),
    "a server that cannot upload": (
        forbid_uploads,
        "servers can upload their own keys: still denied",
    ),
}


# The timeout of `waiting`, in seconds, for tests in which the wait fails.
SHORT_WAITS = {
    "a promoter with fewer rights": 1.0,
    "no notification": 1.0,
    "a server that cannot upload": 0.2,
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_promise_is_named_and_ends_the_drill(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    weaken, sentence_pattern = BROKEN[broken]
    if broken in SHORT_WAITS:
        monkeypatch.setattr(admin.drill.command, "MAX_WAIT", SHORT_WAITS[broken])
    weaken(deployed, monkeypatch)
    before = everything_but_drills(deployed.account)
    result = run()
    assert result.exit_code == 1, result.stdout + result.stderr
    assert everything_but_drills(deployed.account) == before
    assert "All as promised" not in result.stderr
    [sentence] = [line for line in result.stderr.splitlines() if line.startswith("Not as promised")]
    assert re.search(sentence_pattern, sentence), sentence
    assert deployed.left_behind() == set()


def test_a_deny_whose_condition_the_drill_cannot_know_is_not_checked(deployed: Deployed) -> None:
    def only_from_the_office(policy: list[dict[str, Any]]) -> list[dict[str, Any]]:
        denial = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::backups1/sql.gz.gpg",
            "Condition": {"StringNotEquals": {"aws:SourceIp": "203.0.113.7"}},
        }
        return [*policy, denial]

    rewritten("backups1", only_from_the_office)(deployed, None)
    result = run("--assume")
    assert result.exit_code == 3
    [line] = [line for line in result.stdout.splitlines() if "not checked" in line]
    assert line[10:] == (
        "not checked: whether servers can upload their real keys, because a policy depends on "
        "aws:SourceIp, which the drill cannot know for a real request"
    )
    # Everything else is still tried.
    assert "promoter cannot tag a stored backup" in result.stdout
    assert "Not checked: 1 of the promises (see above). All others hold." in (result.stderr)


def test_a_server_without_access_is_reported_and_breaks_no_promise(deployed: Deployed) -> None:
    iam, user = deployed.account.client("iam"), STAGE.server_user(None)
    where = {"UserName": user, "PolicyName": REVOKED}
    iam.put_user_policy(**where, PolicyDocument=json.dumps(DENY_EVERYTHING))
    try:
        sentences = [step.sentence for step in start(deployed, assume=False)]
    finally:
        iam.delete_user_policy(**where)
    assert f"the access of the user {user} is revoked, so it cannot upload" in sentences


def test_many_servers_take_few_requests_and_the_drill_reports_its_progress(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = replace(POLICY, servers=tuple(f"web{number}" for number in range(60)))
    target = replace(target_of(deployed.account), policy=many)
    incoming, lines, requests = read_bucket(target, "backups1"), list[str](), Counter[str]()
    iam = iam_backends["123456789012"]["aws"]
    for server in many.servers:
        rights = server_policy(many, incoming="backups1", server=server)
        iam.create_user("us-east-1", STAGE.server_user(server)).put_policy("x", json.dumps(rights))
    call = BaseClient._make_api_call

    def count(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        requests[operation] += 1
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", count)
    try:
        assert [*servers_can_upload(target, incoming, tell=lines.append)] == [
            "servers can upload their real keys (IAM's simulator)"
        ]
    finally:
        for server in many.servers:
            del iam.users[STAGE.server_user(server)]
    assert requests == {"GetAccountAuthorizationDetails": 1, "SimulatePrincipalPolicy": 2 * 60}
    assert lines == [f"running IAM's simulator: {done} of 60 servers" for done in (25, 50)]


def everything_but_drills(account: Account) -> dict[str, Any]:
    """Everything that a drill could damage: both buckets, and users, roles and functions."""
    held: dict[str, Any] = {name: state_of(name, except_below="drill/") for name in BUCKETS}
    held["functions"] = account.client("lambda").list_functions()["Functions"]
    iam = account.client("iam").get_account_authorization_details()
    held["users"] = iam["UserDetailList"], iam["GroupDetailList"], iam["Policies"]
    held["roles"] = [{**role, "RoleLastUsed": None} for role in iam["RoleDetailList"]]
    return held


@contextmanager
def every_configuration(s3: Any) -> Iterator[None]:
    """Within the block, the vault has the configurations that it usually lacks."""
    vault = {"Bucket": "backups2"}
    s3.put_bucket_accelerate_configuration(**vault, AccelerateConfiguration={"Status": "Enabled"})
    cors = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.org"]}
    s3.put_bucket_cors(**vault, CORSConfiguration={"CORSRules": [cors]})
    website = {"IndexDocument": {"Suffix": "index.html"}}
    s3.put_bucket_website(**vault, WebsiteConfiguration=website)
    replication = {
        "ID": "elsewhere",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": "arn:aws:s3:::backups1"},
    }
    s3.put_bucket_replication(
        **vault, ReplicationConfiguration={"Role": ROLE, "Rules": [replication]}
    )
    s3.create_bucket(Bucket="access-log")
    writer = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::access-log/*",
    }
    s3.put_bucket_policy(Bucket="access-log", Policy=json.dumps(document(writer)))
    log = {"TargetBucket": "access-log", "TargetPrefix": ""}
    s3.put_bucket_logging(**vault, BucketLoggingStatus={"LoggingEnabled": log})
    yield
    s3.put_bucket_logging(**vault, BucketLoggingStatus={})
    for operation in ("replication", "website", "cors"):
        getattr(s3, f"delete_bucket_{operation}")(**vault)


def test_every_attack_that_succeeds_changes_only_objects_of_the_drill(deployed: Deployed) -> None:
    """Act as an administrator to whom no bucket policy denies anything."""
    s3 = deployed.account.client("s3")
    for bucket in ("backups1", "backups2"):
        s3.delete_bucket_policy(Bucket=bucket)
    s3.put_object(Bucket="backups2", Key="drill/slot", Body=b"stored")
    head = s3.head_object(Bucket="backups2", Key="drill/slot")
    version = {"Bucket": "backups2", "Key": "drill/slot", "VersionId": head["VersionId"]}
    stored = StoredObject(
        incoming="backups1",
        upload="drill/source",
        vault="backups2",
        slot="drill/slot",
        version_id=head["VersionId"],
        parts=None,
        lock_mode=head["ObjectLockMode"],
        locked_until=head["ObjectLockRetainUntilDate"],
    )
    with every_configuration(s3):
        before = everything_but_drills(deployed.account)
        succeeded, refused = set(), {}
        for attacks in (
            read_attacks(s3, stored),
            upload_attacks(s3, stored),
            bucket_attacks(s3, reader=s3, bucket="backups2"),
            write_attacks(s3, stored, if_free=NOT_FREE),
        ):
            s3.put_object(Bucket="backups1", Key="drill/source", Body=b"uploaded")
            for attack in attacks:
                try:
                    attack.call()
                    succeeded.add(attack.does)
                    if attack.does == "change the lock of a stored backup":
                        retention = s3.get_object_retention(**version)["Retention"]
                        assert retention["RetainUntilDate"] == stored.locked_until
                except ClientError as error:
                    refused[attack.does] = error.response["Error"]["Code"]
        assert everything_but_drills(deployed.account) == before
    assert {f"change the {name} of backups2" for name, _ in CONFIGURATIONS.values()} <= succeeded
    conditional = "to a filled slot with If-None-Match"
    assert refused == {
        "overwrite a stored backup, with an empty If-None-Match": "NotImplemented",
        "copy over a stored backup, with an empty If-None-Match": "NotImplemented",
        "complete a multipart upload over a stored backup, with an empty If-None-Match": (
            "NotImplemented"
        ),
        f"write {conditional}": NOT_FREE,
        f"copy {conditional}": NOT_FREE,
        f"complete a multipart upload {conditional}": NOT_FREE,
        "delete a stored version": "AccessDenied",  # by the lock
    }


# When a minute begins in between


def shift_clock(monkeypatch: pytest.MonkeyPatch, *, uploads: Callable[[int], int]) -> None:
    """Set S3's clock forward by `uploads(n)` minutes at the n-th upload."""
    upload, count = DrillUploads.upload, iter(range(100))

    def shifted(self: DrillUploads, server: Any) -> Uploaded:
        minutes = timedelta(minutes=uploads(next(count)))
        clock.reset()
        clock.advance(minutes)
        return upload(self, server)

    monkeypatch.setattr(DrillUploads, "upload", shifted)


def test_an_upload_of_the_next_minute_is_promoted_and_a_third_contested(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift_clock(monkeypatch, uploads=lambda number: min(number, 1) * 2)
    sentences = [step.sentence for step in start(deployed)]
    [first] = [line for line in sentences if "promoted to backups2" in line]
    [restored] = [line for line in sentences if "was restored" in line]
    assert first.split()[2] != restored.split()[0]


def test_three_uploads_in_three_minutes_are_no_result(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift_clock(monkeypatch, uploads=lambda number: 2 * number)
    with pytest.raises(AccountError, match="run the drill again"):
        list(start(deployed))
    assert deployed.left_behind() == set()


def test_the_drill_waits_for_a_free_slot(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    slept: list[float] = []
    now = datetime(2026, 11, 23, 2, 10, 40, tzinfo=UTC)
    filled = "drill/2026-11-23.02.10.rehearsal"
    answers = iter([([filled], now), ([filled], now + timedelta(seconds=21))])
    monkeypatch.setattr(DrillUploads, "_stored", lambda _: next(answers))
    monkeypatch.setattr("admin.drill.uploads.time.sleep", slept.append)
    DrillUploads(
        target=target_of(deployed.account), waiter=Waiter(seconds=1, tell=lines.append)
    ).wait_for_a_free_slot()
    assert slept == [20]
    assert lines == [f"waiting for the next minute: {filled} is already filled"]


# The nodes of IAM, which learn of a new key one after another


def lag(
    monkeypatch: pytest.MonkeyPatch, waiting: SleepingClock, *, refused: Iterator[bool]
) -> None:
    """With `refused`, the next IAM node that gets a request with a new key does not know the key.

    It returns the error after a second.
    """
    make = TemporaryAccess._as

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if not next(refused):
            return None
        waiting.seconds += 1
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>Which key?</Message></Error>"
        raw = HTTPResponse(body=io.BytesIO(body), preload_content=False)
        return AWSResponse(request.url, 403, {}, raw)

    def lagging(self: TemporaryAccess, credentials: dict[str, Any]) -> Account:
        account = make(self, credentials)
        account.session.events.register("before-send.s3", answer)
        return account

    monkeypatch.setattr(TemporaryAccess, "_as", lagging)


def test_a_node_that_does_not_recognize_the_new_key_is_retried(
    deployed: Deployed, waiting: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lag(monkeypatch, waiting, refused=itertools.cycle([False, True]))
    sentences = [step.sentence for step in start(deployed)]
    assert "server cannot read a stored backup: 403 AccessDenied" in sentences
    assert any(
        line.startswith("promoter cannot tag a stored backup: 403 AccessDenied")
        for line in sentences
    )


def test_a_key_that_never_becomes_known_breaks_no_promise(
    deployed: Deployed, waiting: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lag(monkeypatch, waiting, refused=itertools.cycle([True]))
    monkeypatch.setattr(admin.drill.command, "MAX_WAIT", 2.0)
    result = run()
    assert result.exit_code == 3
    assert "key is still unknown to parts of AWS after 2 seconds; try again later" in result.stderr
    assert deployed.left_behind() == set()


# What cannot be removed


def refuse_deletion(
    monkeypatch: pytest.MonkeyPatch, waiting: SleepingClock, *, times: Iterator[bool]
) -> None:
    """Make IAM refuse to delete a user, each time after half a minute."""
    delete = IAMBackend.delete_user

    def conflicting(self: IAMBackend, user_name: str) -> None:
        if next(times):
            waiting.seconds += 30
            raise DeleteConflictException("Cannot delete entity")
        delete(self, user_name)

    monkeypatch.setattr(IAMBackend, "delete_user", conflicting)


def interrupt(deployed: Deployed) -> None:
    """Leave behind everything that an interrupted drill can leave."""
    server = temporary_in(deployed.account)
    server.make_user(document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))
    server.trust_caller()
    deployed.account.client("s3").put_object(Bucket="backups1", Key="drill/taken", Body=b"")


def test_a_user_that_iam_cannot_delete_at_once_is_removed(
    deployed: Deployed, waiting: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(deployed)
    refuse_deletion(monkeypatch, waiting, times=iter([True, True, False]))
    removed = temporary_in(deployed.account).remove()
    assert f"user {STAGE.drill_user}" in removed
    assert deployed.left_behind() == set()


def test_a_user_that_iam_does_not_list_yet_is_removed(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(deployed)

    list_keys, times = IamResponse.list_access_keys, iter([True, False])

    def unseen(_: IamResponse) -> None:
        raise NoSuchEntity("The user cannot be found")

    def first_unseen(self: IamResponse) -> Any:
        return unseen(self) if next(times) else list_keys(self)

    monkeypatch.setattr(IamResponse, "get_user", unseen)
    monkeypatch.setattr(IamResponse, "list_access_keys", first_unseen)
    temporary_in(deployed.account).remove()
    assert deployed.left_behind() == set()


def test_one_failed_removal_does_not_prevent_the_others(
    deployed: Deployed, waiting: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(deployed)
    with monkeypatch.context() as conflict:
        refuse_deletion(conflict, waiting, times=itertools.cycle([True]))
        stays = rf"could not remove the user {STAGE.drill_user} \(IAM reports .*\); run it again"
        with pytest.raises(AccountError, match=stays):
            temporary_in(deployed.account).remove()
    assert deployed.left_behind() == {"user"}
    temporary_in(deployed.account).remove()
    assert deployed.left_behind() == set()


def test_a_broken_promise_is_reported_even_if_the_cleanup_fails(
    deployed: Deployed, waiting: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_policy(deployed, None)
    with monkeypatch.context() as conflict:
        refuse_deletion(conflict, waiting, times=itertools.chain([False], itertools.cycle([True])))
        result = run()
    assert result.exit_code == 1, result.stderr
    broken, stays = result.stderr.splitlines()[-2:]
    assert broken.startswith("Not as promised: administrator cannot overwrite"), broken
    assert f"could not remove the user {STAGE.drill_user}" in stays
    temporary_in(deployed.account).remove()


# The caller.


def test_a_stage_without_deployment_is_one_sentence(deployed: Deployed) -> None:
    waiter = Waiter(seconds=1, tell=lambda _: None)
    target = target_of(deployed.account, stage_named("prod"))
    steps = drill(target, assume=False, quick=True, waiter=waiter)
    with pytest.raises(AccountError, match=r"-prod-promote; run make deploy STAGE=prod"):
        next(steps)


def test_an_assumed_role_is_trusted_by_the_role_s_arn(deployed: Deployed) -> None:
    iam, trust = deployed.account.client("iam"), deployed.trust()
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="admins",
        Path="/sso/",
        AssumeRolePolicyDocument=json.dumps(document(anybody)),
    )["Role"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(
        RoleName="admins", PolicyName="own", PolicyDocument=json.dumps(document(everything))
    )
    key = deployed.account.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="ann")
    session = boto3.Session(
        aws_access_key_id=key["Credentials"]["AccessKeyId"],
        aws_secret_access_key=key["Credentials"]["SecretAccessKey"],
        aws_session_token=key["Credentials"]["SessionToken"],
        region_name="us-east-1",
    )
    account = Account(session=session, endpoint=deployed.account.endpoint)
    temporary = temporary_in(account)
    temporary.trust_caller()
    assert deployed.trust()[-1]["Principal"] == {"AWS": role["Arn"]}
    assert temporary.assume().client("sts").get_caller_identity()["Arn"].endswith("promote/drill")
    assert temporary.remove() == ["the trust in the promoter's role"]
    assert deployed.trust() == trust


def test_without_a_decision_no_promise_is_kept_or_broken(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = local_account("http://127.0.0.1:1")
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: nowhere)
    result = run()
    assert result.exit_code == 3
    assert (
        "No local cloud listens at http://127.0.0.1:1; start it with `make local`" in result.stderr
    )
