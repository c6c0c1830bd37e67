"""What a principal can change about users, roles, groups and managed policies."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from admin.check.people.conditions import Context, values_of
from admin.check.people.identities import Holder, Principal
from admin.check.people.patterns import ANY_NAME, widest
from admin.check.people.rights import Policy
from admin.check.reach.facts import ANY_POLICY, Fact, Gain, Kind
from admin.check.reach.forms import Form
from admin.check.reach.world import World
from admin.desired.permissions import statements

_BOUNDARY, _POLICY = "iam:permissionsboundary", "iam:policyarn"
_OF_POLICIES = ("Put", "Delete", "Attach", "Detach")
# Managed policies that IAM lists only if they are attached.
_ANY_OF_AWS = f"arn:aws:iam::aws:policy/{ANY_NAME}"
_EVERY_RIGHT = "arn:aws:iam::aws:policy/AdministratorAccess"

_HOLDERS = ("User", "Role", "Group")
# Every action that changes rights.
CHANGING = (
    *(f"iam:{verb}{kind}Policy" for verb in _OF_POLICIES for kind in _HOLDERS),
    *(
        f"iam:{verb}{kind}PermissionsBoundary"
        for verb in ("Put", "Delete")
        for kind in _HOLDERS[:2]
    ),
    "iam:AddUserToGroup",
    "iam:RemoveUserFromGroup",
    "iam:UpdateGroup",
    "iam:UpdateUser",
    "iam:CreatePolicyVersion",
    "iam:SetDefaultPolicyVersion",
)


def changes_of_principal(form: Form, principal: Principal, world: World) -> Iterator[Gain]:
    """How a principal can change the policies and the boundary of a user or role."""
    kind, name = principal.kind.capitalize(), _named(form, principal)
    yield from _of_holder(form, principal, kind, name, world)
    put = f"iam:Put{kind}PermissionsBoundary"
    for policy in _policies_to_try(form, put, principal, _BOUNDARY, world=world):
        if proof := form.may(put, principal.resource, context=under_boundary(policy)):
            fact = Fact(Kind.LIMIT, principal.arn, policy=_as_known(policy))
            sentence = f"can replace the permissions boundary of {name}"
            yield _gain(form, fact, sentence, (put, principal.resource), proof)
    if principal.boundary:
        action = f"iam:Delete{kind}PermissionsBoundary"
        sentence = f"can remove the permissions boundary of {name}"
        yield from _simple(form, principal, action, Kind.NO_LIMIT, sentence)
    if principal.kind == "user" and not principal.is_new:
        yield from _rename(form, principal, "iam:UpdateUser", name)


def changes_of_groups(form: Form, world: World) -> Iterator[Gain]:
    """How a principal can change the policies and the users of the account's groups."""
    for group in world.groups_in(form.principal):
        yield from changes_of_group(form, group, world)


def changes_of_group(form: Form, group: Holder, world: World) -> Iterator[Gain]:
    """How a principal can change the policies and the users of a group."""
    name = f"the group {group.arn.rpartition('/')[2]}"
    yield from _of_holder(form, group, "Group", name, world)
    add, remove = "iam:AddUserToGroup", "iam:RemoveUserFromGroup"
    yield from _simple(form, group, add, Kind.JOIN, f"can add users to {name}")
    yield from _simple(form, group, remove, Kind.LEAVE, f"can remove users from {name}")
    yield from _rename(form, group, "iam:UpdateGroup", name)


def changes_of_policies(form: Form, world: World) -> Iterator[Gain]:
    """How a principal can change the account's own managed policies."""
    for arn, managed in world.managed(form.principal).items():
        if world.is_of_aws(arn):
            continue
        name = arn.partition(":policy/")[2]
        action = "iam:CreatePolicyVersion"
        if proof := form.may(action, arn):
            sentence = f"can write a new version of the IAM policy {name}"
            yield _gain(form, Fact(Kind.WRITE, arn), sentence, (action, arn), proof)
        action = "iam:SetDefaultPolicyVersion"
        if managed.others and (proof := form.may(action, arn)):
            sentence = f"can restore another version of the IAM policy {name}"
            yield _gain(form, Fact(Kind.RESTORE, arn), sentence, (action, arn), proof)


def under_boundary(boundary: str | None) -> Context:
    """The request's condition key for the boundary that the user or role has, or will get."""
    return {_BOUNDARY: boundary or None}


def boundaries_to_try(form: Form) -> list[str]:
    """The permissions boundaries that conditions in the principal's policies name."""
    return _mentioned(form, _BOUNDARY)


