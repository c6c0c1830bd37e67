"""Searches the shortest way from one source to power over the backups.

The search notes, round by round, whom the source can act as, and what it can then change about
users, roles, groups and policies, until it has found the worst or knows everything.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from admin.check.people.identities import Principal
from admin.check.people.rights import Policy
from admin.check.reach.facts import Fact, Gain, Kind, Known
from admin.check.reach.forms import Form
from admin.check.reach.graph import Graph, Source
from admin.check.reach.steps import act_as, gains_over, made
from admin.check.reach.targets import Goal, Rank
from admin.check.reach.trust import ASSUME, outside_conditions
from admin.check.reach.world import World
from admin.desired.permissions import Document, document

# How many ways of one principal are counted, and denied one by one.
MOST_WAYS = 20
# The inline policy that cuts all of them.
WAY_DENIAL = "no-way-to-the-backups"

# An action and its resource.
Right = tuple[str, str]
# The power that somebody in a form has, if any.
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
    """The shortest way to the worst target that the source is not itself.

    `denied` are rights that a further inline policy of the source denies it; for somebody from
    outside, the roles that no longer trust them.
    """
    own = graph.goals.get(source.arn) if source.principal else None
    if own and own.rank is Rank.ADMINISTRATOR:
        return None

    def judge(form: Form) -> Goal | None:
        goal = graph.targets.goal_of(form)
        return goal if goal and _counts(goal, own, source, graph) else None

    return _search(graph, source, judge, denied)


def search_power(graph: Graph, source: Source, judge: Judge) -> Found | None:
    """The shortest way to a power; there are no steps if the source has it itself."""
    return _search(graph, source, judge, ())


def _search(graph: Graph, source: Source, judge: Judge, denied: Collection[Right]) -> Found | None:
    if source.principal is None:
        begun = _Search(graph, source, graph.world, judge)
        begun.enter({resource for _, resource in denied})
        return begun.run()
    principal = _with_denial(source.principal, denied)
    world = graph.world if principal is source.principal else graph.world.with_changed(principal)
    return _Search(graph, source, world, judge).run()


def _counts(goal: Goal, own: Goal | None, source: Source, graph: Graph) -> bool:
    """Whether a goal is more than the source has anyway, which is its `own`."""
    principal, targets = source.principal, graph.targets
    if principal is None or own is None or goal.rank < own.rank:
        return True
    # Each of ours must only ever be itself.
    is_ours = targets.is_server(principal) or targets.is_role(principal)
    return is_ours and goal.holder != source.fact


def cut(graph: Graph, source: Source) -> list[list[Right]]:
    """The first rights of each way in turn, while those of all before are denied.

    After `MOST_WAYS` the list ends.
    """
    cuts: list[list[Right]] = []
    for _ in range(MOST_WAYS):
        denied = {right for rights in cuts for right in rights}
        if (found := search(graph, source, denied)) is None:
            break
        rights = [right for right in found.first_rights if right not in denied]
        # What the denial of one name does not cut is denied on everything.
        cuts.append(rights or [(action, "*") for action, _ in found.first_rights])
    return cuts


def denial_of(rights: Iterable[Right]) -> Document:
    """An IAM policy that denies exactly these actions, each on its resources."""
    resources: dict[str, list[str]] = {}
    for action, resource in dict.fromkeys(rights):
        resources.setdefault(action, []).append(resource)
    actions: dict[tuple[str, ...], list[str]] = {}
    for action, names in resources.items():
        actions.setdefault(("*",) if "*" in names else tuple(names), []).append(action)
    return document(
        *({"Effect": "Deny", "Action": names, "Resource": [*on]} for on, names in actions.items())
    )


@dataclass(eq=False)
class _Search:
    graph: Graph
    source: Source
    world: World
    judge: Judge
    known: Known = field(default_factory=Known)
    # The forms whose next steps are known already.
    expanded: set[tuple[Fact, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.known.add(self.source.fact, None)

    def enter(self, closed: Collection[str]) -> None:
        """Let somebody from outside assume the roles that trust them, except the closed ones."""
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

    def run(self) -> Found | None:
        """Go on until the worst is found, or nothing new."""
        while True:
            forms = [
                self.graph.form(self._principal(fact), self.known, self.world)
                for fact in self.known.of_kind(Kind.ACT)
            ]
            best = min(self._found(forms), key=_weight, default=None)
            if best and best.goal.rank is Rank.ADMINISTRATOR:
                return best
            new: dict[Fact, Gain] = {}
            for gain in self._next(forms):
                if gain.fact not in self.known:
                    new.setdefault(gain.fact, gain)
            if not new:
                return best
            for fact, gain in new.items():
                self.known.add(fact, gain)

    def _found(self, forms: Iterable[Form]) -> Iterator[Found]:
        for form in forms:
            if goal := self.judge(form):
                steps = self.known.steps_to([goal.holder, *goal.proof.facts])
                yield Found(self.source, goal, tuple(steps))

    def _next(self, forms: Iterable[Form]) -> Iterator[Gain]:
        """The next steps of everybody whose next steps are not known already."""
        created = self.known.of_kind(Kind.CREATE)
        for form in forms:
            facts = (form.fact, *form.facts)
            if self._is_new(*facts):
                yield from self.graph.gains(form, self.world)
            for fact in created:
                principal = made(fact)
                if principal.kind != "policy" and self._is_new(*facts, fact):
                    for gain in gains_over(form, principal, self.world):
                        yield replace(gain, needs=(*gain.needs, fact))
        for fact in created:
            yield from self._use_new_role(fact)

    def _use_new_role(self, fact: Fact) -> Iterator[Gain]:
        """Act as a new role, which trusts whoever makes it: this takes no step of its own."""
        role, gain = made(fact), self.known.gains[fact]
        if role.kind == "role" and gain:
            yield Gain(fact=act_as(role), who=gain.who, sentence="", rights=(), needs=(fact,))

    def _is_new(self, *facts: Fact) -> bool:
        if facts in self.expanded:
            return False
        self.expanded.add(facts)
        return True

    def _principal(self, fact: Fact) -> Principal:
        return self.world.principals.get(fact.arn) or made(fact)


def _with_denial(principal: Principal, denied: Collection[Right]) -> Principal:
    """The principal with an inline policy that denies it these rights."""
    if not denied:
        return principal
    inline = {name: policy for name, policy in principal.inline.items() if name != WAY_DENIAL}
    inline[WAY_DENIAL] = denial_of(denied)
    return replace(principal, inline=inline, inline_policies=tuple(map(Policy, inline.values())))


def _weight(found: Found) -> tuple[int, int, int]:
    conditions = sum(len(gain.conditions) for gain in found.gains)
    return found.goal.rank, len(found.gains), conditions
