"""Finds who can become somebody with power over the backups, and how."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from admin.check.people.identities import Identities
from admin.target import Target


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that the source, or somebody whom it has become, is allowed to do.

    `who` and `whom` are ARNs, or a pattern for what does not exist yet; they are equal if somebody
    changes their own rights. `sentence` continues "ci (user) ": "can create an access key for ops
    (user)".
    """

    who: str
    whom: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Way:
    """The shortest way of a principal to a target, and how many others there are.

    `source` is the ARN of the principal, of the foreign one or of the provider; `reached` is the
    ARN of the target.
    """

    source: str
    steps: tuple[Step, ...]
    reached: str
    others: int


def find_ways(target: Target, downloads: Sequence[Identities]) -> Iterator[Way]:
    """One way for everybody, listed or not, who reaches a target that they are not themselves."""
    raise NotImplementedError


def targets_of(target: Target, downloads: Sequence[Identities]) -> dict[str, str]:
    """Who is a target without a single step: the ARN, and why."""
    raise NotImplementedError
