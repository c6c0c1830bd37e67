"""Everyone in the downloaded accounts: who is a target, who is a source, and what each can do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from admin.check.people.bucket_denials import read_bucket_policy
from admin.check.people.identities import Identities, Principal
from admin.check.reach.changed import form_of
from admin.check.reach.denials import WAY_DENIAL, denied_actions
from admin.check.reach.facts import Fact, Gain, Kind, Known
from admin.check.reach.forms import Form
from admin.check.reach.steps import act_as, gains_beside, gains_of, gains_over
from admin.check.reach.targets import Goal, Targets
from admin.check.reach.trust import Outsider, outsiders
from admin.check.reach.world import World
from admin.desired.permissions import Document
from admin.target import Target


@dataclass(frozen=True)
class Source:
    """Where a search begins: a user or role, or an outside principal and the roles that trust it.

    Each role comes with the statements of its trust policy that allow this.
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
    """Who can become whom. What each principal can do by itself is computed only once."""

    targets: Targets
    world: World
    _gains: dict[str, list[Gain]] = field(default_factory=dict)
    _forms: dict[str, Form] = field(default_factory=dict)
    _goals: dict[str, Goal | None] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, downloads: Sequence[Identities]) -> "Graph":
        """The graph of these accounts."""
        targets = Targets(target, read_bucket_policy(target, target.vault))
        return cls(targets, World(downloads, targets.functions))

    @cached_property
    def goals(self) -> dict[str, Goal]:
        """The principals who are targets without a single step, by their ARNs."""
        found = {
            arn: self.goal(self.form(principal, Known(), self.world))
            for arn, principal in self.world.principals.items()
        }
        return {arn: goal for arn, goal in found.items() if goal}

    @cached_property
    def sources(self) -> list[Source]:
        """All principals: users, roles, and those outside the accounts that roles trust."""
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
        """The principal with everything that is known to be possible for it."""
        if not known.changes_nothing or principal is world.changed or principal.is_new:
            return form_of(principal, act_as(principal), known, world)
        if principal.arn not in self._forms:
            self._forms[principal.arn] = form_of(principal, act_as(principal), known, world)
        return self._forms[principal.arn]

    def goal(self, form: Form) -> Goal | None:
        """The worst power that a principal has."""
        if form.principal.arn not in self._forms or form is not self._forms[form.principal.arn]:
            return self.targets.goal_of(form)
        if form.principal.arn not in self._goals:
            self._goals[form.principal.arn] = self.targets.goal_of(form)
        return self._goals[form.principal.arn]

    def gains(self, form: Form, world: World) -> Iterable[Gain]:
        """The next steps of a principal."""
        changed, principal = world.changed, form.principal
        if form.facts or principal.is_new:
            return gains_of(form, world)
        if principal is changed:
            return self._gains_without(form, world)
        own = self._own_gains(principal)
        return [*own, *gains_over(form, changed, world)] if changed else own

    def _own_gains(self, principal: Principal) -> list[Gain]:
        if principal.arn not in self._gains:
            form = self.form(principal, Known(), self.world)
            self._gains[principal.arn] = [*gains_of(form, self.world)]
        return self._gains[principal.arn]

    def _gains_without(self, form: Form, world: World) -> Iterable[Gain]:
        """The next steps of a principal to whom something is denied.

        Only the steps to principals that a denied action affects are computed again.
        """
        before = self.world.principals[form.principal.arn]
        if WAY_DENIAL in before.inline:  # which is replaced, so that more is allowed
            return gains_of(form, world)
        own, denied = self._own_gains(before), denied_actions(form.principal)
        looked_at = {form.principal.arn} | {
            gain.fact.arn for gain in own if any(action in denied for action, _ in gain.rights)
        }
        principals = world.principals
        others = principals.keys() - looked_at
        return [
            *(gain for gain in own if gain.fact.arn in others),
            *(
                gain
                for arn in sorted(looked_at & principals.keys())
                for gain in gains_over(form, principals[arn], world)
            ),
            *gains_beside(form, world),
        ]
