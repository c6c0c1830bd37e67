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
from tests.admin.living import Live
from tests.support.project import POLICY

[WATCHING] = re.findall(
    r'^ *(\{"Version".*?\]\})$',
    (PROJECT / "docs" / "operations.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
ALLOWED = set(json.loads(WATCHING)["Statement"][0]["Action"])
# Where a right is not called what the operation is. Source: service authorization reference.
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
    living: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = set()
    call = BaseClient._make_api_call

    def note(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        asked = f"{self.meta.service_model.service_id.lower()}:{operation}"
        needed.add(RIGHTS.get(asked, asked))
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    assert living.check().exit_code == 0
    # Whether somebody reads the alerts is looked at where mails go out.
    topic = living.client("sns").create_topic(Name="immutable-backups-prod-alerts")["TopicArn"]
    prod = replace(living.stage, name="prod")
    target = Target(account=living.account, stage=prod, policy=POLICY)
    check(target, tell=lambda _: None)
    living.client("sns").delete_topic(TopicArn=topic)
    # Everybody has the right to be told who they are.
    reads = {right for right in needed if re.match(r"\w+:(Get|List|Describe)", right)}
    assert reads - {"sts:GetCallerIdentity"} <= ALLOWED


def test_the_rights_read_only_and_read_no_backup() -> None:
    assert all(re.match(r"\w+:(Get|List|Describe)", right) for right in ALLOWED)
    assert not {right for right in ALLOWED if re.match(r"s3:(GetObject|ListAllMy)", right)}


def test_these_rights_are_enough_for_a_check(living: Live, monkeypatch: pytest.MonkeyPatch) -> None:
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
    told = json.loads(living.check("--json").stdout)
    iam.delete_access_key(UserName="watcher", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="watcher", PolicyName="watches")
    iam.delete_user(UserName="watcher")
    assert told["findings"] == []
    # The local cloud knows the rights of no request to Lambda but invocations.
    assert [one for one in told["unseen"] if "this request to lambda" not in one] == []
