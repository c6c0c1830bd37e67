"""Searches for the shortest way from one source to power over the backups.

The search collects, round by round, which principals the source can act as, and what it can then
change about users, roles, groups and policies, until it has found the worst power or nothing new.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from admin.check.people.identities import Holder, Principal
from admin.check.reach.changes import changes_of_group
from admin.check.reach.denials import Right, with_denial
from admin.check.reach.facts import Fact, Gain, Kind, Known
from admin.check.reach.forms import Form
from admin.check.reach.graph import Graph, Source
from admin.check.reach.steps import act_as, gains_over, made
from admin.check.reach.targets import Goal, Rank
from admin.check.reach.trust import ASSUME, outside_conditions
from admin.check.reach.world import World

# The power that a principal in this form has, if any.
Judge = Callable[[Form], Goal | None]


@dataclass(frozen=True)
class Found:
    """What a search has found: the steps to a goal."""

    source: Source
    goal: Goal
    gains: tuple[Gain, ...]

    @property
    def first_rights(self) -> list[Right]:
        """The rights that the source needs, and has without any other step."""
        first = (gain for gain in self.gains if gain.who == self.source.fact and not gain.needs)
        return [right for gain in first for right in gain.rights]


def search(graph: Graph, source: Source, denied: Collection[Right] = ()) -> Found | None:
    """The shortest way to the worst target other than the source itself.

    `denied` are rights that a further inline policy denies to the source; for a principal outside
    the accounts, the roles that no longer trust it.
    """
    return min(_ways(graph, source, denied), key=_weight, default=None)


def cut(graph: Graph, source: Source) -> list[list[Right]]:
    """The first rights of each way: if all of them are denied, no way is left."""
    cuts: list[list[Right]] = []
    denied: set[Right] = set()
    while ways := _ways(graph, source, denied):
        before = len(cuts)
        for found in sorted(ways, key=_weight):
            if new := [right for right in found.first_rights if right not in denied]:
                cuts.append(new)
                denied.update(new)
        if len(cuts) == before:
            # If denying individual names cuts no way, the action is denied on everything.
            widest = {(action, "*") for found in ways for action, _ in found.first_rights}
            if widest <= denied:
                break
            cuts[-1] += widest
            denied |= widest
    return cuts


def _ways(graph: Graph, source: Source, denied: Collection[Right]) -> list[Found]:
    """The ways to the worst targets that are found in the same round of a search."""
    own = graph.goals.get(source.arn) if source.principal else None
    if own and own.rank is Rank.ADMINISTRATOR:
        return []

    def judge(form: Form) -> Goal | None:
        goal = graph.goal(form)
        return goal if goal and _counts(goal, own, source, graph) else None

    return _search(graph, source, judge, denied)


def search_power(graph: Graph, source: Source, judge: Judge) -> Found | None:
    """The shortest way to a power; it has no steps if the source itself has the power."""
    return min(_search(graph, source, judge, ()), key=_weight, default=None)


def _search(graph: Graph, source: Source, judge: Judge, denied: Collection[Right]) -> list[Found]:
    if source.principal is None:
        begun = _Search(graph, source, graph.world, judge)
        begun.enter({resource for _, resource in denied})
        return begun.run()
    world = graph.world
    if denied:
        world = world.with_changed(with_denial(source.principal, denied))
    return _Search(graph, source, world, judge).run()


def _counts(goal: Goal, own: Goal | None, source: Source, graph: Graph) -> bool:
    """Whether a goal is more than the source's `own` power."""
    principal, targets = source.principal, graph.targets
    if principal is None or own is None or goal.rank < own.rank:
        return True
    # Our own principals must never become others.
    is_ours = targets.is_server(principal) or targets.is_role(principal)
    return is_ours and goal.holder != source.fact


