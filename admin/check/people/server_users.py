"""Checks the servers' IAM users: each can upload its own keys, and there are no others."""

from collections.abc import Iterator

from admin.account import none_if
from admin.check.people.identities import Identities, Principal
from admin.check.report import Finding, Part
from admin.desired.permissions import DENY_EVERYTHING, REVOKED, SERVER_POLICY_NAME
from admin.target import Target

WHY = "An intruder on a server can do everything that the server can do."


def check_server_users(target: Target, identities: Identities) -> Iterator[Finding | Part]:
    """Find rights that `setup` did not give to a server's user, and users without a server."""
    servers = {target.stage.server_user(server) for server in target.servers}
    for user in identities.principals:
        if user.kind != "user" or not is_for_servers(target, user.name):
            continue
        if user.name not in servers:
            yield from _check_leftover(target, user)
            continue
        yield from _check_rights(target, user)
        yield Part(f"the credentials of {user.name}", _check_credentials(target, user.name))


def is_for_servers(target: Target, user: str) -> bool:
    """Whether `setup` or a drill gives such a name to users of this stage."""
    first = target.stage.server_user(None)
    return user in {first, target.stage.drill_user} or user.startswith(f"{first}-")


def additions_to(target: Target, user: Principal) -> dict[str, str]:
    """What a server's user has besides the IAM policy of `setup`, and the command to remove it."""
    name = {"user_name": user.name}
    additions = {
        f"an additional IAM policy, {policy}": target.fix_aws(
            "iam", "delete-user-policy", **name, policy_name=policy
        )
        # The policy of `setup` is compared in full with the other settings.
        for policy, document in user.inline.items()
        if policy != SERVER_POLICY_NAME and (policy, document) != (REVOKED, DENY_EVERYTHING)
    }
    for arn in user.attached:
        additions[f"an additional IAM policy, {arn}"] = target.fix_aws(
            "iam", "detach-user-policy", **name, policy_arn=arn
        )
    for group in user.groups:
        additions[f"the rights of the group {group}"] = target.fix_aws(
            "iam", "remove-user-from-group", **name, group_name=group
        )
    return additions


def _check_rights(target: Target, user: Principal) -> Iterator[Finding]:
    """Find every right, and every limit, that a server's user has besides its IAM policy."""
    name = {"user_name": user.name}
    if user.path != "/":
        yield Finding(
            what=f"The user {user.name} has the path {user.path}",
            why="The path is part of its ARN, so this check would overlook who has rights on it.",
            remedy=target.fix_aws("iam", "update-user", **name, new_path="/"),
        )
    for what, remedy in additions_to(target, user).items():
        yield Finding(what=f"The user {user.name} has {what}", why=WHY, remedy=remedy)
    if user.boundary and f"{user.name}:boundary" not in target.stage.accepted:
        yield Finding(
            what=f"The user {user.name} has a permissions boundary, {user.boundary}",
            why="It can stop the server's uploads, now or when somebody changes it.",
            remedy=target.fix_aws("iam", "delete-user-permissions-boundary", **name),
        )


def _check_credentials(target: Target, user: str) -> Iterator[Finding]:
    """Find every way to sign in as a server's user besides its one access key.

    SSH keys and credentials of single services, such as CodeCommit, are not findings: the user has
    no rights in those services.
    """
    iam, name = target.account.client("iam"), {"user_name": user}
    if none_if("NoSuchEntity", lambda: iam.get_login_profile(UserName=user)):
        yield Finding(
            what=f"The user {user} has a password",
            why=WHY,
            remedy=target.fix_aws("iam", "delete-login-profile", **name),
        )
    keys = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    active = [key["AccessKeyId"] for key in keys if key["Status"] == "Active"]
    if len(active) > 1:
        first, last = sorted(active, key=lambda key: _last_used(target, key))
        yield Finding(
            what=f"The user {user} has two active access keys, {first} and {last}",
            why="Two keys are normal only while you rotate the server's key; otherwise an intruder "
            f"could have created one. The command deletes {first}, which was used less recently. "
            "First look up which of them the server uses.",
            remedy=target.fix_aws("iam", "delete-access-key", **name, access_key_id=first),
        )


def _last_used(target: Target, key: str) -> str:
    """When IAM last saw the key, in ISO 8601; empty if never."""
    answer = target.account.client("iam").get_access_key_last_used(AccessKeyId=key)
    moment = answer["AccessKeyLastUsed"].get("LastUsedDate")
    return moment.isoformat() if moment else ""


def _check_leftover(target: Target, user: Principal) -> Iterator[Finding]:
    """Find a user that belongs to no server, unless it is revoked."""
    if user.inline.get(REVOKED) == DENY_EVERYTHING:
        return
    revoke = target.fix_aws(
        "iam",
        "put-user-policy",
        user_name=user.name,
        policy_name=REVOKED,
        policy_document=DENY_EVERYTHING,
    )
    yield Finding(
        what=f"{user.name} belongs to no server in the policy and still has access",
        why="Nobody would notice its key being used.",
        remedy=target.fix_drill() if user.name == target.stage.drill_user else revoke,
    )
