"""The next steps of a principal: each function is one kind of step.

`pathfinding.cloud`, PMapper and the IAM user guide describe them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from admin.check.people.identities import Principal
from admin.check.reach.changes import (
    CHANGING,
    boundaries_to_try,
    changes_of_groups,
    changes_of_policies,
    changes_of_principal,
    under_boundary,
)
from admin.check.reach.facts import Fact, Gain, Kind
from admin.check.reach.forms import Form, Proof
from admin.check.reach.services import SERVICES, Service
from admin.check.reach.trust import (
    ASSUME,
    in_any_region,
    providers_of,
    services_of,
    trusted,
)
from admin.check.reach.world import World

_NEW_KEY, _NEW_PASSWORD = "iam:CreateAccessKey", "iam:CreateLoginProfile"
# Second factors are not among them: conditions on them count as met, so a device cuts no way. Nor
# are credentials for single services (CodeCommit, Cassandra, Bedrock), which are useless in IAM, S3
# or Lambda.
CREDENTIALS = {
    _NEW_KEY: "can create an access key for {}",
    _NEW_PASSWORD: "can create a password for {}",
    "iam:UpdateLoginProfile": "can change the password of {}",
    "iam:UpdateAccessKey": "can switch on an old access key of {}",
}
TAKING = (*CREDENTIALS,)
# The ways to let strangers in through an identity provider that a role trusts.
PROVIDER_CHANGES = (
    "iam:UpdateSAMLProvider",
    "iam:CreateSAMLProvider",
    "iam:AddClientIDToOpenIDConnectProvider",
    "iam:UpdateOpenIDConnectProviderThumbprint",
    "iam:CreateOpenIDConnectProvider",
)
MAKING = {"user": "iam:CreateUser", "role": "iam:CreateRole", "policy": "iam:CreatePolicy"}
# The actions that make a name available again.
_FREEING = {
    "user": ("iam:DeleteUser", "iam:UpdateUser"),
    "role": ("iam:DeleteRole",),
    "policy": ("iam:DeletePolicy",),
}

_MAKES = {
    "user": "can create a new user {}",
    "role": "can create a new role {} that trusts it",
    "policy": "can create a new IAM policy {}",
}


def gains_of(form: Form, world: World) -> Iterator[Gain]:
    """The next steps of a principal that lead to existing principals.

    Few callers can change users, so skipping users saves most of the time in large accounts.
    """
    reaches_users = form.could_any((*CHANGING, *TAKING)) or form.unknown_actions
    for principal in world.principals.values() if reaches_users else world.roles:
        yield from gains_over(form, principal, world)
    yield from gains_beside(form, world)


def gains_beside(form: Form, world: World) -> Iterator[Gain]:
    """A principal's next steps to groups and policies, and to principals that it can create."""
    if form.could_any(CHANGING):
        yield from changes_of_groups(form, world)
        yield from changes_of_policies(form, world)
    if form.could_any(tuple(MAKING.values())):
        yield from _make(form, world)


def gains_over(form: Form, principal: Principal, world: World) -> Iterator[Gain]:
    """The next steps of a principal that lead to one user or role."""
    if principal.account != form.principal.account:
        if principal.kind == "role":
            yield from _assume(form, principal)
        return
    if form.could_any(CHANGING):
        yield from changes_of_principal(form, principal, world)
    if principal.arn == form.principal.arn:
        return
    if principal.kind == "role":
        yield from _assume(form, principal)
        yield from _change_trust(form, principal)
        yield from _pass(form, principal)
        yield from _change_what_runs(form, principal, world)
        yield from _change_provider(form, principal)
    elif form.could_any(TAKING):
        yield from _take_credentials(form, principal)
    yield from _use_unknown_actions(form, principal)


def act_as(principal: Principal) -> Fact:
    """The fact that the principal's rights can be used."""
    under = (principal.boundary or "") if principal.is_new else ""
    return Fact(Kind.ACT, principal.arn, under=under)


def _take_credentials(form: Form, user: Principal) -> Iterator[Gain]:
    for action, sentence in CREDENTIALS.items():
        if user.is_new and action not in {_NEW_KEY, _NEW_PASSWORD}:
            continue
        if proof := form.may(action, user.resource):
            yield _gain(form, user, sentence, proof, (action, user.resource))


def _assume(form: Form, role: Principal) -> Iterator[Gain]:
    trust = trusted(role, form.principal) if role.trust else None
    if trust is None:
        return
    # A principal that is named in a trust policy of its own account needs no right.
    ask = form.is_not_denied if trust.by_name else form.may
    if proof := ask(ASSUME, role.arn):
        with_trust = replace(proof, conditions=(*proof.conditions, *trust.conditions))
        yield _gain(form, role, "can assume {}", with_trust, (ASSUME, role.arn))


def _change_trust(form: Form, role: Principal) -> Iterator[Gain]:
    action = "iam:UpdateAssumeRolePolicy"
    if proof := form.may(action, role.arn, context=under_boundary(role.boundary)):
        yield _gain(form, role, "can let itself assume {}", proof, (action, role.arn))


