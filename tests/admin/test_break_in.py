"""What docs/break-in.md promises while an administrator extends locks."""

import json
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from click.testing import CliRunner

from admin.account import Account
from admin.cli import cli
from admin.setup.door import PATIENT, open_door
from admin.setup.plan import door_of, execute, make_plan, requirements_of
from admin.stage import PROJECT
from admin.target import Target
from localcloud.cloud import Cloud
from localcloud.iam.authorization import Credentials
from tests.support.project import POLICY, STAGE

COMMAND = "backups setup --stage prod --lock governance --lock-days 180 --lock-existing --apply"
STORED = {"Bucket": "backups2", "Key": "2026-11-23.tar.gz.gpg"}


def set_up(account: Account) -> list[str]:
    requirements = requirements_of(Target(account=account, stage=STAGE, policy=POLICY))
    plan = make_plan(account, requirements, lock_named=False)
    return [change.requirement.summary for change in execute(account, plan)]


def document_of(allowed: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **allowed}]})


def store(account: Account, cloud: Cloud) -> None:
    """Put a backup into the vault, as only the promoter can."""
    iam = account.client("iam")
    role = iam.create_role(
        RoleName=STAGE.function_name("promote"),
        AssumeRolePolicyDocument=document_of({"Principal": {"AWS": account.id}, "Action": "sts:*"}),
    )["Role"]
    own: Any = {"RoleName": role["RoleName"], "PolicyName": "own"}
    iam.put_role_policy(**own, PolicyDocument=document_of({"Action": "s3:*", "Resource": "*"}))
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
    # `setup` would refuse to adopt such a role.
    iam.delete_role_policy(**own)
    iam.delete_role(RoleName=role["RoleName"])


def test_locks_can_be_lengthened_without_weakening_anything_else(
    account: Account, cloud: Cloud
) -> None:
    assert COMMAND in (PROJECT / "docs" / "break-in.md").read_text()
    set_up(account)
    store(account, cloud)
    s3 = account.client("s3")
    stored = s3.head_object(**STORED)
    until = stored["LastModified"] + timedelta(days=180)

    def lock(moment: datetime, **more: Any) -> str:
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": moment}
        return answer(s3.put_object_retention, **STORED, Retention=retention, **more)

    assert lock(until) == "AccessDenied"
    command = [*COMMAND.removeprefix("backups ").replace("prod", "dev").split(), "--yes"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert s3.head_object(**STORED)["ObjectLockRetainUntilDate"] == until
    assert lock(until + timedelta(days=1)) == "AccessDenied"

    target = Target(account=account, stage=STAGE, policy=POLICY)
    with open_door(account, door_of(target), PATIENT):
        assert lock(until + timedelta(days=1)) == "done"
        assert lock(until) == "AccessDenied"
        assert lock(until, BypassGovernanceRetention=True) == "AccessDenied"
        assert answer(s3.delete_object, **STORED) == "AccessDenied"
        version = {"VersionId": stored["VersionId"]}
        assert answer(s3.delete_object, **STORED, **version) == "AccessDenied"
        assert answer(s3.put_object, **STORED, Body=b"rubbish") == "AccessDenied"
    assert lock(until + timedelta(days=2)) == "AccessDenied"


def answer(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"
