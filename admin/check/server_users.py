"""Checks the servers' IAM users: each can upload its own keys, and there are no others."""

from collections.abc import Iterator

from admin.account import none_if
from admin.check.principals import DENIAL, denial
from admin.check.report import Finding, Part
from admin.config.reading import APP_NAME
from admin.desired.permissions import DENY_EVERYTHING, REVOKED, SERVER_POLICY_NAME
from admin.target import Target

WHY = "An intruder on a server can do everything that the server can do."


def check_server_users(target: Target) -> Iterator[Part]:
    """Find what `setup` did not give to a server's user, and users that belong to no server."""
    servers = {target.stage.server_user(server) for server in target.servers}
    for user in _users(target):
        check = _check_user if user in servers else _check_leftover
        yield Part(f"the policies of {user}", check(target, user))


def _users(target: Target) -> Iterator[str]:
    """Every IAM user whose name begins with the names of the app and the stage."""
    for page in target.account.client("iam").get_paginator("list_users").paginate():
        for user in page["Users"]:
            if user["UserName"].startswith(f"{APP_NAME}-{target.stage.name}-"):
                yield user["UserName"]


def _check_user(target: Target, user: str) -> Iterator[Finding]:
    """Find anything that a server's user has besides its IAM policy."""
    iam, name = target.account.client("iam"), {"user_name": user}
    additions = {
        f"an additional IAM policy, {policy}": target.fix_aws(
            "iam", "delete-user-policy", **name, policy_name=policy
        )
        for policy in iam.list_user_policies(UserName=user)["PolicyNames"]
        if not _is_ours(target, user, policy)
    }
    for attached in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        additions[f"an additional IAM policy, {arn}"] = target.fix_aws(
            "iam", "detach-user-policy", **name, policy_arn=arn
        )
    for group in iam.list_groups_for_user(UserName=user)["Groups"]:
        additions[f"the rights of the group {group['GroupName']}"] = target.fix_aws(
            "iam", "remove-user-from-group", **name, group_name=group["GroupName"]
        )
    if none_if("NoSuchEntity", lambda: iam.get_login_profile(UserName=user)):
        additions["a password"] = target.fix_aws("iam", "delete-login-profile", **name)
    for what, remedy in additions.items():
        yield Finding(what=f"The user {user} has {what}", why=WHY, remedy=remedy)


def _is_ours(target: Target, user: str, policy: str) -> bool:
    """True if `setup`, a revocation or an earlier fix wrote the policy, and nobody changed it."""
    if policy == SERVER_POLICY_NAME:  # compared in full with the other settings
        return True
    ours = {REVOKED: DENY_EVERYTHING, DENIAL: denial(target.vault)}
    if policy not in ours:
        return False
    iam = target.account.client("iam")
    actual = iam.get_user_policy(UserName=user, PolicyName=policy)["PolicyDocument"]
    return bool(actual == ours[policy])


def _check_leftover(target: Target, user: str) -> Iterator[Finding]:
    """Find a user that belongs to no server, unless it is revoked."""
    names = target.account.client("iam").list_user_policies(UserName=user)["PolicyNames"]
    if REVOKED in names and _is_ours(target, user, REVOKED):
        return
    revoke = target.fix_aws(
        "iam",
        "put-user-policy",
        user_name=user,
        policy_name=REVOKED,
        policy_document=DENY_EVERYTHING,
    )
    yield Finding(
        what=f"{user} belongs to no server in the policy and still has access",
        why="Nobody would notice its key being used.",
        remedy=target.fix_drill() if user == target.stage.drill_user else revoke,
    )
