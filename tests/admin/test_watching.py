"""The rights of the user `watcher` in docs/operations.md: enough for a check, and no more."""

import json
import re
from dataclasses import replace
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

[WATCHING] = re.findall(
    r'^ *(\{"Version".*?\]\})$',
    (PROJECT / "docs" / "operations.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
ALLOWED = set(json.loads(WATCHING)["Statement"][0]["Action"])
# The rights that are not named after their operation. Source: service authorization reference.
RIGHTS = {
    "eventbridge:DescribeRule": "events:DescribeRule",
    "eventbridge:ListTargetsByRule": "events:ListTargetsByRule",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}


def test_every_request_of_a_check_is_among_the_rights(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = set()
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
    check(target, tell=lambda _: None)
    living.client("sns").delete_topic(TopicArn=topic)
    # GetCallerIdentity needs no right.
    reads = {right for right in needed if re.match(r"\w+:(Get|List|Describe)", right)}
    assert reads - {"sts:GetCallerIdentity"} <= ALLOWED


def test_the_rights_read_only_and_read_no_backup() -> None:
    assert all(re.match(r"\w+:(Get|List|Describe)", right) for right in ALLOWED)
    assert not {right for right in ALLOWED if re.match(r"s3:(GetObject|ListAllMy)", right)}


def test_these_rights_are_enough_for_a_check(
    living: DeployedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = living.client("iam")
    iam.create_user(UserName="watcher")
    iam.put_user_policy(UserName="watcher", PolicyName="watches", PolicyDocument=WATCHING)
    key = iam.create_access_key(UserName="watcher")["AccessKey"]
    session = boto3.Session(
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name="us-east-1",
    )
    watcher = Account(session=session, endpoint=living.account.endpoint)
    monkeypatch.setattr(admin.cli, "open_account", lambda stage, **_: watcher)
    report = json.loads(living.check("--json").stdout)
    iam.delete_access_key(UserName="watcher", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="watcher", PolicyName="watches")
    iam.delete_user(UserName="watcher")
    assert report["findings"] == []
    # Of the requests to Lambda, the local cloud can authorize only invocations.
    assert [
        sentence for sentence in report["unseen"] if "this request to lambda" not in sentence
    ] == []