@dataclass(eq=False)
class _Search:
    graph: Graph
    source: Source
    world: World
    judge: Judge
    known: Known = field(default_factory=Known)
    # The forms whose next steps are known: steps to all existing principals, or to what a fact
    # concerns.
    expanded: set[tuple[tuple[Fact, ...], Fact | None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.known.add(self.source.fact, None)

    def enter(self, closed: Collection[str]) -> None:
        """Let an outside principal assume the roles that trust it, except the closed ones."""
        for role, statement in self.source.roles:
            if role.arn not in closed:
                gain = Gain(
                    fact=act_as(role),
                    who=self.source.fact,
                    sentence=f"can assume {role.label}",
                    rights=((ASSUME, role.arn),),
                    conditions=outside_conditions(statement),
                )
                self.known.add(gain.fact, gain)

    def run(self) -> list[Found]:
        """Continue until the worst power is found, or nothing new."""
        while True:
            forms = [
                self.graph.form(principal, self.known, self.world) for principal in self._held()
            ]
            found = [*self._found(forms)]
            worst = min((each.goal.rank for each in found), default=Rank.NOBODY)
            new: dict[Fact, Gain] = {}
            for gain in self._next(forms) if worst > Rank.ADMINISTRATOR else ():
                if gain.fact not in self.known:
                    new.setdefault(gain.fact, gain)
            if not new:
                return [each for each in found if each.goal.rank == worst]
            for fact, gain in new.items():
                self.known.add(fact, gain)

    def _found(self, forms: Iterable[Form]) -> Iterator[Found]:
        for form in forms:
            if goal := self.judge(form):
                steps = self.known.steps_to([goal.holder, *goal.proof.facts])
                yield Found(self.source, goal, tuple(steps))

    def _next(self, forms: Iterable[Form]) -> Iterator[Gain]:
        """The next steps of all principals whose next steps are not known yet."""
        created, renamed = self.known.of_kind(Kind.CREATE), self.known.of_kind(Kind.RENAME)
        for form in forms:
            facts = (form.fact, *form.facts)
            if self._is_new(facts):
                yield from self.graph.gains(form, self.world)
            for fact in created:
                principal = made(fact)
                if principal.kind != "policy" and self._is_new(facts, over=fact):
                    for gain in gains_over(form, principal, self.world):
                        yield replace(gain, needs=(*gain.needs, fact))
            for fact in renamed:
                if self._is_new(facts, over=fact):
                    for gain in self._over_renamed(form, self.world.renamed(fact.arn)):
                        yield replace(gain, needs=(*gain.needs, fact))
        for fact in created:
            yield from self._use_new_role(fact)

    def _use_new_role(self, fact: Fact) -> Iterator[Gain]:
        """Act as a new role, which trusts its creator: this does not count as a step."""
        role, gain = made(fact), self.known.gains[fact]
        if role.kind == "role" and gain:
            yield Gain(fact=act_as(role), who=gain.who, sentence="", rights=(), needs=(fact,))

    def _is_new(self, facts: tuple[Fact, ...], over: Fact | None = None) -> bool:
        if (facts, over) in self.expanded:
            return False
        self.expanded.add((facts, over))
        return True

    def _over_renamed(self, form: Form, holder: Holder) -> Iterator[Gain]:
        if isinstance(holder, Principal):
            return gains_over(form, holder, self.world)
        return changes_of_group(form, holder, self.world)

    def _held(self) -> Iterator[Principal]:
        """The principals that the source can act as; those it can rename also under any name."""
        for fact in self.known.of_kind(Kind.ACT):
            yield self._principal(fact)
            if Fact(Kind.RENAME, fact.arn) in self.known:
                yield replace(self._principal(fact), renamed=True)

    def _principal(self, fact: Fact) -> Principal:
        return self.world.principals.get(fact.arn) or made(fact)


def _weight(found: Found) -> tuple[int, int, int]:
    conditions = sum(len(gain.conditions) for gain in found.gains)
    return found.goal.rank, len(found.gains), conditions
