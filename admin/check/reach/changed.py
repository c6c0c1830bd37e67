"""Builds the form of a principal: its policies and boundary, with all possible changes."""

from collections.abc import Iterator
from dataclasses import dataclass

from admin.check.people.identities import Holder, Managed, Principal
from admin.check.people.patterns import overlaps
from admin.check.people.rights import EVERYTHING
from admin.check.reach.facts import ANY_POLICY, Fact, Kind, Known
from admin.check.reach.forms import Form, Limit, Package, Part
from admin.check.reach.world import World

OF_AWS = "arn:aws:iam::aws:policy/*"


def form_of(principal: Principal, fact: Fact, known: Known, world: World) -> Form:
    """The form of the principal, with everything that is known to be possible."""
    return Form(
        fact=fact,
        principal=principal,
        parts=tuple(_parts(principal, known, world)),
        limits=tuple(_limits(principal, known, world)),
        given=(Fact(Kind.RENAME, principal.arn),) if principal.renamed else (),
    )


def _parts(principal: Principal, known: Known, world: World) -> Iterator[Part]:
    yield from _parts_of_holder(principal, principal, None, known, world)
    for group in world.groups_of(principal):
        leaving = next(iter(known.about(group.arn, Kind.LEAVE)), None)
        yield from _parts_of_holder(group, principal, leaving, known, world)


def _parts_of_holder(
    holder: Holder, principal: Principal, leaving: Fact | None, known: Known, world: World
) -> Iterator[Part]:
    """The policies of a user, role or group; `leaving`: this group's users can be removed."""
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
    """The fact, after the one that sets (or removes) the boundary as it requires."""
    if fact.arn != principal.arn or fact.under == (principal.boundary or ""):
        return (fact,)
    if fact.under:
        settings = known.about(principal.arn, Kind.LIMIT)
        settings = [each for each in settings if each.policy in {fact.under, ANY_POLICY}]
    else:
        settings = known.about(principal.arn, Kind.NO_LIMIT)
        settings = [each for each in settings if each.under == (principal.boundary or "")]
    return (settings[0], fact) if settings else None


def _limits(principal: Principal, known: Known, world: World) -> Iterator[Limit]:
    current = principal.boundary or ""
    packages = [*_packages(principal, known, world)]
    # Policies that require another boundary are useless with the present one.
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
        """What a boundary allows, and what it would allow after a change."""
        managed = self.world.managed(self.principal).get(boundary)
        if managed is None:  # IAM did not return what it allows
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
    """The policies that a user, role or group can get, once the facts `before` hold."""
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
    """What an attached policy allows; if IAM does not list the policy, everything.

    `policy` is an ARN, or a pattern of policies that could be attached.
    """
    if managed := world.managed(principal).get(policy):
        yield Package((managed.policy,), before)
        yield from _changed(managed, before, known)
    elif overlaps(policy, OF_AWS):
        yield Package((EVERYTHING,), before)
    for fact in known.of_kind(Kind.CREATE):
        if ":policy/" in fact.arn and overlaps(fact.arn, policy):
            yield Package((EVERYTHING,), (fact, *before))
