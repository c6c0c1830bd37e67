"""Finds every user and role with power over the backups."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from admin.account import Account, none_if
from admin.check.people.identities import IDENTITY_CENTER_PATH, Identities, Principal
from admin.check.people.places import Place, Resource
from admin.check.people.powers import POWERS, READING, Power
from admin.check.people.rights import denials_for, may_be_granted
from admin.check.people.server_users import is_for_servers
from admin.check.report import Administrator, Finding
from admin.config.reading import FUNCTIONS
from admin.desired.permissions import (
    LARGEST_OF_A_ROLE,
    LARGEST_OF_A_USER,
    Document,
    document,
    size_of,
)
from admin.target import Target

# Each of these, on any resource, lets people grant themselves more rights.
ESCALATIONS = (
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreatePolicyVersion",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteRolePolicy",
    "iam:DeleteUserPermissionsBoundary",
    "iam:DeleteUserPolicy",
    "iam:PutGroupPolicy",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
)
# Each of these lets people act as another user or role if they have it on all users or roles;
# having it on oneself is common.
USER_TAKEOVERS = ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile")
ROLE_TAKEOVERS = ("iam:PassRole", "sts:AssumeRole")
DENIAL = "no-power-over-the-backups"


@dataclass(frozen=True)
class Held:
    """An action that a principal is allowed on a resource of the stage."""

    power: Power
    action: str
    place: Place


def denial(resources: Iterable[Place]) -> Document:
    """An IAM policy that leaves its principal nothing but reading on these resources."""
    patterns = [*dict.fromkeys(place.pattern for place in resources)]
    services = {pattern.split(":")[2] for pattern in patterns}
    return document(
        {
            "Effect": "Deny",
            "NotAction": [action for action in READING if action.partition(":")[0] in services],
            "Resource": patterns,
        }
    )


def check_principals(
    target: Target, identities: Identities, resources: tuple[Place, ...]
) -> Iterator[Finding | Administrator]:
    """Find everyone in an account who can harm backups, or keep them from being made.

    `resources` are those of the stage in the account. Administrators could grant themselves every
    right: those listed in the stage's configuration are reported by name, everyone else is a
    finding. The rights of the functions' roles and the servers' users are compared in full
    elsewhere.
    """
    account = identities.account
    bucket_policies = {
        bucket: _bucket_policy(target, bucket)
        for bucket in {place.name for place in resources if place.is_in_s3}
    }
    for principal in identities.principals:
        if account is target.account and _is_own(target, principal):
            continue
        if _is_administrator(principal, account.id):
            over_vault = account is target.vault_account
            yield from _administrator(principal, account, target, over_vault=over_vault)
            continue
        denials = {
            bucket: (denials_for(policy, arn=principal.arn, user_id=principal.id),)
            for bucket, policy in bucket_policies.items()
        }
        if not (held := list(_powers(principal, resources, denials))):
            continue
        if principal.arn in target.stage.administrators:
            over_vault = held[0].power is POWERS[0]
            yield from _administrator(principal, account, target, over_vault=over_vault)
        else:
            yield _finding(principal, held, account, target, resources)


def _is_own(target: Target, principal: Principal) -> bool:
    if principal.kind == "user":
        return is_for_servers(target, principal.name)
    return principal.name in map(target.stage.function_name, FUNCTIONS)


def _is_administrator(principal: Principal, account: str) -> bool:
    """Whether it can grant itself any right in its account, or act as a principal that can."""
    iam = f"arn:aws:iam::{account}:"
    return (
        any(principal.may_below(action, iam) for action in ESCALATIONS)
        or any(principal.may(action, f"{iam}user/anybody") for action in USER_TAKEOVERS)
        or any(principal.may(action, f"{iam}role/anybody") for action in ROLE_TAKEOVERS)
    )


def _bucket_policy(target: Target, bucket: str) -> Document:
    s3 = target.account.account_of(bucket).client("s3")
    answer = none_if(
        "NoSuchBucket",
        lambda: none_if("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=bucket)),
    )
    return json.loads(answer["Policy"]) if answer else document()


def _powers(
    principal: Principal, resources: tuple[Place, ...], denials: Mapping[str, tuple[Document, ...]]
) -> Iterator[Held]:
    for power in POWERS:
        for action in power.actions:
            if not may_be_granted(principal.policies, action):
                continue
            for place in resources:
                denied_by = denials[place.name] if place.is_in_s3 else ()
                if place.resource is power.resource and _may(principal, action, place, denied_by):
                    yield Held(power, action, place)


def _may(principal: Principal, action: str, place: Place, denied_by: tuple[Document, ...]) -> bool:
    if place.resource is Resource.UPLOADS:  # of many servers, so the bucket is judged first
        bucket = place.pattern.removesuffix("*")
        if not principal.may_below(action, bucket, denied_by=denied_by):
            return False
    return any(
        principal.may_below(action, arn.removesuffix("*"), denied_by=denied_by)
        if arn.endswith("*")
        else principal.may(action, arn, denied_by=denied_by)
        for arn in place.arns
    )


def _finding(
    principal: Principal,
    held: list[Held],
    account: Account,
    target: Target,
    resources: tuple[Place, ...],
) -> Finding:
    worst, *others = held
    more = len({each.action for each in others} - {worst.action})
    rest = f", and {more} more action{'s' * (more != 1)} that only administrators need"
    return Finding(
        what=f"{_capitalized(principal)} is allowed {worst.action} on {worst.place.name}"
        + (rest if more else ""),
        why=f"Anyone who acts as this {principal.kind} could {worst.power.could}. If this is "
        f'intended, add {principal.arn} to the list "administrators" of stage '
        f"{target.stage.name} in .chalice/config.json.",
        remedy=_remedy(principal, account, target, resources),
    )


def _administrator(
    principal: Principal, account: Account, target: Target, *, over_vault: bool
) -> Iterator[Finding | Administrator]:
    """A known administrator of the vault, or the finding for one that nobody has listed.

    The same goes for principals of other accounts that can assume it. Those who are listed, but
    have no power over the vault, are not reported.
    """
    own = {account.id, ""}
    strangers = [arn for arn in principal.trusts if arn.split(":")[4] not in own]
    unknown = [arn for arn in (principal.arn, *strangers) if arn not in target.stage.administrators]
    if not unknown:
        if over_vault:
            yield Administrator(str(principal))
        return
    whom = f" (which {', '.join(strangers)} can assume)" if strangers else ""
    could = "remove the vault's protection" if over_vault else "silently stop all backups"
    yield Finding(
        what=f"{_capitalized(principal)}{whom} is an administrator and could {could}",
        why="An administrator you do not know may be an intruder.",
        remedy=f'if this is intended, add {", ".join(unknown)} to the list "administrators" of '
        f"stage {target.stage.name} in .chalice/config.json; otherwise remove these rights",
    )


def _capitalized(principal: Principal) -> str:
    return f"{principal.kind.capitalize()} {principal.name}"


def _remedy(
    principal: Principal, account: Account, target: Target, resources: tuple[Place, ...]
) -> str:
    if principal.path.startswith(IDENTITY_CENTER_PATH):
        return "remove these rights from its permission set in IAM Identity Center"
    denied = denial(resources)
    most = LARGEST_OF_A_USER if principal.kind == "user" else LARGEST_OF_A_ROLE
    others = [policy for name, policy in principal.inline.items() if name != DENIAL]
    if sum(map(size_of, [*others, denied])) > most:
        return (
            f"remove these rights from the IAM policies of {principal}; its inline policies leave "
            "no room for another that denies them"
        )
    return target.fix_account(
        account,
        "iam",
        f"put-{principal.kind}-policy",
        **{f"{principal.kind}_name": principal.name},
        policy_name=DENIAL,
        policy_document=denied,
    )
