"""Follows the way that `check` prints, with the key of a server, until the vault is open.

The finding's fix closes the way: following it again fails.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.callers import Credentials
from localcloud.sessions import Session
from tests.admin.weakenings import ACCOUNT, allow, give, trusting
from tests.support.deployed_stage import DeployedStage

SERVER = "immutable-backups-dev-server"
IAM = f"arn:aws:iam::{ACCOUNT}"
OPEN = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"{IAM}:root"},
                "Action": "s3:*",
                "Resource": "arn:aws:s3:::backups2/*",
            }
        ],
    }
)


@pytest.fixture
def weakened(living: DeployedStage) -> Iterator[DeployedStage]:
    """An account in which a server reaches an administrator in three steps.

    Everyone on the way is on the list of administrators, except for the server.
    """
    iam = living.client("iam")
    make_role(iam, "ci", {"AWS": f"{IAM}:user/{SERVER}"}, "iam:CreateAccessKey", f"{IAM}:user/ops")
    give(living, "ops", allow("sts:AssumeRole", f"{IAM}:role/break-glass"))
    make_role(iam, "break-glass", {"AWS": f"{IAM}:root"}, "*", "*")
    stage, policy = living.stage, vault_policy(living)
    names = ("role/ci", "user/ops", "role/break-glass")
    living.stage = replace(stage, administrators=tuple(f"{IAM}:{name}" for name in names))
    yield living
    living.stage = stage
    living.client("s3").put_bucket_policy(Bucket="backups2", Policy=policy)
    for key in iam.list_access_keys(UserName="ops")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="ops", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="ops", PolicyName="rights-0")
    iam.delete_user(UserName="ops")
    for role in ("ci", "break-glass"):
        iam.delete_role_policy(RoleName=role, PolicyName="own")
        iam.delete_role(RoleName=role)


def make_role(iam: Any, name: str, principal: dict[str, str], action: str, on: str) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(principal))
    rights = json.dumps(allow(action, on))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=rights)


def vault_policy(living: DeployedStage) -> str:
    return str(living.client("s3").get_bucket_policy(Bucket="backups2")["Policy"])


def test_a_server_walks_the_printed_way_to_the_vault_until_it_is_fixed(
    weakened: DeployedStage,
) -> None:
    before = vault_policy(weakened)
    [finding] = findings(weakened)
    assert finding["what"] == (
        f"{SERVER} (user) can assume ci (role), which can create an access key for ops (user), "
        "who can assume break-glass (role), which can change the bucket policy of backups2"
    )
    walk(weakened, finding["what"])
    assert json.loads(vault_policy(weakened)) == json.loads(OPEN)

    weakened.client("s3").put_bucket_policy(Bucket="backups2", Policy=before)
    weakened.mend(finding["remedy"])
    assert findings(weakened) == []
    with pytest.raises(ClientError, match="AccessDenied"):
        walk(weakened, finding["what"])
    assert json.loads(vault_policy(weakened)) == json.loads(before)


def findings(living: DeployedStage) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(living.check("--json").stdout)["findings"]
    return found


def walk(living: DeployedStage, sentence: str) -> None:
    """Do what the finding says, step by step, with the credentials that each step gains."""
    session = living.cloud.session(living.cloud.server_credentials)
    _, *steps = re.split(r",? (?:who |which )?can ", sentence)
    for step in steps:
        session = go(living, session, step)


def go(living: DeployedStage, session: Session, step: str) -> Session:
    if role := re.fullmatch(r"assume (\S+) \(role\)", step):
        name = {"RoleArn": f"{IAM}:role/{role[1]}", "RoleSessionName": "walk"}
        keys = session.client("sts").assume_role(**name)["Credentials"]
    elif user := re.fullmatch(r"create an access key for (\S+) \(user\)", step):
        keys = session.client("iam").create_access_key(UserName=user[1])["AccessKey"]
    elif bucket := re.fullmatch(r"change the bucket policy of (\S+)", step):
        session.client("s3").put_bucket_policy(Bucket=bucket[1], Policy=OPEN)
        return session
    else:
        pytest.fail(f"nobody can {step}")
    return living.cloud.session(
        Credentials(
            access_key_id=keys["AccessKeyId"],
            secret_access_key=keys["SecretAccessKey"],
            session_token=keys.get("SessionToken"),
        )
    )
