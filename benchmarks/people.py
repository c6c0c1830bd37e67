"""Measures how long a check takes to find out who can become whom in a large account."""

import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from rich.console import Console

from admin.account import Account
from admin.check.report import Finding
from admin.check.settings import people_of
from admin.desired.bucket_policies import vault_policy
from admin.stage import read_stage
from admin.target import Target
from benchmarks.tables import Target as Goal
from benchmarks.tables import table
from chalicelib.policy.file import read_policy

ACCOUNT = "123456789012"
USERS, ROLES, POLICIES, GROUPS = 300, 200, 100, 20
ADMINISTRATORS, HELPDESK, POWERFUL_ROLES = range(20), range(20, 25), range(3, ROLES, 50)
SERVICES = ("lambda", "ec2", "ecs-tasks", "glue", "codebuild", "states")
MOST_SECONDS, MOST_MEGABYTES = 30, 300
KIB = 1024
# The parts of a check that only read the list of users and roles.
PARTS = ("who has rights on", "who can become whom")


def report(console: Console) -> list[Goal]:
    """Print what it takes, except for the download; the targets are time and memory."""
    command = [sys.executable, "-m", "benchmarks.people"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    table(
        console,
        f"backups check: the rights of {USERS} users and {ROLES} roles with {POLICIES} managed "
        "policies",
        ["findings", "CPU s", "peak MB"],
        [[f"{found['findings']}", f"{found['seconds']:.1f}", f"{found['megabytes']:.0f}"]],
    )
    return [
        Goal(
            f"who can become whom: within {MOST_SECONDS} s",
            met=found["seconds"] <= MOST_SECONDS,
            measured=f"{found['seconds']:.1f} s",
        ),
        Goal(
            f"who can become whom: within {MOST_MEGABYTES} MB",
            met=found["megabytes"] <= MOST_MEGABYTES,
            measured=f"{found['megabytes']:.0f} MB",
        ),
    ]


def main() -> None:
    """Judge a large account in which almost everyone has a way, and print what it took."""
    target = _target(_page(random.Random(1)))
    begun = time.process_time()
    findings = [
        result
        for part in people_of(target)
        if part.what.startswith(PARTS)
        for result in part.results
        if isinstance(result, Finding)
    ]
    seconds = time.process_time() - begun
    measured = {"seconds": seconds, "megabytes": _peak_megabytes()}
    print(json.dumps({"findings": len(findings), **measured}))


def _peak_megabytes() -> float:
    """The peak memory of this process; on Linux, getrusage's includes the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB**2


def _target(page: dict[str, Any]) -> Target:
    """The stage dev in an account in which IAM returns this page."""
    stage = read_stage("dev")
    policy = json.dumps(vault_policy(stage, account=ACCOUNT))
    paginator = SimpleNamespace(paginate=lambda **_: [page])
    account = Account(session=boto3.Session(region_name="us-east-1"))
    clients: dict[tuple[str, ...], Any] = {}
    vars(account).update(id=ACCOUNT, _clients=clients)
    clients["iam",] = SimpleNamespace(get_paginator=lambda _: paginator)
    clients["s3",] = SimpleNamespace(get_bucket_policy=lambda **_: {"Policy": policy})
    return Target(account=account, stage=stage, policy=read_policy())


def _page(chance: random.Random) -> dict[str, Any]:
    """What IAM lists: teams with their own rights, 20 administrators, and a helpdesk."""
    policies = [_managed(number) for number in range(POLICIES)]
    arns = [policy["Arn"] for policy in policies]
    return {
        "Policies": policies,
        "GroupDetailList": [
            _holder("Group", f"group-{number}", [_allow("s3:Get*")], chance.sample(arns, 3))
            for number in range(GROUPS)
        ],
        "UserDetailList": [
            {
                **_holder("User", f"user-{number}", _of_user(number), chance.sample(arns, 4)),
                "GroupList": [f"group-{number % GROUPS}"],
            }
            for number in range(USERS)
        ],
        "RoleDetailList": [
            {
                **_holder("Role", f"role-{number}", _of_role(number), chance.sample(arns, 4)),
                "AssumeRolePolicyDocument": _trust(number, chance),
                "InstanceProfileList": [{}] if number % 3 == 0 else [],
            }
            for number in range(ROLES)
        ],
    }


def _managed(number: int) -> dict[str, Any]:
    services = ("s3", "ec2", "lambda", "dynamodb", "sqs", "sns", "logs")
    document = _document(
        *(_allow(f"{each}:*", on=f"arn:aws:{each}:*:*:team-{number}-*") for each in services)
    )
    return {
        "Arn": f"arn:aws:iam::{ACCOUNT}:policy/policy-{number}",
        "PolicyVersionList": [{"Document": document, "IsDefaultVersion": True}],
    }


def _of_user(number: int) -> list[Any]:
    own = _allow("iam:*AccessKey*", on="arn:aws:iam::*:user/${aws:username}")
    if number in ADMINISTRATORS:
        return [_allow("*")]
    if number in HELPDESK:
        return [_allow("iam:CreateAccessKey", "iam:UpdateLoginProfile")]
    return [own, _allow("sts:AssumeRole", on=f"arn:aws:iam::*:role/role-{number}*")]


def _of_role(number: int) -> list[Any]:
    if number in POWERFUL_ROLES:
        return [_allow("*")]
    passing = _allow("iam:PassRole", on=f"arn:aws:iam::*:role/role-{number}*")
    return [_allow("s3:*", on="arn:aws:s3:::x-*"), *([passing] if number % 10 == 1 else [])]


def _trust(number: int, chance: random.Random) -> dict[str, Any]:
    trusted: list[Any] = [{"Service": f"{chance.choice(SERVICES)}.amazonaws.com"}]
    if number % 4 == 0:
        trusted.append({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    return _document(
        *({"Effect": "Allow", "Principal": each, "Action": "sts:AssumeRole"} for each in trusted)
    )


def _holder(kind: str, name: str, rights: list[Any], attached: list[str]) -> dict[str, Any]:
    return {
        f"{kind}Name": name,
        f"{kind}Id": name.upper(),
        "Arn": f"arn:aws:iam::{ACCOUNT}:{kind.lower()}/{name}",
        "Path": "/",
        f"{kind}PolicyList": [{"PolicyName": "own", "PolicyDocument": _document(*rights)}],
        "AttachedManagedPolicies": [{"PolicyArn": arn} for arn in attached],
    }


def _allow(*actions: str, on: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [*actions], "Resource": on}


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


if __name__ == "__main__":
    main()
