"""The rights that docs/operations.md lists for checks and audits: enough, and none superfluous."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

import admin.cli
from admin.account import Account
from admin.check.settings import check
from admin.stage import PROJECT
from admin.target import Target
from tests.support.deployed_stage import DeployedStage
from tests.support.project import POLICY

POLICY_DOCUMENT, AUDITING = re.findall(
    r'^ *(\{"Version".*?\]\})$',
    (PROJECT / "docs" / "operations.md").read_text().replace("example-backups", "backups"),
    re.MULTILINE | re.DOTALL,
)
SETTINGS, BACKUPS = json.loads(POLICY_DOCUMENT)["Statement"]
ALLOWED = {*SETTINGS["Action"], *BACKUPS["Action"]}
# The rights that are not named after their operation. Source: service authorization reference.
RIGHTS = {
    "cloudwatch logs:DescribeLogGroups": "logs:DescribeLogGroups",
    "cloudwatch logs:DescribeSubscriptionFilters": "logs:DescribeSubscriptionFilters",
    "eventbridge:DescribeRule": "events:DescribeRule",
    "eventbridge:ListTargetsByRule": "events:ListTargetsByRule",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
}


@pytest.fixture
def with_backup(living: DeployedStage) -> DeployedStage:
    """The stage with a stored backup, so that a check has to look at one."""
    server = living.cloud.session(living.cloud.server_credentials).client("s3")
    server.put_object(Bucket="backups1", Key="sql.gz.gpg", Body=b"tables")
    living.cloud.functions.wait_until_quiet(timeout=60)
    return living


def test_every_request_of_a_check_is_among_the_rights(
    with_backup: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    living, needed = with_backup, set()
    call = BaseClient._make_api_call

    def note(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        request = f"{self.meta.service_model.service_id.lower()}:{operation}"
        needed.add(RIGHTS.get(request, request))
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    assert living.check().exit_code == 0
    # Subscribers are checked only in stages that send mail.
    topic = living.client("sns").create_topic(Name="immutable-backups-prod-alerts")["TopicArn"]
    prod = replace(living.stage, name="prod")
    target = Target(account=living.account, stage=prod, policy=POLICY)
    check(target, now=datetime.now(UTC), tell=lambda _: None)
    living.client("sns").delete_topic(TopicArn=topic)
    # GetCallerIdentity needs no right.
    reads = {right for right in needed if re.match(r"\w+:(Get|List|Describe)", right)}
    # The lock is requested only for a backup whose HEAD shows none.
    assert reads - {"sts:GetCallerIdentity"} <= ALLOWED
    assert set(BACKUPS["Action"]) - {"s3:GetObjectRetention"} <= needed


def test_the_rights_read_only_and_read_objects_only_in_the_vault() -> None:
    """S3 has a single right for HEAD and GET, so the lock and the key cannot be seen without it."""
    assert all(re.match(r"\w+:(Get|List|Describe)", right) for right in ALLOWED)
    assert not {right for right in SETTINGS["Action"] if re.match(r"s3:(GetObj|ListAllMy)", right)}
    assert BACKUPS["Resource"] == "arn:aws:s3:::backups2/*"
    assert BACKUPS["Action"] == ["s3:GetObject", "s3:GetObjectRetention"]


@pytest.fixture
def watcher(with_backup: DeployedStage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives the user who runs the commands exactly the rights in a document."""
    living = with_backup
    iam = living.client("iam")
    iam.create_user(UserName="watcher")
    key = iam.create_access_key(UserName="watcher")["AccessKey"]
    session = boto3.Session(
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name="us-east-1",
    )
    account = Account(session=session, endpoint=living.account.endpoint)
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: account)
    yield lambda document: iam.put_user_policy(
        UserName="watcher", PolicyName="watches", PolicyDocument=document
    )
    iam.delete_access_key(UserName="watcher", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="watcher", PolicyName="watches")
    iam.delete_user(UserName="watcher")


def test_these_rights_are_enough_for_a_check(with_backup: DeployedStage, watcher: Any) -> None:
    watcher(POLICY_DOCUMENT)
    report = json.loads(with_backup.check("--json").stdout)
    assert report["findings"] == []
    assert any("sql.gz.gpg: the newest backup is" in sentence for sentence in report["backups"])
    # Of all requests to Lambda, the local cloud can authorize only invocations.
    assert [
        sentence for sentence in report["unseen"] if "this request to lambda" not in sentence
    ] == []


def test_an_audit_needs_each_of_its_rights_and_no_more(
    with_backup: DeployedStage, watcher: Any
) -> None:
    s3 = with_backup.client("s3")
    # An empty upload can never be promoted, so an audit checks whether its slot is filled.
    empty = s3.put_object(Bucket="backups1", Key="backup.tar.gz.gpg", Body=b"")
    with_backup.cloud.functions.wait_until_quiet(timeout=60)
    watcher(AUDITING)
    data = json.loads(with_backup.audit("--json").stdout)
    assert [finding["kind"] for finding in data["findings"]] == ["rejected"]
    assert data["not_checked"] == []

    statements = json.loads(AUDITING)["Statement"]
    for number, statement in enumerate(statements):
        for action in statement["Action"]:
            fewer = [other for other in statement["Action"] if other != action]
            others = [*statements[:number], *statements[number + 1 :]]
            if fewer:
                others.append({**statement, "Action": fewer})
            watcher(json.dumps({"Version": "2012-10-17", "Statement": others}))
            assert json.loads(with_backup.audit("--json").stdout)["not_checked"], action
            # Anyone who can run a check can run an audit.
            assert action in ALLOWED
    s3.delete_object(Bucket="backups1", Key="backup.tar.gz.gpg", VersionId=empty["VersionId"])
