"""Everybody in the downloaded accounts: who is a target, who is a source, and what each can do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from admin.check.people.bucket_denials import read_bucket_policy
from admin.check.people.identities import Identities, Principal
from admin.check.reach.facts import Fact, Gain, Kind, Known
from admin.check.reach.forms import Form, form_of
from admin.check.reach.steps import act_as, gains_of, gains_over
from admin.check.reach.targets import Goal, Targets
from admin.check.reach.trust import Outsider, outsiders
from admin.check.reach.world import World
from admin.desired.permissions import Document
from admin.target import Target


@dataclass(frozen=True)
class Source:
    """Where a search begins: a user or role, or somebody outside with the roles that trust them.

    A role is there with each statement of its trust policy that lets them in.
    """

    arn: str
    label: str
    principal: Principal | None = None
    outsider: Outsider | None = None
    roles: tuple[tuple[Principal, Document], ...] = ()

    @property
    def fact(self) -> Fact:
        """The fact with which the search begins."""
        return act_as(self.principal) if self.principal else Fact(Kind.OUTSIDE, self.arn)


@dataclass(eq=False)
class Graph:
    """Who can become whom. What each can do without anybody's help is worked out only once."""

    targets: Targets
    world: World
    _gains: dict[str, list[Gain]] = field(default_factory=dict)
    _forms: dict[str, Form] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, downloads: Sequence[Identities]) -> "Graph":
        """The graph of these accounts."""
        targets = Targets(target, read_bucket_policy(target, target.vault))
        return cls(targets, World(downloads, targets.functions))

    @cached_property
    def goals(self) -> dict[str, Goal]:
        """Those who are targets without a single step, by their ARNs."""
        found = {
            arn: self.targets.goal_of(self.form(principal, Known(), self.world))
            for arn, principal in self.world.principals.items()
        }
        return {arn: goal for arn, goal in found.items() if goal}

    @cached_property
    def sources(self) -> list[Source]:
        """Everybody: users, roles, and the strangers whom roles trust."""
        trusted: dict[Outsider, list[tuple[Principal, Document]]] = {}
        for role in self.world.roles:
            for outsider, statement in outsiders(role, self.world.accounts):
                trusted.setdefault(outsider, []).append((role, statement))
        return [
            *(
                Source(principal.arn, principal.label, principal=principal)
                for principal in self.world.principals.values()
            ),
            *(
                Source(outsider.arn, outsider.label, outsider=outsider, roles=tuple(roles))
                for outsider, roles in trusted.items()
            ),
        ]

    def form(self, principal: Principal, known: Known, world: World) -> Form:
        """What the principal is, after everything that is known to be possible."""
        if not known.changes_nothing or principal is world.changed or principal.is_new:
            return form_of(principal, act_as(principal), known, world)
        if principal.arn not in self._forms:
            self._forms[principal.arn] = form_of(principal, act_as(principal), known, world)
        return self._forms[principal.arn]

    def gains(self, form: Form, world: World) -> Iterable[Gain]:
        """Everything that somebody can do next."""
        if form.facts or form.principal.is_new or form.principal is world.changed:
            return gains_of(form, world)
        arn = form.principal.arn
        if arn not in self._gains:
            self._gains[arn] = [*gains_of(form, self.world)]
        if world.changed and world.changed.account == form.principal.account:
            return [*self._gains[arn], *gains_over(form, world.changed, world)]
        return self._gains[arn]
