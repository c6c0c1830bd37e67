"""What a principal is allowed, together with everything that can be changed about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from admin.check.people.conditions import Context
from admin.check.people.identities import Holder, Managed, Principal
from admin.check.people.patterns import overlaps, widest
from admin.check.people.rights import Policy, allowed, denies, granted, may_be_granted
from admin.check.reach.facts import ANY_POLICY, Fact, Kind, Known
from admin.check.reach.unknown import unknown_actions
from admin.check.reach.world import World
from admin.desired.permissions import as_list

EVERYTHING = Policy({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


@dataclass(frozen=True)
class Proof:
    """Why something is allowed: the facts and unjudged conditions on which it depends."""

    facts: tuple[Fact, ...] = ()
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A policy of the principal; with the facts `without` it no longer applies."""

    policy: Policy
    without: tuple[Fact, ...] | None


@dataclass(frozen=True)
class Package:
    """Policies that the principal does not have, and the facts by which it could get them."""

    policies: tuple[Policy, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Limit:
    """A boundary that it could have, or none, and what it could have got until then."""

    policy: Policy | None
    facts: tuple[Fact, ...]
    packages: tuple[Package, ...]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A user or role, with every change to it that a search has found possible."""

    fact: Fact
    principal: Principal
    parts: tuple[Part, ...]
    limits: tuple[Limit, ...]
    _possible: dict[str | tuple[str, ...], bool] = field(default_factory=dict, repr=False)
    _anywhere: dict[str, tuple[tuple[str, Proof], ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """Everything that could allow it something."""
        packages = (package for limit in self.limits for package in limit.packages)
        others = (policy for package in packages for policy in package.policies)
        return (*(part.policy for part in self.parts), *dict.fromkeys(others))

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The facts that make it more than it is; none, if nothing about it can be changed."""
        facts = [fact for part in self.parts for fact in part.without or ()]
        for limit in self.limits:
            facts += limit.facts
            facts += (fact for package in limit.packages for fact in package.facts)
        return tuple(dict.fromkeys(facts))

    def could(self, action: str) -> bool:
        """Whether any of its policies allows the action on some resource."""
        if action not in self._possible:
            self._possible[action] = may_be_granted(self.policies, action)
        return self._possible[action]

    def may(
        self,
        action: str,
        resource: str,
        *,
        context: Context | None = None,
        denied_by: Sequence[Policy] = (),
    ) -> Proof | None:
        """Why it is allowed an action on a resource, or on any like a pattern, if it is."""
        if not self.could(action):
            return None
        asked = _Asked(self.principal, action, resource, context or {})
        if (undone := self._undenied(asked, denied_by)) is None:
            return None
        best = None
        own = Package(tuple(part.policy for part in self.parts), ())
        for limit in self.limits:
            if limit.policy and not asked.granted_by((limit.policy,)):
                continue
            for package in (own, *limit.packages):
                found = asked.allowed_by(package.policies)
                if found is None or (
                    package is not own and any(map(asked.is_denied_by, package.policies))
                ):
                    continue
                proof = Proof((*limit.facts, *package.facts, *undone), found)
                if not (proof.facts or proof.conditions):
                    return proof
                best = min(best or proof, proof, key=_weight)
        return best

    def could_any(self, actions: tuple[str, ...]) -> bool:
        """Whether any of its policies allows one of the actions on some resource."""
        if actions not in self._possible:
            self._possible[actions] = any(map(self.could, actions))
        return self._possible[actions]

    @cached_property
    def unknown_actions(self) -> tuple[str, ...]:
        """The actions of IAM and STS that it is allowed, and that no table knows."""
        found = (action for policy in self.policies for action in unknown_actions(policy))
        return tuple(dict.fromkeys(found))

    def resources_of(self, action: str) -> list[str]:
        """The patterns of the resources on which any of its policies allows an action."""
        found = {
            widest(str(pattern))
            for policy in self.policies
            for statement in policy.allowing(action)
            for pattern in as_list(statement.get("Resource", "*"))
        }
        return sorted(found)

    def anywhere(self, action: str) -> tuple[tuple[str, Proof], ...]:
        """Each pattern of resources on which it is allowed an action, and why."""
        if action not in self._anywhere:
            proofs = ((each, self.may(action, each)) for each in self.resources_of(action))
            self._anywhere[action] = tuple((each, proof) for each, proof in proofs if proof)
        return self._anywhere[action]

    def is_not_denied(self, action: str, resource: str) -> Proof | None:
        """Why nothing denies it an action that nobody needs to allow, if nothing does."""
        asked = _Asked(self.principal, action, resource, {})
        undone = self._undenied(asked, ())
        for limit in self.limits:
            if undone is not None and not (limit.policy and asked.is_denied_by(limit.policy)):
                return Proof((*limit.facts, *undone))
        return None

    def _undenied(self, asked: "_Asked", denied_by: Sequence[Policy]) -> tuple[Fact, ...] | None:
        """The facts by which nothing denies what is asked; None if something does for good."""
        undone: list[Fact] = []
        if any(map(asked.is_denied_by, denied_by)):
            return None
        for part in self.parts:
            if part.policy.denying(asked.action) and asked.is_denied_by(part.policy):
                if part.without is None:
                    return None
                undone += part.without
        return tuple(undone)


@dataclass(frozen=True)
class _Asked:
    principal: Principal
    action: str
    resource: str
    more: Context

    @property
    def context(self) -> Context:
        return {**self.principal.context, **self.more} if self.more else self.principal.context

    def allowed_by(self, policies: tuple[Policy, ...]) -> tuple[str, ...] | None:
        found = allowed(
            policies, self.action, self.resource, user=self.principal.user, context=self.context
        )
        return found.conditions if found else None

    def granted_by(self, policies: tuple[Policy, ...]) -> bool:
        return (
            granted(
                policies, self.action, self.resource, user=self.principal.user, context=self.context
            )
            is not None
        )

    def is_denied_by(self, policy: Policy) -> bool:
        return denies(
            policy, self.action, self.resource, user=self.principal.user, context=self.context
        )


def _weight(proof: Proof) -> tuple[int, int]:
    return len(proof.facts), len(proof.conditions)


def form_of(principal: Principal, fact: Fact, known: Known, world: World) -> Form:
    """What the principal is, after everything that is known to be possible."""
    return Form(
        fact=fact,
        principal=principal,
        parts=tuple(_parts(principal, known, world)),
        limits=tuple(_limits(principal, known, world)),
    )


def _parts(principal: Principal, known: Known, world: World) -> Iterator[Part]:
    yield from _parts_of_holder(principal, principal, None, known, world)
    for group in world.groups_of(principal):
        leaving = next(iter(known.about(group.arn, Kind.LEAVE)), None)
        yield from _parts_of_holder(group, principal, leaving, known, world)


def _parts_of_holder(
    holder: Holder, principal: Principal, leaving: Fact | None, known: Known, world: World
) -> Iterator[Part]:
    """The policies of a user, role or group; `leaving`: the users of this group can be removed."""
    left = (leaving,) if leaving else None

    def first(*kinds: Kind, policy: str = "") -> tuple[Fact, ...] | None:
        for kind in kinds:
            for fact in known.about(holder.arn, kind):
                if fact.policy in {policy, ANY_POLICY} or kind is Kind.INLINE:
                    chain = _meanwhile(fact, principal, known)
                    if chain is not None:
                        return chain
        return None

    for policy in holder.inline_policies:
        yield Part(policy, left or first(Kind.NO_INLINE, Kind.INLINE))
    for arn in holder.attached:
        managed = world.managed(principal)[arn]
        written = next(iter(known.about(arn, Kind.WRITE)), None) or (
            next(iter(known.about(arn, Kind.RESTORE)), None) if managed.others else None
        )
        yield Part(
            managed.policy,
            left or first(Kind.DETACH, policy=arn) or ((written,) if written else None),
        )


def _meanwhile(fact: Fact, principal: Principal, known: Known) -> tuple[Fact, ...] | None:
    """The fact, and the one by which the principal can have the boundary that it needs."""
    if fact.arn != principal.arn or fact.under == (principal.boundary or ""):
        return (fact,)
    setting = Fact(Kind.LIMIT, principal.arn, fact.under)
    return (setting, fact) if setting in known else None


def _limits(principal: Principal, known: Known, world: World) -> Iterator[Limit]:
    current = principal.boundary or ""
    packages = [*_packages(principal, known, world)]
    # What can only be had under another boundary is of no use under the present one.
    own = tuple(
        package
        for package in packages
        if all(fact.arn != principal.arn or fact.under == current for fact in package.facts)
    )
    limited = _Limited(principal, known, world)
    yield from limited.by(current, (), own)
    settable = known.about(principal.arn, Kind.LIMIT)
    for fact in settable:
        yield from limited.by(fact.policy, (fact,), tuple(packages))
    for fact in known.about(principal.arn, Kind.NO_LIMIT):
        if (chain := _meanwhile(fact, principal, known)) is not None:
            yield Limit(None, chain, tuple(packages))


@dataclass(frozen=True)
class _Limited:
    principal: Principal
    known: Known
    world: World

    def by(
        self, boundary: str, facts: tuple[Fact, ...], packages: tuple[Package, ...]
    ) -> Iterator[Limit]:
        """What a boundary allows, and what it would allow if somebody changed it."""
        managed = self.world.managed(self.principal).get(boundary)
        if managed is None:  # IAM did not say what it allows
            yield Limit(None, facts, packages)
            return
        yield Limit(managed.policy, facts, packages)
        for fact in self.known.about(boundary, Kind.WRITE):
            yield Limit(None, (*facts, fact), packages)
        for fact in self.known.about(boundary, Kind.RESTORE):
            for other in managed.others:
                yield Limit(other, (*facts, fact), packages)


def _packages(principal: Principal, known: Known, world: World) -> Iterator[Package]:
    yield from _packages_of_holder(principal, principal, (), known, world)
    own = world.groups_of(principal)
    for group in own:
        yield from _packages_of_holder(group, principal, (), known, world)
    if principal.kind != "user":
        return
    for group in world.groups_in(principal):
        for joining in known.about(group.arn, Kind.JOIN) if group not in own else ():
            policies = [
                *group.inline_policies,
                *(world.managed(principal)[arn].policy for arn in group.attached),
            ]
            yield Package(tuple(policies), (joining,))
            yield from _packages_of_holder(group, principal, (joining,), known, world)


def _packages_of_holder(
    holder: Holder, principal: Principal, before: tuple[Fact, ...], known: Known, world: World
) -> Iterator[Package]:
    """What a user, role or group can be given, once the facts `before` are used."""
    for fact in known.about(holder.arn, Kind.INLINE):
        if chain := _meanwhile(fact, principal, known):
            yield Package((EVERYTHING,), (*before, *chain))
    for arn in holder.attached:
        yield from _changed(world.managed(principal)[arn], before, known)
    for fact in known.about(holder.arn, Kind.ATTACH):
        if chain := _meanwhile(fact, principal, known):
            yield from _attachable(fact.policy, (*before, *chain), principal, known, world)


def _changed(managed: Managed, before: tuple[Fact, ...], known: Known) -> Iterator[Package]:
    for fact in known.about(managed.arn, Kind.WRITE):
        yield Package((EVERYTHING,), (*before, fact))
    for fact in known.about(managed.arn, Kind.RESTORE):
        for other in managed.others:
            yield Package((other,), (*before, fact))


def _attachable(
    policy: str, before: tuple[Fact, ...], principal: Principal, known: Known, world: World
) -> Iterator[Package]:
    """What an attached policy allows; of what IAM does not list, everything is assumed."""
    if managed := world.managed(principal).get(policy):
        yield Package((managed.policy,), before)
        yield from _changed(managed, before, known)
    elif policy == ANY_POLICY or world.is_of_aws(policy):
        yield Package((EVERYTHING,), before)
    for fact in known.of_kind(Kind.CREATE):
        if ":policy/" in fact.arn and overlaps(fact.arn, policy):
            yield Package((EVERYTHING,), (fact, *before))
