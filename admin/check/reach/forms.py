"""What a principal is allowed, together with everything that can be changed about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from admin.check.people.conditions import Context
from admin.check.people.identities import Principal
from admin.check.people.patterns import widest
from admin.check.people.rights import (
    Policy,
    allowed,
    denies,
    granted,
    may_be_granted,
    with_name,
)
from admin.check.reach.facts import Fact
from admin.check.reach.unknown import unknown_actions
from admin.desired.permissions import as_list


@dataclass(frozen=True)
class Proof:
    """Why something is allowed: the facts and unevaluated conditions on which it depends."""

    facts: tuple[Fact, ...] = ()
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A policy of the principal; if the facts `without` hold, it no longer applies."""

    policy: Policy
    without: tuple[Fact, ...] | None


@dataclass(frozen=True)
class Package:
    """Policies that the principal does not have, and the facts by which it could get them."""

    policies: tuple[Policy, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Limit:
    """A boundary that the principal could have, or none, and the policies it could get before."""

    policy: Policy | None
    facts: tuple[Fact, ...]
    packages: tuple[Package, ...]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A user or role, with every change to it that a search has found possible.

    The principal can have this form only with the facts in `given`.
    """

    fact: Fact
    principal: Principal
    parts: tuple[Part, ...]
    limits: tuple[Limit, ...]
    given: tuple[Fact, ...] = ()
    _possible: dict[str | tuple[str, ...], bool] = field(default_factory=dict, repr=False)
    _anywhere: dict[str, tuple[tuple[str, Proof], ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """Everything that could allow the principal something."""
        packages = (package for limit in self.limits for package in limit.packages)
        others = (policy for package in packages for policy in package.policies)
        return (*(part.policy for part in self.parts), *dict.fromkeys(others))

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The facts that extend the principal's rights; none if nothing about it can be changed."""
        facts = [*self.given, *(fact for part in self.parts for fact in part.without or ())]
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
        """Why an action is allowed on a resource, or on any that a pattern matches; None if not."""
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
                proof = Proof((*self.given, *limit.facts, *package.facts, *undone), found)
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
        """The actions of IAM and STS that it is allowed, but that no table lists."""
        found = (action for policy in self.policies for action in unknown_actions(policy))
        return tuple(dict.fromkeys(found))

    def resources_of(self, action: str) -> list[str]:
        """The patterns of the resources on which any of its policies allows an action."""
        found = {
            widest(with_name(str(pattern), self.principal.user))
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
        """Why an action that needs no Allow is not denied; None if it is."""
        asked = _Asked(self.principal, action, resource, {})
        undone = self._undenied(asked, ())
        for limit in self.limits:
            if undone is not None and not (limit.policy and asked.is_denied_by(limit.policy)):
                return Proof((*self.given, *limit.facts, *undone))
        return None

    def _undenied(self, asked: "_Asked", denied_by: Sequence[Policy]) -> tuple[Fact, ...] | None:
        """The facts that remove every Deny of the request; None if one cannot be removed."""
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
