"""Finds who can become a principal with power over the backups, and how."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from admin.check.people.identities import Identities
from admin.check.reach.graph import Graph
from admin.check.reach.search import Found, cut, search
from admin.target import Target


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that the source, or a principal that it has become, is allowed to do.

    `who` and `whom` are ARNs, or a pattern for what does not exist yet. `sentence` continues "ci
    (user) ": "can create an access key for ops (user)". `conditions` are the condition keys that
    were not evaluated: they are assumed to be met.
    """

    who: str
    whom: str
    sentence: str
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Way:
    """The shortest way of a principal to the worst target, and how many others there are.

    `source` is the ARN of the principal, of a foreign one or of a provider; `reached` is the ARN of
    the target, which is the source itself if it can give itself more rights.
    """

    source: str
    steps: tuple[Step, ...]
    reached: str
    others: int


def find_ways(target: Target, downloads: Sequence[Identities]) -> Iterator[Way]:
    """One way for each principal, listed or not, that reaches a target other than itself."""
    graph = Graph.of(target, downloads)
    for source in graph.sources:
        if found := search(graph, source):
            yield way_of(found, others=len(cut(graph, source)) - 1)


def targets_of(target: Target, downloads: Sequence[Identities]) -> dict[str, str]:
    """Principals that are targets without a single step: the ARN, and what they can do."""
    return {arn: goal.sentence for arn, goal in Graph.of(target, downloads).goals.items()}


def way_of(found: Found, *, others: int) -> Way:
    """The way that a search has found, and how many others there are."""
    return Way(
        source=found.source.arn,
        steps=tuple(
            Step(
                who=gain.who.arn,
                whom=gain.fact.arn,
                sentence=gain.sentence,
                conditions=gain.conditions,
            )
            for gain in found.gains
            if gain.sentence
        ),
        reached=found.goal.holder.arn,
        others=others,
    )
