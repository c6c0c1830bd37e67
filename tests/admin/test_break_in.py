"""What docs/break-in.md promises for the moment in which an administrator lengthens locks."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from admin.account import Account
from admin.setup.plan import execute, make_plan, requirements_of
from admin.stage import PROJECT
from admin.target import Target
from localcloud.cloud import Cloud
from localcloud.iam.authorization import Credentials
from tests.support.project import POLICY, STAGE

STATEMENT = "OneDoor"
STORED = {"Bucket": "backups2", "Key": "2026-11-23.tar.gz.gpg"}


def set_up(account: Account) -> list[str]:
    requirements = requirements_of(Target(account=account, stage=STAGE, policy=POLICY))
    plan = make_plan(account, requirements, lock_named=False)
    return [change.requirement.summary for change in execute(account, plan)]


def document_of(allowed: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **allowed}]})


def store(account: Account, cloud: Cloud) -> None:
    """Put a backup into the vault, as only the promoter can."""
    role = account.client("iam").create_role(
        RoleName=STAGE.function_name("promote"),
        AssumeRolePolicyDocument=document_of({"Principal": {"AWS": account.id}, "Action": "sts:*"}),
    )["Role"]
    account.client("iam").put_role_policy(
        RoleName=role["RoleName"],
        PolicyName="own",
        PolicyDocument=document_of({"Action": "s3:*", "Resource": "*"}),
    )
    session = account.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="run")
    keys = session["Credentials"]
    promoter = Credentials(
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )
    cloud.session(promoter).client("s3").put_object(
        **STORED, Body=b"all our files", IfNoneMatch="*"
    )


def test_locks_can_be_lengthened_without_weakening_anything_else(
    account: Account, cloud: Cloud
) -> None:
    assert STATEMENT in (PROJECT / "docs" / "break-in.md").read_text()
    set_up(account)
    store(account, cloud)
    s3 = account.client("s3")
    version = s3.head_object(**STORED)["VersionId"]
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=300)

    def lock(moment: datetime, **more: Any) -> str:
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": moment}
        return answer(s3.put_object_retention, **STORED, Retention=retention, **more)

    assert lock(until) == "AccessDenied"

    policy = json.loads(s3.get_bucket_policy(Bucket="backups2")["Policy"])
    policy["Statement"] = [
        statement for statement in policy["Statement"] if statement["Sid"] != STATEMENT
    ]
    s3.put_bucket_policy(Bucket="backups2", Policy=json.dumps(policy))
    assert lock(until) == "done"
    assert lock(until - timedelta(days=1)) == "AccessDenied"
    assert lock(until - timedelta(days=1), BypassGovernanceRetention=True) == "AccessDenied"
    assert answer(s3.delete_object, **STORED) == "AccessDenied"
    assert answer(s3.delete_object, **STORED, VersionId=version) == "AccessDenied"
    assert answer(s3.put_object, **STORED, Body=b"rubbish") == "AccessDenied"
    assert s3.head_object(**STORED)["ObjectLockRetainUntilDate"] == until

    [closed] = set_up(account)
    assert closed.startswith("backups2: deny every change to its settings and to stored objects")
    assert lock(until + timedelta(days=1)) == "AccessDenied"


def answer(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"
