"""Finds every user and role that has power over the backups by itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from admin.account import Account
from admin.check.people.bucket_denials import bucket_denials, read_bucket_policy
from admin.check.people.identities import Identities, Principal
from admin.check.people.patterns import matches
from admin.check.people.places import Place, Resource
from admin.check.people.powers import POWERS, READING, Power, context_of
from admin.check.people.rights import Policy, may_be_granted
from admin.check.people.server_users import is_for_servers
from admin.check.report import Finding
from admin.config.reading import FUNCTIONS
from admin.desired.permissions import (
    LARGEST_OF_A_ROLE,
    LARGEST_OF_A_USER,
    Document,
    document,
    size_of,
)
from admin.target import Target

DENIAL = "no-power-over-the-backups"


@dataclass(frozen=True)
class Held:
    """An action that a principal is allowed on a resource of the stage."""

    power: Power
    action: str
    place: Place


def denial(resources: Iterable[Place]) -> Document:
    """An IAM policy that leaves its principal nothing but read access to these resources."""
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
) -> Iterator[Finding]:
    """Find everyone in an account who can damage backups, or prevent them from being made.

    `resources` are those of the stage in the account. Administrators that the stage's configuration
    lists are not findings. The rights of the functions' roles and the servers' users are compared
    in full elsewhere.
    """
    account = identities.account
    bucket_policies = {
        bucket: read_bucket_policy(target, bucket)
        for bucket in {place.name for place in resources if place.is_in_s3}
    }
    for principal in identities.principals:
        if account is target.account and _is_own(target, principal):
            continue
        denials = {
            bucket: bucket_denials(policy, principal) for bucket, policy in bucket_policies.items()
        }
        held = [*_powers(principal, resources, denials)]
        if held and not is_listed(target, principal.arn):
            yield _finding(principal, held, account, target, resources)


def is_listed(target: Target, arn: str) -> bool:
    """Whether the stage's configuration lists this ARN as an administrator's."""
    return any(matches(pattern, arn) for pattern in target.stage.administrators)


def _is_own(target: Target, principal: Principal) -> bool:
    if principal.kind == "user":
        return is_for_servers(target, principal.name)
    return principal.name in map(target.stage.function_name, FUNCTIONS)


def _powers(
    principal: Principal, resources: tuple[Place, ...], denials: Mapping[str, tuple[Policy, ...]]
) -> Iterator[Held]:
    for power in POWERS:
        places = [place for place in resources if place.resource is power.resource]
        for action in power.actions if places else ():
            if not may_be_granted(principal.policies, action):
                continue
            for place in places:
                denied_by = denials[place.name] if place.is_in_s3 else ()
                if _may(principal, action, place, denied_by):
                    yield Held(power, action, place)


def _may(principal: Principal, action: str, place: Place, denied_by: tuple[Policy, ...]) -> bool:
    # Incoming can contain the uploads of many servers, so the bucket is judged first.
    if place.resource is Resource.UPLOADS and not principal.may(
        action, place.pattern, denied_by=denied_by
    ):
        return False
    context = context_of(action)
    return any(
        principal.may(action, arn, context=context, denied_by=denied_by) for arn in place.arns
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
        remedy=fix_by_denial(principal, DENIAL, denial(resources), account=account, target=target),
    )


def _capitalized(principal: Principal) -> str:
    return f"{principal.kind.capitalize()} {principal.name}"


def fix_by_denial(
    principal: Principal, name: str, denied: Document, *, account: Account, target: Target
) -> str:
    """The command line that puts an inline policy called `name`, which denies some rights.

    If that is impossible, how to remove the rights instead.
    """
    if principal.is_of_identity_center:
        return "remove these rights from its permission set in IAM Identity Center"
    most = LARGEST_OF_A_USER if principal.kind == "user" else LARGEST_OF_A_ROLE
    others = [policy for each, policy in principal.inline.items() if each != name]
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
        policy_name=name,
        policy_document=denied,
    )