def _pass(form: Form, role: Principal) -> Iterator[Gain]:
    """Pass the role to a service that runs code under it."""
    action = "iam:PassRole"
    for principal in services_of(role) if form.could(action) else ():
        # A condition can name the service in either form.
        proofs = (
            form.may(action, role.arn, context={"iam:passedtoservice": name})
            for name in (principal, in_any_region(principal))
        )
        if (passing := next(filter(None, proofs), None)) is None:
            continue
        service = SERVICES.get(in_any_region(principal))
        if service is None:  # which could run anything
            yield _gain(form, role, f"can pass {{}} to {principal}", passing, (action, role.arn))
            continue
        for run in service.running:
            for _, running in form.anywhere(run)[:1]:
                sentence = f"can pass {{}} to {service.name} ({run})"
                yield _gain(form, role, sentence, _both(passing, running), (action, role.arn))


def _change_what_runs(form: Form, role: Principal, world: World) -> Iterator[Gain]:
    """Change what a service already runs under the role.

    Regions are not distinguished, so such a right reaches every role that trusts the service. Only
    for our own functions is it known which role they have.
    """
    for principal in services_of(role):
        service = SERVICES.get(in_any_region(principal))
        if service is None or (service.name == "EC2" and not role.has_profile):
            continue
        rights = [
            (action, resource, proof)
            for action in (service.changing if form.could_any(service.changing) else ())
            for resource, proof in _of_functions(form, action, role, service, world)
        ]
        # Any of them makes the same step: a principal that loses one right uses the next.
        for action, _, proof in rights[:1]:
            sentence = f"can change what runs as {{}} in {service.name} ({action})"
            every = [(each, resource) for each, resource, _ in rights]
            yield _gain(form, role, sentence, proof, *every)


def _of_functions(
    form: Form, action: str, role: Principal, service: Service, world: World
) -> Iterator[tuple[str, Proof]]:
    """The resources on which the action is allowed, which changes what runs under the role."""
    if service.name != "Lambda":
        yield from form.anywhere(action)
    elif role.arn in world.functions:
        for function in world.functions[role.arn]:
            if proof := form.may(action, function):
                yield function, proof
    else:
        for resource, proof in form.anywhere(action):
            if not world.is_our_function(resource):
                yield resource, proof


def _change_provider(form: Form, role: Principal) -> Iterator[Gain]:
    for provider in providers_of(role) if form.could_any(PROVIDER_CHANGES) else ():
        for action in PROVIDER_CHANGES:
            if f"::{role.account}:" in provider and (proof := form.may(action, provider)):
                name = provider.partition("/")[2]
                sentence = f"can change the identity provider {name}, which {{}} trusts ({action})"
                yield _gain(form, role, sentence, proof, (action, provider))


def _use_unknown_actions(form: Form, principal: Principal) -> Iterator[Gain]:
    """An unknown action that names a principal could be a new way."""
    for action in form.unknown_actions:
        if proof := form.may(action, principal.resource):
            sentence = f"is allowed {action}, which this check does not recognize, on {{}}"
            yield _gain(form, principal, sentence, proof, (action, principal.resource))


def _make(form: Form, world: World) -> Iterator[Gain]:
    """Create a user, a role or a managed policy; a new role trusts its creator."""
    for kind, action in MAKING.items():
        for pattern in _names_of(form, kind, action):
            if _is_taken(pattern, world) and not form.could_any(_FREEING[kind]):
                continue
            for boundary in ("", *boundaries_to_try(form)) if kind != "policy" else ("",):
                context = under_boundary(boundary) if kind != "policy" else {}
                if proof := form.may(action, pattern, context=context):
                    named = pattern.partition(f":{kind}/")[2]
                    fact = Fact(Kind.CREATE, pattern, under=boundary)
                    yield Gain(
                        fact=fact,
                        who=form.fact,
                        sentence=_MAKES[kind].format(named),
                        rights=((action, pattern),),
                        needs=proof.facts,
                        conditions=proof.conditions,
                    )


def _is_taken(pattern: str, world: World) -> bool:
    """Whether a user, role or policy with this name exists."""
    download = world.accounts[pattern.split(":")[4]]
    return pattern in world.principals or pattern in download.managed


def made(fact: Fact) -> Principal:
    """The user or role that the principal can create."""
    _, _, kind_and_name = fact.arn.rpartition(":")
    kind, _, name = kind_and_name.partition("/")
    return Principal(
        kind=kind, name=name, id="", arn=fact.arn, boundary=fact.under or None, is_new=True
    )


def _names_of(form: Form, kind: str, action: str) -> Sequence[str]:
    """The patterns of the names that the principal can give to what it creates."""
    prefix = f"arn:aws:iam::{form.principal.account}:{kind}/"
    patterns = form.resources_of(action)
    return sorted({prefix + (each.partition(f":{kind}/")[2] or "*") for each in patterns})


def _gain(
    form: Form, principal: Principal, sentence: str, proof: Proof, *rights: tuple[str, str]
) -> Gain:
    return Gain(
        fact=act_as(principal),
        who=form.fact,
        sentence=sentence.format(principal.label),
        rights=rights,
        needs=proof.facts,
        conditions=proof.conditions,
    )


def _both(one: Proof, other: Proof) -> Proof:
    return Proof((*one.facts, *other.facts), (*one.conditions, *other.conditions))
