"""The IAM users of servers: each may upload its own keys, and there is nobody else."""

from collections.abc import Iterator
from typing import Any

from admin.account import Account, absent_if
from admin.check.principals import DENIAL, denial
from admin.check.report import Remedies, Report
from admin.desired.permissions import NOTHING, REVOKED, SERVER_POLICY_NAME
from admin.stage import APP_NAME, Stage
from chalicelib.policy.policy import Policy

WHY = "What a server can do, whoever breaks into it can do."


def check_server_users(
    report: Report, account: Account, stage: Stage, policy: Policy, remedies: Remedies
) -> None:
    """Find what a server's user has besides what `setup` gives it, and users of nobody's."""
    iam = account.client("iam")
    servers = {stage.server_user(server) for server in policy.servers or (None,)}
    with report.seeing("the users of servers"):
        for user in _users(iam, stage):
            with report.seeing(f"the policies of {user}"):
                if user in servers:
                    _check_user(report, iam, stage, remedies, user=user)
                else:
                    _check_leftover(report, iam, stage, remedies, user=user)


def _users(iam: Any, stage: Stage) -> Iterator[str]:
    """Every user whose name says that it is of this stage."""
    for page in iam.get_paginator("list_users").paginate():
        for one in page["Users"]:
            if one["UserName"].startswith(f"{APP_NAME}-{stage.name}-"):
                yield one["UserName"]


def _check_user(report: Report, iam: Any, stage: Stage, remedies: Remedies, *, user: str) -> None:
    name = {"user_name": user}
    found = {
        f"the policy {policy}": remedies.aws(
            "iam", "delete-user-policy", **name, policy_name=policy
        )
        for policy in iam.list_user_policies(UserName=user)["PolicyNames"]
        if not _is_ours(iam, stage, user=user, policy=policy)
    }
    for attached in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        found[f"the policy {arn}"] = remedies.aws(
            "iam", "detach-user-policy", **name, policy_arn=arn
        )
    for group in iam.list_groups_for_user(UserName=user)["Groups"]:
        found[f"what the group {group['GroupName']} may do"] = remedies.aws(
            "iam", "remove-user-from-group", **name, group_name=group["GroupName"]
        )
    if absent_if("NoSuchEntity", lambda: iam.get_login_profile(UserName=user)):
        found["a password"] = remedies.aws("iam", "delete-login-profile", **name)
    for what, remedy in found.items():
        report.find(f"{user} has {what}, which is not ours", why=WHY, remedy=remedy)


def _is_ours(iam: Any, stage: Stage, *, user: str, policy: str) -> bool:
    """Whether it is what `setup`, a revocation or an earlier remedy has written, and says so."""
    if policy == SERVER_POLICY_NAME:  # compared as a setting, word by word
        return True
    ours = {REVOKED: NOTHING, DENIAL: denial(stage.settings.vault_bucket)}
    if policy not in ours:
        return False
    live = iam.get_user_policy(UserName=user, PolicyName=policy)["PolicyDocument"]
    return bool(live == ours[policy])


def _check_leftover(
    report: Report, iam: Any, stage: Stage, remedies: Remedies, *, user: str
) -> None:
    """A user that no server needs any more is a way in that nobody watches."""
    names = iam.list_user_policies(UserName=user)["PolicyNames"]
    if REVOKED in names and _is_ours(iam, stage, user=user, policy=REVOKED):
        return
    remedy = remedies.drill()
    if user != stage.drill_user:
        remedy = remedies.aws(
            "iam",
            "put-user-policy",
            user_name=user,
            policy_name=REVOKED,
            policy_document=NOTHING,
        )
    report.find(
        f"{user} is of no server that the policy names, and is not revoked",
        why="Nobody misses its key, and nobody sees it used.",
        remedy=remedy,
    )