def _of_holder(form: Form, holder: Holder, kind: str, name: str, world: World) -> Iterator[Gain]:
    put = f"can add any right to {name}"
    yield from _simple(form, holder, f"iam:Put{kind}Policy", Kind.INLINE, put)
    if holder.inline:
        delete = f"can delete the inline IAM policies of {name}"
        yield from _simple(form, holder, f"iam:Delete{kind}Policy", Kind.NO_INLINE, delete)
    attach, detach = f"iam:Attach{kind}Policy", f"iam:Detach{kind}Policy"
    for boundary in _unders(form, holder) if form.could_any((attach, detach)) else ():
        more = under_boundary(boundary) if isinstance(holder, Principal) else {}
        for policy in _policies_to_try(form, attach, holder, _POLICY, world=world, more=more):
            pattern = _as_known(policy).replace(ANY_NAME, "*")
            fact = Fact(Kind.ATTACH, holder.arn, pattern, boundary)
            if proof := form.may(attach, holder.resource, context={**more, _POLICY: policy}):
                sentence = f"can attach {_title(policy)} to {name}"
                yield _gain(form, fact, sentence, (attach, holder.resource), proof)
        for policy in holder.attached:
            if proof := form.may(detach, holder.resource, context={**more, _POLICY: policy}):
                fact = Fact(Kind.DETACH, holder.arn, policy, boundary)
                sentence = f"can detach {_title(policy)} from {name}"
                yield _gain(form, fact, sentence, (detach, holder.resource), proof)


def _simple(form: Form, holder: Holder, action: str, kind: Kind, sentence: str) -> Iterator[Gain]:
    for boundary in _unders(form, holder) if form.could(action) else ():
        context = under_boundary(boundary) if isinstance(holder, Principal) else {}
        if proof := form.may(action, holder.resource, context=context):
            fact = Fact(kind, holder.arn, under=boundary)
            yield _gain(form, fact, sentence, (action, holder.resource), proof)


def _rename(form: Form, holder: Holder, action: str, name: str) -> Iterator[Gain]:
    """Give a user or group another name, on which the principal has other rights.

    IAM requires the right on both names.
    """
    own = _without_account(holder.arn)
    if any(_without_account(resource) != own for resource, _ in form.anywhere(action)) and (
        proof := form.may(action, holder.arn)
    ):
        fact = Fact(Kind.RENAME, holder.arn)
        yield _gain(form, fact, f"can rename {name}", (action, holder.arn), proof)


def _without_account(resource: str) -> str:
    return resource.rpartition(":")[2]


def _unders(form: Form, holder: Holder) -> list[str]:
    """The boundaries that a user or role could have when it is changed; none for a group."""
    if not isinstance(holder, Principal):
        return [""]
    return [*dict.fromkeys([holder.boundary or "", "", *boundaries_to_try(form)])]


def _policies_to_try(
    form: Form, action: str, holder: Holder, key: str, *, world: World, more: Context | None = None
) -> list[str]:
    """The managed policies worth trying: if one with every right is possible, only that one."""
    if not form.could(action):
        return []
    for widest_policy in (_ANY_OF_AWS, _EVERY_RIGHT):
        if form.may(action, holder.resource, context={**(more or {}), key: widest_policy}):
            return [widest_policy]
    own = f"arn:aws:iam::{form.principal.account}:policy/{ANY_NAME}"  # which may not exist yet
    return [*dict.fromkeys([*_mentioned(form, key), own, *world.managed(form.principal)])]


def _as_known(policy: str) -> str:
    return ANY_POLICY if policy in {_ANY_OF_AWS, _EVERY_RIGHT} else policy


def _title(policy: str) -> str:
    if policy in {_ANY_OF_AWS, _EVERY_RIGHT}:
        return "any IAM policy"
    return f"the IAM policy {policy.partition(':policy/')[2].replace(ANY_NAME, '*')}"


def _named(form: Form, principal: Principal) -> str:
    return "itself" if principal.arn == form.principal.arn else principal.label


def _mentioned(form: Form, key: str) -> list[str]:
    return [*dict.fromkeys(value for policy in form.policies for value in _values(policy, key))]


@cache
def _values(policy: Policy, key: str) -> tuple[str, ...]:
    """The values of a key in a policy's conditions, with some name in place of the wildcards."""
    return tuple(
        widest(value).replace("*", ANY_NAME).replace("?", ANY_NAME)
        for statement in statements(policy.document)
        for value in values_of(statement.get("Condition", {}), key)
    )


def _gain(form: Form, fact: Fact, sentence: str, right: tuple[str, str], proof: Any) -> Gain:
    return Gain(
        fact=fact,
        who=form.fact,
        sentence=sentence,
        rights=(right,),
        needs=proof.facts,
        conditions=proof.conditions,
    )
